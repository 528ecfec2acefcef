"""A forward proxy as companies have them: CONNECT only (RFC 9110 §9.3.6), with a user and a password."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from types import TracebackType
from typing import Self

USER, PASSWORD = "bridge", "proxy-secret"
_CREDENTIALS = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Tunnel:
    """Listens on a free port of loopback. ``targets``: what was asked for, in order; ``refused``: how often."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.refused = 0
        self.open = True
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0

    @property
    def address(self) -> str:
        """``127.0.0.1:port``."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            self.cut()

    def cut(self) -> None:
        """Abort every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._tunnel(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().replace("\r\n", " ", 1).split(" ", 2)
        if _CREDENTIALS not in fields[0] or method != "CONNECT" or not self.open:
            self.refused += 1
            status = b"407 Proxy Authentication Required" if self.open else b"502 Bad Gateway"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        self.targets.append(target)
        host, _, port = target.rpartition(":")
        to_reader, to_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, to_writer))
                both.create_task(_pump(to_reader, writer))
        except* OSError:
            pass
        finally:
            to_writer.transport.abort()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Until an end is gone, which ends both ways."""
    while data := await source.read(65_536):
        target.write(data)
        await target.drain()
    raise ConnectionResetError
