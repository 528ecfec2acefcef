"""A TCP proxy in front of one Kafka broker that holds back chosen EndTxn requests, as a slow network would.

It reads just enough of Kafka's wire format (https://kafka.apache.org/protocol): frames of a 4-byte length; request
header ``api_key int16, api_version int16, correlation_id int32, client_id``; of EndTxn (key 26) the transactional id
and whether it commits. A held request keeps its place in its connection: what the client sends after it waits too.

A request on its way survives its sender. When the client of a held request gives up, or :meth:`EndTxnProxy.cut` aborts
its connection, the broker's side stays open, so that :meth:`EndTxnProxy.release` delivers the request all the same,
late, and tells what the broker made of it.

The proxy has a thread with an event loop of its own; its methods may be called from any other thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_END_TXN: Final = 26
_FIRST_FLEXIBLE_VERSION: Final = 3
_CALL_TIMEOUT_S: Final = 10.0
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class EndTxn:
    """The request that ends a transaction."""

    correlation_id: int
    version: int
    transactional_id: str
    producer_id: int
    producer_epoch: int
    committed: bool


@dataclass(eq=False, slots=True)
class HeldEndTxn:
    """A request in the proxy's hands. ``error_code``: the broker's answer once released; None if it never came."""

    request: EndTxn
    error_code: int | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event, repr=False)  # for the proxy's own loop
    answered: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


@dataclass(slots=True)
class _Hold:
    committed: bool | None
    transactional_id: str | None
    times: int | None

    def takes(self, request: EndTxn) -> bool:
        if self.times == 0 or self.committed not in (None, request.committed):
            return False
        if not request.transactional_id.startswith(self.transactional_id or ""):
            return False
        if self.times is not None:
            self.times -= 1
        return True


class _Connection:
    """Both halves of one client's connection."""

    def __init__(self, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self.client = client
        self.broker = broker
        self.held: HeldEndTxn | None = None

    def to_client(self, frame: bytes) -> None:
        if not self.client.is_closing():
            self.client.write(frame)

    def abort(self) -> None:
        self.client.transport.abort()
        if self.held is None:
            self.broker.transport.abort()


class EndTxnProxy:
    """Listens on a free port of 127.0.0.1 from its creation on; ``target`` is set before the first client comes."""

    def __init__(self) -> None:
        self.target = ("127.0.0.1", 0)
        self._loop = asyncio.new_event_loop()
        self._holds: list[_Hold] = []
        self._held: list[HeldEndTxn] = []
        self._news = threading.Condition()
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay_s = 0.0
        self._thread = threading.Thread(target=self._loop.run_forever, name="endtxn-proxy", daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients that are to stay behind the proxy."""
        return f"127.0.0.1:{self.port}"

    @property
    def held(self) -> list[HeldEndTxn]:
        """The requests in hand, the oldest first."""
        with self._news:
            return list(self._held)

    def hold_end_txn(
        self, *, committed: bool | None = None, transactional_id: str | None = None, times: int | None = 1
    ) -> None:
        """Hold the next ``times`` (None: all) requests that commit, abort, or either, of ids with this prefix.

        With ``times=1`` the client's repetition of a held request passes.
        """
        self._run(lambda: self._holds.append(_Hold(committed, transactional_id, times)))

    def wait_held(self, count: int = 1, timeout_s: float = 10.0) -> list[HeldEndTxn]:
        """Return :attr:`held` once it has ``count`` requests; raises TimeoutError."""
        with self._news:
            if not self._news.wait_for(lambda: len(self._held) >= count, timeout_s):
                raise TimeoutError(f"{len(self._held)} of {count} EndTxn requests came within {timeout_s} s")
            return list(self._held)

    def release(self) -> list[HeldEndTxn]:
        """Forget all holds, let the requests in hand go to the broker, and return them with its answers."""
        return self._call(self._release())

    def cut(self) -> None:
        """Abort every connection (RST). Requests in hand stay in hand; new connections are accepted."""
        self._run(self._cut)

    def pause(self) -> None:
        """From now on no request passes, on any connection; none is lost."""
        self._run(self._flowing.clear)

    def resume(self) -> None:
        """Let what :meth:`pause` stopped go on."""
        self._run(self._flowing.set)

    def delay(self, seconds: float) -> None:
        """Each request waits so long before it passes, one after the other in each connection; 0 ends it."""
        self._run(lambda: setattr(self, "_delay_s", seconds))

    def close(self) -> None:
        """Stop listening, drop everything in hand, end the thread. Idempotent."""
        if self._loop.is_closed():
            return
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, what: Coroutine[object, object, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(_CALL_TIMEOUT_S)

    def _run(self, what: Callable[[], object]) -> None:
        async def call() -> None:
            what()

        self._call(call())

    async def _release(self) -> list[HeldEndTxn]:
        self._holds.clear()
        with self._news:
            released, self._held = self._held, []
        for held in released:
            held.released.set()
        await asyncio.gather(*(held.answered.wait() for held in released))
        return released

    def _cut(self) -> None:
        for connection in self._connections:
            connection.abort()

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("not called by a server")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            from_broker, broker = await asyncio.open_connection(*self.target)
            await self._both_ways(from_client, from_broker, _Connection(client, broker))
        await _abort(client)

    async def _both_ways(
        self, from_client: asyncio.StreamReader, from_broker: asyncio.StreamReader, connection: _Connection
    ) -> None:
        self._connections.add(connection)
        answers = asyncio.create_task(self._answers(connection, from_broker))
        try:
            await self._requests(connection, from_client)
        finally:
            self._connections.discard(connection)
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
            await _abort(connection.broker)

    async def _requests(self, connection: _Connection, from_client: asyncio.StreamReader) -> None:
        while True:
            frame = await _read_frame(from_client)
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            request = _end_txn(frame)
            if request is not None and any(hold.takes(request) for hold in self._holds):
                await self._pass_later(connection, frame, request)
            else:
                await self._flowing.wait()
                connection.broker.write(frame)
                await connection.broker.drain()

    async def _pass_later(self, connection: _Connection, frame: bytes, request: EndTxn) -> None:
        connection.held = held = HeldEndTxn(request)
        with self._news:
            self._held.append(held)
            self._news.notify_all()
        try:
            await held.released.wait()
            connection.broker.write(frame)
            await held.answered.wait()
        finally:
            connection.held = None
            held.answered.set()

    async def _answers(self, connection: _Connection, from_broker: asyncio.StreamReader) -> None:
        try:
            while True:
                frame = await _read_frame(from_broker)
                held = connection.held
                if held is not None and _correlation_id(frame) == held.request.correlation_id:
                    held.error_code = _error_code(frame, held.request.version)
                    held.answered.set()
                connection.to_client(frame)
                if not connection.client.is_closing():
                    await connection.client.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            connection.client.transport.abort()
            if connection.held is not None:
                connection.held.answered.set()


async def _abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    size = await reader.readexactly(4)
    return size + await reader.readexactly(int.from_bytes(size))


def _correlation_id(answer: bytes) -> int:
    return int.from_bytes(answer[4:8], signed=True)


def _error_code(answer: bytes, version: int) -> int:
    """The int16 after the throttle time; a flexible response header has one byte of (no) tagged fields more."""
    start = 12 + (version >= _FIRST_FLEXIBLE_VERSION)
    return int.from_bytes(answer[start : start + 2], signed=True)


def _end_txn(frame: bytes) -> EndTxn | None:
    key, version, correlation_id, client_id_length = struct.unpack_from(">hhih", frame, 4)
    if key != _END_TXN:
        return None
    at = 14 + max(client_id_length, 0)
    if version >= _FIRST_FLEXIBLE_VERSION:
        at += 1  # no tagged fields in the header
        length, at = frame[at] - 1, at + 1  # an unsigned varint, of one byte for ids below 127 bytes
    else:
        (length,), at = struct.unpack_from(">h", frame, at), at + 2
    transactional_id = frame[at : at + length].decode()
    producer_id, epoch, committed = struct.unpack_from(">qh?", frame, at + length)
    return EndTxn(correlation_id, version, transactional_id, producer_id, epoch, committed)
