"""The simulator as a library: start, stop, addresses. Its faults are in ``controls``, its routes in ``http``."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from connector.simulator.controls import Controls
from connector.simulator.http import HttpSide
from connector.simulator.settings import SimulatorSettings
from connector.simulator.world import World

_SHUTDOWN_S = 2.0


class Simulator(Controls):
    """One platform on one port.

    Its history begins when it is made, not when it is started; ``stop`` and another ``start`` (on the same port,
    say) are an outage: events go on, tokens and ledger stay.
    """

    def __init__(self, settings: SimulatorSettings | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(World(settings or SimulatorSettings(), now))
        self._host = ""
        self._port = 0
        self._http: HttpSide | None = None
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises ``OSError`` where the port is taken."""
        if self._runner is not None:
            raise RuntimeError("the simulator is already running")
        http = HttpSide(self)
        runner = web.AppRunner(http.application(), access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, reuse_address=True).start()
        except OSError:
            await runner.cleanup()
            raise
        self._http, self._runner = http, runner
        self._host, self._port = host, runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every socket with 1001 and let go of the port. Idempotent."""
        if self._runner is None or self._http is None:
            return
        runner, self._runner = self._runner, None
        self._http.stop()
        await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """The port it listens, or last listened, on."""
        return self._port

    @property
    def base_url(self) -> str:
        """``http://host:port``."""
        return f"http://{self._host}:{self._port}"

    @property
    def ws_url(self) -> str:
        """``ws://host:port``."""
        return f"ws://{self._host}:{self._port}"

    @property
    def token_url(self) -> str:
        """For ``auth.token_url``."""
        return f"{self.base_url}/token"

    @property
    def stream_url(self) -> str:
        """For ``stream_url``, with ``{channel}`` in it."""
        return f"{self.ws_url}/stream/{{channel}}"

    @property
    def snapshot_url(self) -> str:
        """For ``snapshot_url``, with ``{channel}`` in it."""
        return f"{self.base_url}/summary?channel={{channel}}"
