"""The seams of the bridge. Each docstring is the contract: order, blocking, cancellation, who closes.

``pipeline`` and ``supervisor`` know only these; ``app`` puts the real implementations behind them and the tests
put fakes (``tests/fakes``), which pass the same contract tests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from connector.model import Batch, Checkpoint, DesiredState, Lapse, PositionChange, Target, Token


class Clock(Protocol):
    """Seconds that neither jump with the wall clock nor stop while the machine is suspended."""

    def now(self) -> float:
        """The present instant; only differences mean anything."""
        ...

    async def sleep_until(self, instant_s: float) -> None:
        """Return once :meth:`now` has reached the instant, also after a suspend."""
        ...


class TokenSource(Protocol):
    """Where streams get tokens. It refreshes by itself, in time, while anybody holds a lease.

    All methods belong to the event loop's thread.
    """

    def lease(self, on_token: Callable[[Token], None]) -> Callable[[], None]:
        """Start to use tokens; returns the function that ends the lease.

        ``on_token`` is called (from the loop, soon, never from inside ``lease``) with the present token if there is a
        live one, and with every later one, each of a greater ``generation`` than before. A call means: use this one
        for the next dial, and replace a socket that was opened with an older one.
        """
        ...

    def report_dead(self, generation: int) -> None:
        """The platform refused or ended a socket with this generation's token.

        One refresh for each generation, however many streams report it; none where a later one is already there.
        """
        ...

    def platform_time_ms(self) -> int | None:
        """The platform's clock now, by its token endpoint's answers; None until one told a time."""
        ...


class FrameKind(StrEnum):
    """What a connection's ``receive`` brought."""

    DATA = "data"  # a whole text or binary message, undecoded
    PONG = "pong"  # an answer to our ping, or a ping (already answered)
    PROVEN = "proven"  # the platform has shown that it still sends all that was asked for
    LEAVING = "leaving"  # the platform has told that it will close the connection soon
    OVERSIZE = "oversize"  # larger than max_frame_bytes; the connection is of no further use
    CLOSED = "closed"  # close frame or end of the TCP connection


@dataclass(frozen=True, slots=True)
class Closed:
    """How a connection ended: the peer's close code, or 1006 where there was none (RFC 6455 §7.1.5)."""

    code: int
    reason: str
    lapsed: bool = False  # it had ceased to bring events, since nobody knows when


class Connection(Protocol):
    """An open WebSocket, read by exactly one task."""

    @property
    def traceparent(self) -> str | None:
        """The header of this name in the handshake's answer (W3C Trace Context), unchecked; None: there was none."""
        ...

    async def receive(self) -> bytes | Closed | FrameKind:
        """The next message's bytes, what it tells instead (:class:`FrameKind`), or :class:`Closed`, for ever after.

        Answers pings. While it is not called, the socket is not read (TCP back-pressure). Never raises for what the
        network or the peer does.
        """
        ...

    async def ping(self) -> None:
        """Ask for a sign of life, and for a proof where there is one; a failure shows in :meth:`receive`."""
        ...

    async def pong(self) -> None:
        """Send an unsolicited pong, which nobody answers; a failure shows in :meth:`receive`."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame and let go of the socket within a second, whatever the peer does. Idempotent."""
        ...


class Snapshot(Protocol):
    """A platform's state at a position, whole: it may lie on disk (DESIGN.md §6)."""

    @property
    def position(self) -> int:
        """The state holds every event up to this position."""
        ...

    @property
    def as_of_ms(self) -> int | None:
        """When that was, on the platform's clock."""
        ...

    def __len__(self) -> int:
        """How many conversations there are."""
        ...

    def conversations(self) -> Iterator[bytes]:
        """Each conversation, byte for byte as REST gave it."""
        ...

    def close(self) -> None:
        """Let go of memory and disk. Idempotent."""
        ...


class Source(Protocol):
    """A platform as one stream sees it."""

    async def dial(self, token: Token, position: int | None, timeout_s: float) -> Connection:
        """Open a WebSocket that resumes at or after ``position`` (None: at the platform's current position).

        Raises :class:`connector.errors.DialError`, never anything else but ``CancelledError``; cancelled, it leaves
        no socket behind.
        """
        ...

    async def snapshot(self, token: Token, lapse: Lapse) -> Snapshot | None:
        """The present state (without positions: that of the lapse, at position 0), or None. The caller closes it.

        Raises :class:`connector.errors.DialError` where the snapshot cannot be had.
        """
        ...


class Sink(Protocol):
    """A lane as one stream sees it."""

    def submit(self, batch: Batch) -> None:
        """Take over a batch, in order, without blocking.

        The caller's duty is to stop reading while more is in hand than its buffer allows: the sink never drops.
        """
        ...


