"""A stream's sockets: carries out what :class:`connector.core.handover.Handover` decides.

A socket is one task: dial, read, end. What it reads goes to the pipeline; the facts (opened, failed, closed, quiet)
go to the state machine, whose commands come back here. There are no decisions in this file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from connector import telemetry
from connector.core.handover import CLOSE_NORMAL, Handover
from connector.core.states import Close, Command, Dial, Ping, Pong, ReportDead, Rotated, Setback, Silent, State, Why
from connector.core.steps import HoleState
from connector.errors import DialError
from connector.model import FailureKind, Token
from connector.ports import Closed, Connection, FrameKind
from connector.stream.parts import Parts, StreamPlan
from connector.stream.reader import Reader

_SEQUENTIAL_S = 0.3  # a socket left unread by back-pressure may not hear the peer's answer to its close
_TOO_BIG = Closed(1009, "frame too large")


@dataclass(slots=True)
class _Socket:
    connection: Connection | None = None
    task: asyncio.Task[None] | None = None
    waiting: bool = False  # for the buffer, not for the network


class StreamConnection:
    """The sockets of one stream. All methods belong to the event loop's thread."""

    def __init__(self, plan: StreamPlan, parts: Parts, reader: Reader) -> None:
        self._name = plan.name
        self._expired_position_code = plan.expired_position_code
        self._source = parts.source
        self._tokens = parts.tokens
        self._shared = parts.shared
        self._trace = parts.envelope.trace
        self._reader = reader
        self._handover = Handover(plan.policy, parts.shared.rng, parts.shared.clock.now())
        self._sockets: dict[int, _Socket] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._readable = asyncio.Event()
        self._readable.set()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for: float | None = None
        self._told: State | None = None
        self._guarded_tick = self._shared.guarded(self._tick)
        self._release: Callable[[], None] | None = None

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._handover.state

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._handover.connected

    @property
    def heard_at_s(self) -> float | None:
        """When the one live socket last gave a sign of life; None while it is not as simple as that."""
        return self._handover.heard_at_s if self._handover.state is State.LIVE else None

    @property
    def reading(self) -> bool:
        """Whether sockets are read, or left alone because the buffer is full."""
        return self._readable.is_set()

    # ------------------------------------------------------------------ from the pipeline

    def start(self) -> None:
        """Take tokens, and dial with the first."""
        self._release = self._tokens.lease(self._shared.guarded(self._token_ready))

    def stop(self, reason: str) -> None:
        """Close everything, for good."""
        if self._release is not None:
            self._release()
            self._release = None
        self._execute(self._handover.stop(reason))

    def progressed(self, socket: int, now: float, *, fresh: bool, caught_up: bool, hole: HoleState) -> None:
        """Items arrived on a socket; the ledger says what they meant."""
        self._execute(self._handover.progressed(socket, now, fresh=fresh, caught_up=caught_up, hole=hole))

    def hole_changed(self, hole: HoleState) -> None:
        """The ledger's view of the first hole changed without an arrival."""
        self._execute(self._handover.hole_changed(hole, self._now()))

    def pause(self) -> None:
        """Stop reading: the buffer is full."""
        self._readable.clear()
        self._execute(self._handover.pause(self._now()))

    def resume(self) -> None:
        """Read again."""
        self._readable.set()
        self._handover.resume(self._now())
        self._rearm()

    # ------------------------------------------------------------------ a socket's life

    async def _live(self, dial: Dial) -> None:
        shared = self._shared
        await shared.clock.sleep_until(dial.not_before_s)
        if self._closing and dial.why in (Why.ROTATION, Why.PROBE) and not self._handover.connected:
            await asyncio.wait(self._closing, timeout=_SEQUENTIAL_S)  # till then the platform may count the old socket
        try:
            if dial.why in (Why.START, Why.ROTATION):
                async with shared.dials.turn():
                    connection = await self._dial(dial)
            else:
                connection = await self._dial(dial)
        except DialError as error:
            self._sockets.pop(dial.socket, None)
            self._reader.closed(dial.socket)
            if error.failure.kind is FailureKind.EXPIRED_POSITION:
                self._reader.position_refused()
            self._execute(self._handover.dial_failed(dial.socket, error.failure, self._now()))
            self._ask_for_hole()
            return
        self._sockets[dial.socket].connection = connection
        self._trace.opened(connection.traceparent)
        self._reader.opened(dial.socket)
        self._execute(self._handover.opened(dial.socket, self._now()))
        await self._read(dial.socket, connection)

    async def _dial(self, dial: Dial) -> Connection:
        position = self._reader.dialling(dial.socket)
        started = self._now()
        self._observe(telemetry.Dialing(self._name, dial.socket, dial.why, dial.token.generation, position))
        try:
            connection = await self._source.dial(dial.token, position, dial.timeout_s)
        except DialError as error:
            took_s, trouble = self._now() - started, error.failure.trouble
            self._observe(telemetry.DialFailed(self._name, dial.socket, dial.why, took_s, *trouble))
            raise
        self._observe(telemetry.SocketOpened(self._name, dial.socket, dial.why, self._now() - started))
        return connection

    async def _read(self, socket: int, connection: Connection) -> None:
        live = self._sockets.get(socket)
        while live is not None:
            if not self._readable.is_set():
                live.waiting = True
                await self._readable.wait()
                live.waiting = False
            message = await connection.receive()
            if live is not self._sockets.get(socket):
                return  # we let go of it
            if isinstance(message, bytes):
                self._reader.frame(socket, message)
            elif isinstance(message, Closed):
                self._ended(socket, message)
                return
            elif message is FrameKind.OVERSIZE:
                self._ended(socket, _TOO_BIG)
                return
            else:
                self._told_by(socket, message)

    def _told_by(self, socket: int, kind: FrameKind) -> None:
        """The platform says something of the connection itself."""
        self._execute(self._handover.heard(socket, self._now()))
        if kind is FrameKind.PROVEN:
            self._reader.proven(socket)
        elif kind is FrameKind.LEAVING:
            self._execute(self._handover.leaving(socket, self._now()))

    def _ended(self, socket: int, end: Closed) -> None:
        """The peer closed, or the network did."""
        if end is _TOO_BIG:
            self._reader.oversize(socket)
        elif end.code == self._expired_position_code:
            self._reader.position_refused()
        live = self._sockets.pop(socket, None)
        self._reader.closed(socket, lapsed=end.lapsed)
        self._observe(telemetry.SocketClosed(self._name, socket, end.code, end.reason, "peer"))
        if live is not None and live.connection is not None:
            self._shared.spawn(live.connection.close(CLOSE_NORMAL, ""))
        self._execute(self._handover.closed(socket, end.code, self._now(), end.reason))
        self._ask_for_hole()

    # ------------------------------------------------------------------ commands

    def _execute(self, commands: list[Command]) -> None:
        """Carry out what the state machine decided."""
        hole_changed = False
        for command in commands:
            if isinstance(command, Close):
                self._close(command)
                hole_changed = True
            elif isinstance(command, Silent):
                self._reader.silent(command.socket)
                hole_changed = True
            elif isinstance(command, Dial):
                live = self._sockets[command.socket] = _Socket()
                live.task = self._shared.spawn(self._live(command))
            else:
                self._report(command)
        changed = self._told is not self._handover.state
        if changed:
            self._told = self._handover.state
            self._observe(telemetry.StreamState(self._name, self._told, self._handover.open_sockets))
        if hole_changed:
            self._ask_for_hole()
        self._rearm()

    def _ask_for_hole(self) -> None:
        """A socket or a dial has ended, or fell silent: what the ledger knows of the first hole may be another."""
        if self._handover.state is not State.STOPPED:
            self.hole_changed(self._reader.hole())

    def _close(self, command: Close) -> None:
        live = self._sockets.pop(command.socket, None)
        self._reader.closed(command.socket)
        if live is None:
            return
        if live.task is not None and (live.connection is None or live.waiting):
            live.task.cancel()
        if live.connection is not None:
            self._observe(telemetry.SocketClosed(self._name, command.socket, command.code, command.reason, "us"))
            closing = self._shared.spawn(live.connection.close(command.code, command.reason))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _report(self, command: Ping | Pong | ReportDead | Rotated | Setback) -> None:
        match command:
            case Ping(socket) | Pong(socket):
                live = self._sockets.get(socket)
                if live is not None and live.connection is not None:
                    to = live.connection
                    self._shared.spawn(to.ping() if isinstance(command, Ping) else to.pong())
            case ReportDead(generation, cause):
                self._observe(telemetry.TokenDied(self._name, generation, cause))
                self._tokens.report_dead(generation)
            case Rotated(generation, how, overlap_s, took_s):
                self._observe(telemetry.RotationDone(self._name, generation, how, overlap_s, took_s))
            case Setback(path, trouble, next_at_s):
                wait_s = None if next_at_s is None else max(0.0, next_at_s - self._now())
                backoff = self._handover.backoff
                failed = telemetry.Failed(
                    self._name, path, *trouble, wait_s, backoff.failures, breaker_open=backoff.breaker_open
                )
                self._observe(failed)

    # ------------------------------------------------------------------ time

    def _rearm(self) -> None:
        """One timer for everything that the state machine waits for; any fact may have moved its deadline."""
        deadline = self._handover.deadline()
        if self._timer is not None:
            if deadline == self._armed_for:
                return
            self._timer.cancel()
            self._timer = None
        self._armed_for = deadline
        if deadline is not None:
            wait_s = max(0.0, deadline - self._now())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._guarded_tick)

    def _tick(self) -> None:
        self._timer = None
        self._execute(self._handover.tick(self._now()))

    def _token_ready(self, token: Token) -> None:
        self._execute(self._handover.token_ready(token, self._now()))

    def _now(self) -> float:
        return self._shared.clock.now()

    def _observe(self, event: telemetry.Event) -> None:
        self._shared.observe(event)
