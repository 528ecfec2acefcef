"""One stream to its topics. Read this first.

    frame ─ FrameReader ─ Ledger ─ Envelope ─▶ Batch ─ Sink (the lane's transactions)

Sockets are opened and closed as :class:`connector.core.handover.Handover` decides; what arrives on any of them goes
through one ledger, so that the overlap of a rotation, a replay and a duplicate all end the same way. A turn of the
event loop makes one batch: the first frame schedules the hand-over, which runs when the socket has nothing more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from connector import telemetry
from connector.core.envelope import Envelope, Moment, read_time, sha256
from connector.core.frames import Event, FrameReader, Unread
from connector.core.handover import Handover
from connector.core.ledger import Deliver, GapFound, HoleState, Ledger, Unreadable, Verdict
from connector.core.pointer import Lookup
from connector.core.reconnect import Backoff
from connector.core.states import Close, Command, Dial, Ping, Policy, ReportDead, Rotated, Setback, State, Why
from connector.errors import DialError
from connector.model import Batch, Checkpoint, Entry, FailureKind, Gap, Token, TopicLimits
from connector.ports import Clock, Closed, Connection, FrameKind, Sink, Source, TokenSource

ENTRY_OVERHEAD_BYTES = 1024
"""What an event costs in memory beside its bytes: headers, key, the producer's copy."""
_IMPLAUSIBLE_MS = 24 * 3600 * 1000
_OVERSIZE_CODE = 1009


class Item(NamedTuple):
    """What an event carries through the ledger."""

    moment: Moment | None
    document: object
    raw: bytes


class WorkerBuffer:
    """Bytes in hand of all streams of the worker; full means that sockets are not read."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used_bytes = 0
        self._waiting: set[Callable[[], None]] = set()

    @property
    def full(self) -> bool:
        """Whether nothing more is to be read."""
        return self._used_bytes >= self._limit_bytes

    def add(self, size_bytes: int) -> None:
        """Bytes came in hand, or with a negative number left it; whoever waits is called when there is room again."""
        self._used_bytes += size_bytes
        if size_bytes < 0 and self._waiting and self._used_bytes < self._limit_bytes * 3 // 4:
            waiting, self._waiting = self._waiting, set()
            for call in waiting:
                call()

    def wait(self, call: Callable[[], None]) -> None:
        """Call once there is room."""
        self._waiting.add(call)


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What the configuration says about one stream."""

    name: str
    start: str | int
    contiguous: bool
    resumes: bool
    policy: Policy
    event_time: Lookup
    buffer_events: int = 5000
    buffer_bytes: int = 16_777_216


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What streams of a worker share. ``spawn`` starts a task that the worker's task group owns."""

    clock: Clock
    rng: Random
    spawn: Callable[[Coroutine[object, object, None]], asyncio.Task[None]]
    rotations: asyncio.Semaphore
    buffer: WorkerBuffer
    limits: Mapping[str, TopicLimits]
    observe: telemetry.Observer


@dataclass(slots=True)
class _Socket:
    connection: Connection | None = None
    task: asyncio.Task[None] | None = None
    waiting: bool = False


