"""The simulator as a library: start, stop, addresses. Its faults are in ``controls``, its routes in ``http``."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from connector.simulator.genesys.controls import Controls
from connector.simulator.genesys.http import HttpSide
from connector.simulator.genesys.settings import GenesysSettings
from connector.simulator.genesys.world import World
from connector.simulator.listener import Listener


class GenesysCloud(Controls):
    """One organisation on one port, which stands for ``login.``, ``api.`` and ``streaming.{region}`` together.

    ``stop`` and another ``start`` are an outage: channels, tokens and ledger stay.
    """

    def __init__(self, settings: GenesysSettings | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(World(settings or GenesysSettings(), now))
        http = HttpSide(self)
        self._listener = Listener(http.application, http.stop)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises ``OSError`` where the port is taken."""
        await self._listener.start(host, port)

    async def stop(self) -> None:
        """Close every socket with 1001 and let go of the port. Idempotent."""
        await self._listener.stop()

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
        return self._listener.port

    @property
    def base_url(self) -> str:
        """``http://host:port``: what the SDK calls host, and where ``/oauth/token`` is."""
        return self._listener.url()