class Lane(Sink, Protocol):
    """A lane as the supervisor sees it. Methods return at once; the lane works on a thread of its own."""

    @property
    def ended(self) -> threading.Event:
        """Set once nothing more will be written."""
        ...

    @property
    def state(self) -> str:
        """``serving``, or what keeps it from that."""
        ...

    def start(self) -> None:
        """Fence the former owner, read how far its streams have come, and tell the listener."""
        ...

    def renounce(self, stream: str) -> None:
        """Forget what the stream handed over, but for what is in a transaction: it is to start again.

        Answered by :meth:`LaneListener.renounced` once nothing of it is under way.
        """
        ...

    def hold(self) -> None:
        """Begin no transaction until :meth:`resume`: the group lost sight of this worker."""
        ...

    def resume(self) -> None:
        """The lane is ours again: fence, read, drop what is committed, go on."""
        ...

    def finish(self, deadline: float) -> None:
        """Commit what is in hand until ``deadline`` (``time.monotonic``), then end."""
        ...


class LaneListener(Protocol):
    """What a lane tells its supervisor. Every call arrives on the event loop's thread."""

    def lane_opened(self, lane: int, checkpoints: Mapping[str, Checkpoint]) -> None:
        """The lane is ours, its former owner fenced, and this is how far its streams have come."""
        ...

    def committed(self, lane: int, checkpoint: Checkpoint, entries: int, size_bytes: int) -> None:
        """A transaction committed; it freed so much of the stream's buffer."""
        ...

    def rewound(self, lane: int, checkpoint: Checkpoint, incarnation: int) -> None:
        """Kafka says a stream stands before what we had committed: start it again from there.

        Batches of an earlier incarnation are dropped by the lane.
        """
        ...

    def renounced(self, lane: int, stream: str, checkpoint: Checkpoint | None, incarnation: int) -> None:
        """Nothing of a stream is under way any more: it may start again from here (None: it has not begun)."""
        ...

    def suspended_stream(self, stream: str, topic: str, reason: str) -> None:
        """A topic of the stream cannot be written; the lane goes on without it."""
        ...

    def restored_stream(self, stream: str) -> None:
        """The topic is back; the stream goes on with what was in hand."""
        ...

    def refused_record(self, stream: str, position: int) -> None:
        """Kafka does not take a record at a position, or behind one; its dead letter takes its place."""
        ...

    def lane_refused(self, lane: int) -> None:
        """The broker says that this worker does not own the lane; it is held until the group has spoken."""
        ...

    def mismatched(self, reason: str) -> None:
        """The topic was made for another number of lanes: the worker must end."""
        ...


class LaneOwner(Protocol):
    """Whom the group membership tells. Calls come from the membership's thread."""

    def assigned(self, lanes: frozenset[int]) -> None:
        """All lanes that are ours now; lanes that were lost and are not among them are another's."""
        ...

    def revoked(self, lanes: frozenset[int], deadline: float) -> None:
        """These lanes go to another worker.

        Returns once nothing more will be written, at ``deadline`` (``time.monotonic``) whatever the lanes do.
        """
        ...

    def lost(self, lanes: frozenset[int]) -> None:
        """The group lost sight of us; the lanes may be ours again in a moment: begin nothing."""
        ...


class StreamControl(Protocol):
    """What operators want of the streams, the same on every worker. The owner of a stream's lane obeys."""

    def desired(self, stream: str) -> DesiredState:
        """What the stream is to do, as far as this worker has heard."""
        ...

    async def request(
        self,
        stream: str,
        *,
        by: str,
        target: Target | None = None,
        restart: bool = False,
        change: PositionChange | None = None,
    ) -> DesiredState:
        """Ask for a change; returns what the stream is to do from now on, once it stands in Kafka.

        It is kept, and :meth:`desired` says so on this worker at once; that the owner has done it is seen in the
        stream's status and checkpoint. Of requests at the same time each is granted on what the former left.

        Raises ``ControlUnavailableError`` where Kafka does not take it in time, ``NotStoppedError`` for a ``change``
        of a stream that is not to be stopped. ``by`` tells who asks, without a secret.
        """
        ...


class Notices(Protocol):
    """What workers tell each other under reserved keys of the control topic; views, never truths."""

    def publish(self, key: str, value: bytes | None) -> None:
        """Tell all workers, best effort, without blocking. The key begins with ``$``; the last value of it is kept."""
        ...

    def follow(self, prefix: str, on_notice: Callable[[str, bytes | None], None]) -> None:
        """Call, on the event loop's thread, for every notice whose key begins so: those that are kept, then new ones.

        None: the key was deleted. To be called before the worker starts; one's own notices come back too.
        """
        ...
