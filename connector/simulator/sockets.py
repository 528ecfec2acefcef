"""One accepted WebSocket: three small tasks that carry out what its session decides.

``pump`` writes and honours TCP back-pressure, ``guard`` closes when it is time (also while the pump is held up by a
client that does not read), ``listen`` reads: it answers pings and notices how the peer ends.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from aiohttp import WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

from connector.simulator.ledger import CloseParty, CloseRecord, lost
from connector.simulator.session import Ending, Rest
from connector.simulator.wire import Opcode, close_frame, frame

_SHORTEST_REST_S = 0.001
_LONGEST_REST_S = 5.0  # the wall clock may have been set
_FROZEN_REST_S = 0.1
_CLOSE_WAIT_S = 1.0
_LINGER_NONE = struct.pack("ii", 1, 0)
_NO_STATUS = 1005
_ABNORMAL = 1006


class Alarm:
    """A sleep that others can end."""

    def __init__(self) -> None:
        self._sleeper: asyncio.Future[None] | None = None

    async def rest(self, seconds: float) -> None:
        """Return after so many seconds, or when rung."""
        loop = asyncio.get_running_loop()
        self._sleeper = loop.create_future()
        timer = loop.call_later(min(max(seconds, _SHORTEST_REST_S), _LONGEST_REST_S), self.ring)
        try:
            await self._sleeper
        finally:
            timer.cancel()
            self._sleeper = None

    def ring(self) -> None:
        """End a sleep that is under way."""
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)


class SocketSession(Protocol):
    """What decides for a socket. ``frozen_until_s``: until then nothing is sent or answered."""

    frozen_until_s: float

    def frozen(self, now_s: float) -> bool:
        """Whether nothing may be sent or answered."""
        ...

    def ending(self, now_s: float) -> Ending | Rest:
        """Whether the socket is to be closed now, or when to ask again."""
        ...

    def sending(self, now_s: float) -> bytes | Rest:
        """The frames to send next, which count as sent, or when to ask again."""
        ...

    def hear(self, text: str) -> None:
        """A text message of the client."""
        ...


_SessionT = TypeVar("_SessionT", bound="SocketSession")


class ServerSocket(Generic[_SessionT]):
    """Shell around a session. ``expiry``: it ended because its token had died."""

    def __init__(
        self,
        session: _SessionT,
        ws: web.WebSocketResponse,
        writer: AbstractStreamWriter,
        transport: asyncio.Transport,
        now: Callable[[], float],
    ) -> None:
        self.session = session
        self._ws = ws
        self._writer = writer
        self._transport = transport
        self._now = now
        self._pump_alarm = Alarm()
        self._guard_alarm = Alarm()
        self._listen_alarm = Alarm()
        self._peer_gone = asyncio.Event()
        self._close: CloseRecord | None = None
        self.expiry = False

    async def serve(self) -> None:
        """Run until the socket has ended."""
        try:
            async with asyncio.TaskGroup() as tasks:
                others = [tasks.create_task(self._pump()), tasks.create_task(self._listen())]
                await self._guard()
                for each in others:
                    each.cancel()
        finally:
            self._let_go()

    def outcome(self) -> CloseRecord:
        """How the socket ended."""
        return self._close or lost(self._now())

    def nudge(self) -> None:
        """Look again at the session's state."""
        self._pump_alarm.ring()
        self._guard_alarm.ring()
        self._listen_alarm.ring()

    def abort(self) -> None:
        """Reset the connection: SO_LINGER 0 makes the kernel send RST instead of FIN."""
        self._ended(_ABNORMAL, "simulator", "aborted")
        raw = self._transport.get_extra_info("socket")
        if raw is not None and not self._transport.is_closing():
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        self._transport.abort()
        self._peer_gone.set()
        self.nudge()

    async def _pump(self) -> None:
        while self._close is None and not self._transport.is_closing():
            if isinstance(self.session.ending(self._now()), Ending):
                return
            step = self.session.sending(self._now())
            if isinstance(step, Rest):
                await self._pump_alarm.rest(step.until_s - self._now())
                continue
            self._transport.write(step)
            try:
                await self._writer.drain()
            except ConnectionError:
                return
            await asyncio.sleep(0)  # a fast reader never blocks us, and others want to run too

    async def _guard(self) -> None:
        while self._close is None:
            step = self.session.ending(self._now())
            if isinstance(step, Ending):
                self.expiry = step.expiry
                self._ended(step.code, "simulator", step.reason)
                if not self._transport.is_closing():
                    self._transport.write(close_frame(step.code, step.reason))
                break
            await self._guard_alarm.rest(step.until_s - self._now())
        try:
            async with asyncio.timeout(_CLOSE_WAIT_S):
                await self._peer_gone.wait()
        except TimeoutError:
            self._transport.abort()

    async def _listen(self) -> None:
        while True:
            message = await self._ws.receive()
            await self._thawed()
            if message.type is WSMsgType.PING:
                if self._close is None and not self._transport.is_closing():
                    self._transport.write(frame(Opcode.PONG, message.data))
            elif message.type is WSMsgType.TEXT:
                self.session.hear(message.data)
                self.nudge()
            elif message.type is WSMsgType.CLOSE:
                self._answer_close(message.data or _NO_STATUS, message.extra or "")
                return
            elif message.type in (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
                self._close = self._close or lost(self._now())
                self._peer_gone.set()
                self.nudge()
                return

    async def _thawed(self) -> None:
        """Hold what was read until the socket thaws; a client that hangs up meanwhile is noticed all the same."""
        while self.session.frozen(self._now()) and self._close is None and not self._transport.is_closing():
            await self._listen_alarm.rest(min(self.session.frozen_until_s - self._now(), _FROZEN_REST_S))

    def _answer_close(self, code: int, reason: str) -> None:
        if self._close is None:
            self._ended(code, "client", reason)
            if not self._transport.is_closing():
                self._transport.write(close_frame(1000 if code == _NO_STATUS else code, ""))
        self._peer_gone.set()
        self.nudge()

    def _ended(self, code: int, by: CloseParty, reason: str) -> None:
        if self._close is None:
            self._close = CloseRecord(self._now(), code, by, reason)

    def _let_go(self) -> None:
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()
