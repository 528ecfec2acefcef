"""A platform's port: listen, let go. Shared by the simulators."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web

_SHUTDOWN_S = 2.0


class Listener:
    """One HTTP server at a time on one port.

    ``application`` makes a fresh application for each start; ``farewell`` is called before the port is let go: every
    handler has to come to its end then.
    """

    def __init__(self, application: Callable[[], web.Application], farewell: Callable[[], None]) -> None:
        self._application = application
        self._farewell = farewell
        self._runner: web.AppRunner | None = None
        self.host = ""
        self.port = 0

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises ``OSError`` where the port is taken."""
        if self._runner is not None:
            raise RuntimeError("the simulator is already running")
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, reuse_address=True).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.host, self.port = host, runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every socket with 1001 and let go of the port. Idempotent."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        self._farewell()
        await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def base_url(self) -> str:
        """``http://host:port``, of the port it listens, or last listened, on."""
        return f"http://{self.host}:{self.port}"
