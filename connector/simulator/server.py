"""The simulator as a library: start, stop, addresses. Its faults are in ``controls``, its routes in ``http``."""

from __future__ import annotations

import time
from collections.abc import Callable

from connector.simulator.controls import Controls
from connector.simulator.http import HttpSide
from connector.simulator.listener import Listener
from connector.simulator.settings import SimulatorSettings
from connector.simulator.world import World


class Simulator(Controls, Listener):
    """One platform on one port.

    Its history begins when it is made, not when it is started; ``stop`` and another ``start`` (on the same port,
    say) are an outage: events go on, tokens and ledger stay.
    """

    def __init__(self, settings: SimulatorSettings | None = None, now: Callable[[], float] = time.time) -> None:
        Controls.__init__(self, World(settings or SimulatorSettings(), now))
        http = HttpSide(self)
        Listener.__init__(self, http.application, http.stop)

    @property
    def ws_url(self) -> str:
        """``ws://host:port``."""
        return f"ws://{self.host}:{self.port}"

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
