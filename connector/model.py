"""Frozen values that cross boundaries between the pure core, the pipeline and the I/O packages.

Units are in the names: ``_s`` seconds, ``_ms`` milliseconds, ``_bytes``. Instants ending in ``_at_s`` are on the
bridge's own clock (:class:`connector.ports.Clock`); instants ending in ``_time_ms`` are milliseconds since the Unix
epoch on the *platform's* clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import msgspec

Headers = list[tuple[str, str | bytes | None]]


class FailureKind(StrEnum):
    """What a refused or failed WebSocket handshake means."""

    UNAUTHORIZED = "unauthorized"  # 401: the token is dead
    FORBIDDEN = "forbidden"  # 403: a permission is missing; a new token changes nothing
    THROTTLED = "throttled"  # 429 or 503 with Retry-After
    REJECTED = "rejected"  # any other HTTP answer below 500
    EXPIRED_POSITION = "expired_position"  # the platform says that it no longer has the position
    NETWORK = "network"  # DNS, TCP, TLS, time-out, 5xx


class Trouble(NamedTuple):
    """What ended a dial or a socket: its class, one of few (a metric's label), and in words."""

    cause: str
    detail: str


@dataclass(frozen=True, slots=True)
class DialFailure:
    """Why a WebSocket could not be opened.

    ``cause``: what there was instead of an HTTP answer: ``dns``, ``connect``, ``tls``, ``proxy``, ``timeout``,
    ``reset``, or ``protocol``, an answer that is no handshake.
    """

    kind: FailureKind
    detail: str
    status: int | None = None
    retry_after_s: float | None = None
    cause: str = "protocol"

    def describe(self) -> str:
        """One line for a log: kind, status and detail."""
        status = f" (HTTP {self.status})" if self.status is not None else ""
        return f"{self.kind}{status}: {self.detail}"

    @property
    def trouble(self) -> Trouble:
        """The same for who counts: with an HTTP answer its class, as ``handshake_5xx``."""
        cause = self.cause if self.status is None else f"handshake_{self.status // 100}xx"
        return Trouble(cause, self.describe())


@dataclass(frozen=True, slots=True)
class Token:
    """An access token as the token service hands it out.

    ``generation`` counts up by one for each token that differs from the one before. ``expires_at_s`` is None where
    neither the token nor the answer said how long it lives.
    """

    value: str = field(repr=False)
    generation: int
    issued_at_s: float
    expires_at_s: float | None
    buffer_s: float


@dataclass(frozen=True, slots=True)
class DeadLetterId:
    """Identity of an unreadable item: the ``ordinal``-th after the last readable position, with these bytes.

    ``covers``: it stands for a position, the ``ordinal``-th after that one.
    """

    ordinal: int
    sha256: str
    covers: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a stream has come, as committed with its records (CONTRACT.md, "Checkpoint record").

    ``position`` is None for a stream that started at the platform's current position and has not seen an event.
    ``offsets`` maps topic → partition → offset of the stream's last record there. ``snapshot_id``: a snapshot is due or
    has begun, and has no end yet; ``snapshot_records`` of it stand behind the position. ``stopped``: after a gap, by
    ``on_gap: stop``. ``command_id``: the last change of position by an operator; ``reason`` is there only in the
    checkpoint that it made. ``anew``: it gave the position up, and the stream begins as one without a checkpoint.
    """

    stream: str
    epoch: int = 0
    position: int | None = None
    event_time_ms: int | None = None
    complete_until_ms: int | None = None
    offsets: dict[str, dict[int, int]] = field(default_factory=dict)
    dead_letters: tuple[DeadLetterId, ...] = ()
    snapshot_id: str | None = None
    snapshot_records: int = 0
    stopped: bool = False
    command_id: str | None = None
    reason: str | None = None
    anew: bool = False

    @property
    def mark(self) -> Mark:
        """Where the stream stands, comparable within and across epochs."""
        ordinal = self.dead_letters[-1].ordinal if self.dead_letters else 0
        return Mark(self.epoch, self.position or 0, self.snapshot_records, ordinal)


class Mark(NamedTuple):
    """A point in a stream's history. Marks of one stream are totally ordered."""

    epoch: int
    position: int
    snapshot_records: int
    ordinal: int


ANY_PARTITION = -1
"""Let the producer choose: librdkafka's RD_KAFKA_PARTITION_UA."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One record to write, and where its stream stands once it is written.

    ``position``: everything up to it is accounted for. ``ordinal``: 0, or for a dead letter its number among the
    unreadable items after ``position``, with their hash in ``sha256``; ``covers``: it stands for the position
    ``position + ordinal``. ``snapshot_records``: how many records of a snapshot stand behind ``position``, up to this
    one. ``timestamp_ms`` is the record's, ``event_time_ms`` the platform's unclamped one. One is made for each event: a
    struct takes a quarter of a named tuple's time, and the garbage collector need not look at it.
    ``null``: there is no value in Kafka.
    """

    position: int
    ordinal: int
    topic: str
    key: str | bytes
    value: bytes
    headers: Headers
    timestamp_ms: int
    event_time_ms: int | None
    sha256: str = ""
    snapshot_records: int = 0
    partition: int = ANY_PARTITION
    covers: bool = False
    null: bool = False

    def mark(self, epoch: int) -> Mark:
        """Where the stream stands once this is written."""
        return Mark(epoch, self.position, self.snapshot_records, self.ordinal)


class Unfit(NamedTuple):
    """A value does not fit its topic's schema, and ``why``: it may quote the value, so it must not be logged."""

    why: str


Serialise = Callable[[bytes], bytes | Unfit | None]
"""An event's JSON, after redaction, as its topic has it; JSON's null becomes no value at all."""


class Move(NamedTuple):
    """An operator's change of a stream's checkpoint to ``to``, decided on the mark ``base`` (None: no checkpoint)."""

    base: Mark | None
    to: Checkpoint


@dataclass(slots=True)
class Batch:
    """What a stream hands to its lane in one go: entries of one epoch, in order.

    ``start`` is the initial checkpoint of a stream that has none. A batch without entries only moves
    ``complete_until_ms`` (a quiet stream) or writes ``start``. ``urgent`` asks for a commit without linger.
    ``snapshot_id`` and ``stopped``: what the checkpoint says of them after this batch. ``move``: an operator's change,
    with its gap record as the only entry, if it leaves positions out; it does not count on another base than its own.
    """

    stream: str
    incarnation: int
    epoch: int
    entries: list[Entry]
    size_bytes: int = 0
    complete_until_ms: int | None = None
    start: Checkpoint | None = None
    urgent: bool = False
    snapshot_id: str | None = None
    stopped: bool = False
    move: Move | None = None


class Lapse(NamedTuple):
    """A stretch of the platform's time in which events may have been missed; None: nobody knows."""

    since_ms: int | None
    until_ms: int | None


SOME_TIME = Lapse(None, None)


class GapReason(StrEnum):
    """Why positions are missing (CONTRACT.md, "Gap record")."""

    RETENTION = "retention"
    JUMP = "jump"
    POSITION_RESET = "position_reset"
    OVERSIZE = "oversize"
    NO_RESUME = "no_resume"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Gap:
    """Positions the platform did not deliver; ``first`` and ``last`` are missing themselves."""

    epoch: int
    first: int | None
    last: int | None
    first_time_ms: int | None
    last_time_ms: int | None
    reason: GapReason


@dataclass(frozen=True, slots=True)
class TopicLimits:
    """What a topic accepts and keeps; the defaults are Apache Kafka's."""

    partitions: int
    max_message_bytes: int = 1_048_588
    retention_ms: int | None = 604_800_000


class Target(StrEnum):
    """What an operator wants a stream to do."""

    RUNNING = "running"
    PAUSED = "paused"  # no socket; it keeps its place and its task
    STOPPED = "stopped"  # no socket and no task; its position may be changed


@dataclass(frozen=True, slots=True)
class PositionChange:
    """Where a stopped stream goes on instead, by an operator's word (KAFKA.md 17).

    ``position``: the last one that counts as delivered; None: the checkpoint is given up, and the stream begins anew as
    configured. ``epoch``: None for the present one. A step back begins a new epoch whatever it says: each position is
    there once in an epoch. ``change_id`` names the change in the checkpoint; ``reason`` stands in it.
    """

    change_id: str
    position: int | None
    epoch: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DesiredState:
    """All that a stream is to do (CONTRACT.md "Topics", ``{group}.control``); a stream without a record is to run.

    ``restart_id`` names the last restart asked for. ``change`` stays when it is done: the checkpoint's ``command_id``
    tells. ``halted_at``: epoch and position of the last stop by ``on_gap: stop``. ``by``: who asked last.
    ``unknown``: what a newer version of the bridge wrote beside it, to be kept.
    """

    stream: str
    target: Target = Target.RUNNING
    restart_id: str | None = None
    change: PositionChange | None = None
    halted_at: tuple[int, int] | None = None
    by: str = ""
    updated_ms: int = 0
    unknown: Mapping[str, object] = field(default_factory=dict)
