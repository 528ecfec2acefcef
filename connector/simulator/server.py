"""The simulator as a library: start, stop, addresses. Its faults are in ``controls``, its routes in ``http``."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from connector.simulator.controls import Controls
from connector.simulator.http import HttpSide
from connector.simulator.listener import Listener
from connector.simulator.settings import SimulatorSettings
from connector.simulator.world import World


class Simulator(Controls):
    """One platform on one port.

    Its history begins when it is made, not when it is started; ``stop`` and another ``start`` (on the same port,
    say) are an outage: events go on, tokens and ledger stay.
    """

    def __init__(self, settings: SimulatorSettings | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(World(settings or SimulatorSettings(), now))
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
        """``http://host:port``."""
        return self._listener.url()

    @property
    def ws_url(self) -> str:
        """``ws://host:port``."""
        return self._listener.url("ws")

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