class StreamPipeline:
    """One stream while its lane is ours. All methods belong to the event loop's thread."""

    def __init__(
        self,
        plan: StreamPlan,
        source: Source,
        frames: FrameReader,
        envelope: Envelope,
        tokens: TokenSource,
        sink: Sink,
        around: Surroundings,
    ) -> None:
        self.plan = plan
        self._source = source
        self._frames = frames
        self._envelope = envelope
        self._tokens = tokens
        self._sink = sink
        self._around = around
        self._incarnation = 0
        self._state: State | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._anchoring: asyncio.Task[None] | None = None
        self._anchored: asyncio.Future[Checkpoint] | None = None
        self._dialled_before = False
        self._begin(Checkpoint(plan.name))
        self._release: Callable[[], None] | None = None
        self._in_hand_events = 0
        self._in_hand_bytes = 0
        self._readable = asyncio.Event()
        self._readable.set()

    def _begin(self, checkpoint: Checkpoint) -> None:
        self._ledger: Ledger[Item | Unread] = Ledger(
            checkpoint, contiguous=self.plan.contiguous, hold_limit=self.plan.buffer_events
        )
        self._handover = Handover(self.plan.policy, self._around.rng, self._around.clock.now())
        self._sockets: dict[int, _Socket] = {}
        self._epoch = checkpoint.epoch
        self._hole = HoleState.NONE
        self._entries: list[Entry] = []
        self._size_bytes = 0
        self._urgent = False
        self._touched: dict[int, bool] = {}
        self._duplicates = 0
        self._scheduled = False
        self._now = 0.0
        self._horizon_ms = 0

    # ------------------------------------------------------------------ life

    def start(self, checkpoint: Checkpoint | None) -> None:
        """Go on from a checkpoint; None: the stream is new, and its first commit says where it begins."""
        if checkpoint is None:
            self._anchoring = self._around.spawn(self._anchor())
            return
        self._begin(checkpoint)
        self._dialled_before = checkpoint.position is None and self._anchoring is None
        self._release = self._tokens.lease(self._token_ready)
        self._rearm()

    def stop(self, reason: str) -> None:
        """Stop reading, hand over what was read, close the sockets."""
        if self._anchoring is not None:
            self._anchoring.cancel()
        if self._release is not None:
            self._release()
            self._release = None
        self._hand_over()
        self._execute(self._handover.stop(reason))
        self._around.buffer.add(-self._in_hand_bytes)
        self._in_hand_bytes = 0

    def restart(self, checkpoint: Checkpoint, incarnation: int) -> None:
        """Kafka stands before what was read: begin again from there."""
        self._entries.clear()
        self.stop("starting again")
        self._incarnation = incarnation
        self._in_hand_events = 0
        self._readable.set()
        self.start(checkpoint)

    def committed(self, checkpoint: Checkpoint, entries: int, size_bytes: int) -> None:
        """Room again: a transaction committed."""
        if self._anchored is not None and not self._anchored.done():
            self._anchored.set_result(checkpoint)
        if self._in_hand_events >= entries:
            freed = size_bytes + entries * ENTRY_OVERHEAD_BYTES
            self._in_hand_events -= entries
            self._in_hand_bytes -= freed
            self._around.buffer.add(-freed)
        self._consider_reading()

    @property
    def state(self) -> State:
        """The connection's state."""
        return self._handover.state

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._handover.connected

    @property
    def position(self) -> int | None:
        """The highest position accounted for, committed or not."""
        return self._ledger.high

    async def _anchor(self) -> None:
        """Commit where a new stream begins before anything is read (KAFKA.md 11), then go on from there."""
        start = self.plan.start
        if isinstance(start, int):
            position: int | None = start
        elif start == "earliest":
            position = 0
        else:
            position = await self._snapshot_position()
        self._anchored = asyncio.get_running_loop().create_future()
        first = Checkpoint(self.plan.name, position=position)
        self._sink.submit(Batch(self.plan.name, self._incarnation, 0, [], start=first))
        self.start(await self._anchored)
        self._anchoring = None

    async def _snapshot_position(self) -> int | None:
        """The platform's present position; asked again, at growing intervals, until it is told."""
        arrived: asyncio.Queue[Token] = asyncio.Queue()
        release = self._tokens.lease(arrived.put_nowait)
        backoff = Backoff(self.plan.policy.network, self._around.rng)
        clock = self._around.clock
        try:
            token = await arrived.get()
            while True:
                try:
                    return await self._source.snapshot_position(token)
                except DialError as error:
                    due = backoff.failed(clock.now(), clock.now(), error.failure.retry_after_s)
                    self._setback("network", error.failure.describe(), due)
                    if error.failure.kind is FailureKind.UNAUTHORIZED:
                        self._tokens.report_dead(token.generation)
                    await clock.sleep_until(due)
                    while not arrived.empty():
                        token = arrived.get_nowait()
        finally:
            release()

    def _token_ready(self, token: Token) -> None:
        self._execute(self._handover.token_ready(token, self._around.clock.now()))

    # ------------------------------------------------------------------ sockets

    async def _live(self, dial: Dial) -> None:
        """A socket's whole life: dial, read, end."""
        around = self._around
        await around.clock.sleep_until(dial.not_before_s)
        try:
            if dial.why is Why.ROTATION:
                async with around.rotations:
                    connection = await self._dial(dial)
            else:
                connection = await self._dial(dial)
        except DialError as error:
            self._sockets.pop(dial.socket, None)
            self._ledger.closed(dial.socket)
            self._execute(self._handover.dial_failed(dial.socket, error.failure, around.clock.now()))
            return
        self._sockets[dial.socket].connection = connection
        self._execute(self._handover.opened(dial.socket, around.clock.now()))
        await self._read(dial.socket, connection)

    async def _dial(self, dial: Dial) -> Connection:
        """Open a socket at the newest position the ledger has."""
        position = self._ledger.high if self.plan.resumes else None
        if position is None and self._dialled_before and not self._handover.connected:
            self._ledger.lost_track()
            self._deliver_due(None)
            self._hand_over()
        self._dialled_before = True
        self._ledger.opened(dial.socket, position)
        started = self._around.clock.now()
        self._observe(telemetry.Dialing(self.plan.name, dial.socket, dial.why, dial.token.generation, position))
        connection = await self._source.dial(dial.token, position, dial.timeout_s)
        took_s = self._around.clock.now() - started
        self._observe(telemetry.SocketOpened(self.plan.name, dial.socket, dial.why, took_s))
        return connection

    async def _read(self, socket: int, connection: Connection) -> None:
        live = self._sockets.get(socket)
        while live is not None and live is self._sockets.get(socket):
            if not self._readable.is_set():
                live.waiting = True
                await self._readable.wait()
                live.waiting = False
            message = await connection.receive()
            if live is not self._sockets.get(socket):
                return
            if type(message) is bytes:
                self._frame(socket, message)
            elif message is FrameKind.PONG:
                self._handover.heard(socket, self._around.clock.now())
            else:
                end = message if isinstance(message, Closed) else Closed(_OVERSIZE_CODE, "frame too large")
                self._peer_closed(socket, end)
                return

    def _peer_closed(self, socket: int, end: Closed) -> None:
        self._hand_over()
        live = self._sockets.pop(socket, None)
        self._ledger.closed(socket)
        self._observe(telemetry.SocketClosed(self.plan.name, socket, end.code, end.reason, "peer"))
        if live is not None and live.connection is not None:
            self._around.spawn(live.connection.close(1000, ""))
        self._execute(self._handover.closed(socket, end.code, self._around.clock.now(), end.reason))

    # ------------------------------------------------------------------ the path of an event

    def _frame(self, socket: int, frame: bytes) -> None:
        """Everything in one frame, up to the batch."""
        if not self._scheduled:
            self._open_batch()
        self._touched.setdefault(socket, False)
        ledger, envelope, time_of = self._ledger, self._envelope, self.plan.event_time
        for item in self._frames.read(frame):
            if type(item) is Event:
                position, document, raw = item
                moment = read_time(time_of(document))
                time_ms = moment[0] if moment is not None and moment[0] < self._horizon_ms else None
                verdict = ledger.admit(socket, position, time_ms, Item(moment, document, raw), self._now)
                if verdict is Verdict.FRESH:
                    entry, urgent = envelope.event(self._epoch, position, moment, document, raw)
                    self._entries.append(entry)
                    self._size_bytes += len(raw)
                    self._urgent = self._urgent or urgent
                    self._touched[socket] = True
                    continue
            else:
                verdict = ledger.unreadable(socket, sha256(item.raw), Unread(*item), self._now)
            if verdict is Verdict.DUPLICATE:
                self._duplicates += 1
            else:
                self._deliver_due(socket)
        if self._in_hand_events + len(self._entries) >= self.plan.buffer_events:
            self._hand_over()

    def _open_batch(self) -> None:
        self._scheduled = True
        self._now = self._around.clock.now()
        wall_ms = time.time_ns() // 1_000_000
        self._horizon_ms = wall_ms + _IMPLAUSIBLE_MS
        self._envelope.at(wall_ms, self._around.limits)
        asyncio.get_running_loop().call_soon(self._hand_over)

    def _deliver_due(self, socket: int | None) -> None:
        """What the ledger has let go of, in order."""
        name = self.plan.name
        for step in self._ledger.take():
            match step:
                case Deliver(position, _, Item(moment, document, raw)):
                    entry, urgent = self._envelope.event(self._epoch, position, moment, document, raw)
                    self._urgent = self._urgent or urgent
                    if socket is not None:
                        self._touched[socket] = True
                case Unreadable(after, _, _, _, item):
                    reason = item.reason if isinstance(item, Unread) else "position_back"
                    entry = self._envelope.dead_letter(step, item.raw, reason)
                    self._observe(telemetry.DeadLettered(name, after, reason))
                case GapFound(gap):
                    entry = self._gap(gap)
                case _:
                    continue
            self._entries.append(entry)
            self._size_bytes += len(entry.value)

    def _gap(self, gap: Gap) -> Entry:
        if gap.epoch != self._epoch:
            self._submit()
            self._epoch = gap.epoch
        self._observe(telemetry.GapRecorded(self.plan.name, gap))
        return self._envelope.gap(gap, gap.last or 0)

    # ------------------------------------------------------------------ hand-over

    def _hand_over(self) -> None:
        """Give the lane what was read in this turn of the loop, and tell the state machine what it meant."""
        self._scheduled = False
        touched, self._touched = self._touched, {}
        hole = self._judge_hole()
        self._submit()
        for socket, fresh in touched.items():
            caught_up = self._ledger.caught_up(socket)
            now = self._now
            self._execute(self._handover.progressed(socket, now, fresh=fresh, caught_up=caught_up, hole=hole))
        if self._ledger.deadline() is not None:
            self._rearm()
        self._consider_reading()

    def _judge_hole(self) -> HoleState:
        """What the first hole is; one that is proven becomes a gap record."""
        while (hole := self._ledger.hole()) is HoleState.PROVEN:
            self._ledger.prove()
            self._deliver_due(None)
        if hole is not HoleState.NONE and self._hole is HoleState.NONE:
            self._observe(telemetry.HoleSuspected(self.plan.name, self._ledger.high or 0, self._ledger.held))
        self._hole = hole
        return hole

    def _submit(self) -> None:
        entries, self._entries = self._entries, []
        duplicates, self._duplicates = self._duplicates, 0
        if entries:
            size, self._size_bytes = self._size_bytes, 0
            urgent, self._urgent = self._urgent, False
            self._sink.submit(Batch(self.plan.name, self._incarnation, self._epoch, entries, size, urgent=urgent))
            in_hand = size + len(entries) * ENTRY_OVERHEAD_BYTES
            self._in_hand_events += len(entries)
            self._in_hand_bytes += in_hand
            self._around.buffer.add(in_hand)
        elif not duplicates:
            return
        else:
            size = 0
        clamped, self._envelope.clamped = self._envelope.clamped, 0
        name, in_hand_bytes = self.plan.name, self._in_hand_bytes
        self._observe(
            telemetry.BatchRead(name, len(entries), size, duplicates, clamped, self._in_hand_events, in_hand_bytes)
        )

    def _consider_reading(self) -> None:
        """Stop reading when the buffer is full; go on when half of it is free (P6: nothing is dropped)."""
        plan, worker = self.plan, self._around.buffer
        if self._readable.is_set():
            full = self._in_hand_events >= plan.buffer_events or self._in_hand_bytes >= plan.buffer_bytes
            if not full and not worker.full:
                return
            self._readable.clear()
            if not full:
                worker.wait(self._consider_reading)
            self._execute(self._handover.pause(self._around.clock.now()))
        else:
            if self._in_hand_events > plan.buffer_events // 2 or self._in_hand_bytes > plan.buffer_bytes // 2:
                return
            if worker.full:
                worker.wait(self._consider_reading)
                return
            self._readable.set()
            self._handover.resume(self._around.clock.now())
            self._rearm()
        paused = not self._readable.is_set()
        self._observe(telemetry.ReadingPaused(plan.name, paused, self._in_hand_events, self._in_hand_bytes))

    # ------------------------------------------------------------------ commands and time

    def _execute(self, commands: list[Command]) -> None:
        """Carry out what the state machine decided."""
        closed = False
        for command in commands:
            match command:
                case Dial():
                    live = self._sockets[command.socket] = _Socket()
                    live.task = self._around.spawn(self._live(command))
                case Close(socket, code, reason):
                    self._close(socket, code, reason)
                    closed = True
                case Ping(socket):
                    live_socket = self._sockets.get(socket)
                    if live_socket is not None and live_socket.connection is not None:
                        self._around.spawn(live_socket.connection.ping())
                case ReportDead(generation, cause):
                    self._observe(telemetry.TokenDied(self.plan.name, generation, cause))
                    self._tokens.report_dead(generation)
                case Rotated(generation, how, overlap_s):
                    self._observe(telemetry.RotationDone(self.plan.name, generation, how, overlap_s))
                case Setback(path, detail, next_at_s):
                    self._setback(path, detail, next_at_s)
        changed = self._state is not self._handover.state
        if changed:
            self._state = self._handover.state
            self._observe(telemetry.StreamState(self.plan.name, self._state, self._handover.open_sockets))
        if closed and self._state is not State.STOPPED:
            hole = self._judge_hole()
            self._submit()
            self._execute(self._handover.hole_changed(hole, self._around.clock.now()))
        if commands or changed:
            self._rearm()

    def _close(self, socket: int, code: int, reason: str) -> None:
        live = self._sockets.pop(socket, None)
        self._ledger.closed(socket)
        if live is None:
            return
        if live.task is not None and (live.connection is None or live.waiting):
            live.task.cancel()
        if live.connection is not None:
            self._observe(telemetry.SocketClosed(self.plan.name, socket, code, reason, "us"))
            self._around.spawn(live.connection.close(code, reason))

    def _setback(self, path: str, detail: str, next_at_s: float | None) -> None:
        backoff = self._handover.backoff
        wait = None if next_at_s is None else max(0.0, next_at_s - self._around.clock.now())
        self._observe(telemetry.Failed(self.plan.name, path, detail, wait, backoff.failures, backoff.breaker_open))

    def _rearm(self) -> None:
        """One timer for everything that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        instants = [at for at in (self._handover.deadline(), self._ledger.deadline()) if at is not None]
        if instants and self._handover.state is not State.STOPPED:
            wait = max(0.0, min(instants) - self._around.clock.now())
            self._timer = asyncio.get_running_loop().call_later(wait, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._around.clock.now()
        self._ledger.expire(now)
        self._deliver_due(None)
        self._hand_over()
        self._execute(self._handover.tick(now))
        if self._timer is None:
            self._rearm()

    def _observe(self, event: telemetry.Event) -> None:
        self._around.observe(event)
