"""A TCP proxy that rewrites what a WebSocket server sends: fragments, compression, a goodbye without an end.

Only WebSockets pass through it. It reads the server's frames (RFC 6455 §5.2), which are unmasked and, the simulator's,
whole; what the client sends passes untouched.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
import zlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

_FIN, _DEFLATED = 0x80, 0x40
_CONTINUATION, _CLOSE, _PING = 0x0, 0x8, 0x9
_OFFER = b"permessage-deflate"
_ACCEPTANCE = b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
_HEAD_END = b"\r\n\r\n"

Rewrite = Callable[[int, bytes], bytes]
"""From a whole data message (opcode, payload) to the frames that are sent in its place."""


def frame(first_byte: int, payload: bytes) -> bytes:
    """One unmasked frame."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", first_byte, size) + payload
    if size < 65_536:
        return struct.pack("!BBH", first_byte, 126, size) + payload
    return struct.pack("!BBQ", first_byte, 127, size) + payload


def fragmented(rng: random.Random) -> Callable[[], Rewrite]:
    """Many fragments, cut anywhere (in the middle of a character too), a ping between them (RFC 6455 §5.4)."""

    def rewrite(opcode: int, payload: bytes) -> bytes:
        cuts = sorted(rng.randrange(len(payload) + 1) for _ in range(rng.randrange(2, 12)))
        parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        frames = [frame(_CONTINUATION if i else opcode, part) for i, part in enumerate(parts[:-1])]
        frames.insert(rng.randrange(1, len(frames) + 1), frame(_FIN | _PING, b"are you there"))
        return b"".join([*frames, frame(_FIN | _CONTINUATION, parts[-1])])

    return lambda: rewrite


def deflated() -> Rewrite:
    """Compressed with one window for the whole connection (RFC 7692 §7.2.1)."""
    compressor = zlib.compressobj(wbits=-15)

    def rewrite(opcode: int, payload: bytes) -> bytes:
        data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return frame(_FIN | _DEFLATED | opcode, data.removesuffix(b"\x00\x00\xff\xff"))

    return rewrite


class Rewriter:
    """Listens on a free port in front of ``target``, a port of loopback; ``make`` gives each connection its rewriting.

    ``deflate``: permessage-deflate is accepted in the server's name; who does not offer it gets all as it is.
    ``rewritten``: messages sent otherwise than the server wrote them. ``left``: connections that the client has ended.
    """

    def __init__(self, target: int, make: Callable[[], Rewrite] | None = None, *, deflate: bool = False) -> None:
        self._target, self._make, self._deflate = target, make, deflate
        self.rewritten = 0
        self.left = 0
        self._speaking: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.stream_url = ""
        """For ``stream_url``, with ``{channel}`` in it."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.stream_url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/stream/{{channel}}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def say_goodbye(self, code: int) -> int:
        """Send a close frame on every connection, then nothing for ever, without an end of TCP; returns how many."""
        told = len(self._speaking)
        while self._speaking:
            self._speaking.pop().write(frame(_FIN | _CLOSE, struct.pack("!H", code)))
        return told

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("not called by a server")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._relay(reader, writer)
        self._speaking.discard(writer)
        writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            request = await reader.readuntil(_HEAD_END)
            to_server.write(request)
            answer = await from_server.readuntil(_HEAD_END)
            deflate = self._deflate and _OFFER in request and b" 101 " in answer
            writer.write(answer.removesuffix(_HEAD_END) + _ACCEPTANCE if deflate else answer)
            self._speaking.add(writer)
            make = deflated if deflate else self._make
            down = asyncio.create_task(self._down(from_server, writer, None if make is None else make()))
            try:
                while data := await reader.read(65_536):
                    to_server.write(data)
                self.left += 1
            finally:
                down.cancel()
                await asyncio.gather(down, return_exceptions=True)
        finally:
            to_server.transport.abort()

    async def _down(self, server: asyncio.StreamReader, client: asyncio.StreamWriter, rewrite: Rewrite | None) -> None:
        try:
            while True:
                first, payload = await _read_frame(server)
                if client not in self._speaking:
                    continue
                is_data = first & 0x0F < _CLOSE
                self.rewritten += rewrite is not None and is_data
                client.write(
                    frame(first, payload) if rewrite is None or not is_data else rewrite(first & 0x0F, payload)
                )
                await client.drain()
        except (OSError, asyncio.IncompleteReadError):
            if client in self._speaking:
                client.transport.abort()


async def _read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, size = await reader.readexactly(2)
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", await reader.readexactly(8))
    return first, await reader.readexactly(size)
