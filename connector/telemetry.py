"""What happens in the bridge, as typed events: one name in log, metric and span (:func:`signal_of`).

``pipeline`` and ``supervisor`` emit; ``app`` turns the events into log lines, metrics and spans. Every record that is
dropped, refused or missing is in one of them. Durations in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from connector.model import Checkpoint, Gap


@dataclass(frozen=True, slots=True)
class Event:
    """Root of all telemetry events of a stream."""

    stream: str


@dataclass(frozen=True, slots=True)
class StreamState(Event):
    """A stream's connection changed state (:class:`connector.core.states.State`)."""

    state: str
    sockets: int


@dataclass(frozen=True, slots=True)
class Dialing(Event):
    """A socket is being opened at ``position``; ``why`` as in :class:`connector.core.states.Why`."""

    socket: int
    why: str
    generation: int
    position: int | None


@dataclass(frozen=True, slots=True)
class SocketOpened(Event):
    """A handshake succeeded after ``took_s``."""

    socket: int
    why: str
    took_s: float


@dataclass(frozen=True, slots=True)
class DialFailed(Event):
    """A socket could not be opened, after ``took_s``; ``cause`` as in :class:`connector.model.Trouble`."""

    socket: int
    why: str
    took_s: float
    cause: str
    detail: str


@dataclass(frozen=True, slots=True)
class SocketClosed(Event):
    """A socket ended: ``by`` "us" or "peer"."""

    socket: int
    code: int
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class RotationDone(Event):
    """The newest token's socket carries the stream; ``how`` names what ended the overlap.

    ``took_s``: since the token was there.
    """

    generation: int
    how: str
    overlap_s: float
    took_s: float


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """A dial or a socket failed; ``path`` is network, rotation or auth, never two of them.

    ``cause``: its class, as in :class:`connector.model.Trouble`.
    """

    path: str
    cause: str
    detail: str
    next_in_s: float | None
    failures: int
    breaker_open: bool


@dataclass(frozen=True, slots=True)
class TokenDied(Event):
    """The stream reported its token's generation as dead."""

    generation: int
    cause: str


@dataclass(frozen=True, slots=True)
class BatchRead(Event):
    """What one turn of the event loop read."""

    events: int
    size_bytes: int
    duplicates: int
    clamped: int
    in_hand_events: int
    in_hand_bytes: int
    redacted: int = 0


@dataclass(frozen=True, slots=True)
class HoleSuspected(Event):
    """Positions after ``after`` did not come; held ``held`` events behind them."""

    after: int
    held: int


@dataclass(frozen=True, slots=True)
class GapRecorded(Event):
    """Positions are missing for good; the gap record is on its way."""

    gap: Gap


@dataclass(frozen=True, slots=True)
class Unanchored(Event):
    """A new stream could not learn the snapshot's position within ``waited_s``: it begins without one."""

    waited_s: float


@dataclass(frozen=True, slots=True)
class SnapshotWritten(Event):
    """A snapshot stands in the topic, whole, behind ``position``."""

    snapshot_id: str
    position: int
    conversations: int


@dataclass(frozen=True, slots=True)
class Halted(Event):
    """The stream was stopped after a gap, as configured, and waits for an operator."""

    after: int


@dataclass(frozen=True, slots=True)
class DeadLettered(Event):
    """An item could not be read, or Kafka does not take a record (``refused``): it goes to the dead letters."""

    after: int
    reason: str


@dataclass(frozen=True, slots=True)
class Poisoned(Event):
    """Items that cannot be read come often (:mod:`connector.core.poison`); the last one ``after`` a position.

    Once an episode.
    """

    after: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReadingPaused(Event):
    """The buffer is full: the socket is not read (``paused``), or is read again."""

    paused: bool
    in_hand_events: int
    in_hand_bytes: int


@dataclass(frozen=True, slots=True)
class Committed(Event):
    """A transaction with records of the stream committed; ``lag_s``: the platform's now minus the last event's time."""

    checkpoint: Checkpoint
    entries: int
    size_bytes: int
    lag_s: float | None


@dataclass(frozen=True, slots=True)
class Suspended(Event):
    """A topic of the stream cannot be written."""

    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restored(Event):
    """The stream goes on after a suspension."""


@dataclass(frozen=True, slots=True)
class StreamFailed(Event):
    """A fault of the bridge's own in one stream; it starts again from its checkpoint."""

    error: str


@dataclass(frozen=True, slots=True)
class Told(Event):
    """An operator, or a gap by ``on_gap: stop``, says what the stream is to do: ``target``, asked for ``by``."""

    target: str
    by: str


@dataclass(frozen=True, slots=True)
class Moved(Event):
    """An operator's change of position is committed; None: the stream had none, or begins anew as configured."""

    before: int | None
    position: int | None
    epoch: int
    change_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class LaneLost(Event):
    """The group lost sight of this worker: of the stream nothing is written until the lane is someone's again."""

    lane: int


@dataclass(frozen=True, slots=True)
class StreamLeft(Event):
    """The stream's lane is no longer this worker's: what is known of it here is out of date."""


SIGNALS: dict[type[Event], str] = {
    StreamState: "stream_state",
    Dialing: "connect",
    SocketOpened: "socket_opened",
    DialFailed: "connect_failed",
    SocketClosed: "socket_closed",
    RotationDone: "rotation",
    TokenDied: "auth_failure",
    HoleSuspected: "hole_suspected",
    GapRecorded: "gap",
    Unanchored: "unanchored",
    SnapshotWritten: "snapshot_written",
    Halted: "stream_halted",
    DeadLettered: "dead_letter",
    Poisoned: "poison_alert",
    ReadingPaused: "reading_paused",
    Committed: "commit",
    Suspended: "stream_suspended",
    Restored: "stream_restored",
    StreamFailed: "stream_fault",
    Told: "stream_told",
    Moved: "position_changed",
    LaneLost: "lane_lost",
    StreamLeft: "stream_left",
}
"""An event's name: the log line's ``signal``, the stem of its metrics, the name of its span. ``BatchRead`` has none: it
makes numbers only."""
PATHS = ("network", "rotation", "auth")


def signal_of(event: Event) -> str:
    """The event's name; a failure's tells its path."""
    return f"{event.path}_failure" if isinstance(event, Failed) else SIGNALS[type(event)]


Observer = Callable[[Event], None]
