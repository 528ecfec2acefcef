"""The simulator as a library: start, stop, addresses. Its faults are in ``controls``, its routes in ``http``."""

from __future__ import annotations

import time
from collections.abc import Callable

from connector.simulator.genesys.controls import Controls
from connector.simulator.genesys.http import HttpSide
from connector.simulator.genesys.settings import GenesysSettings
from connector.simulator.genesys.world import World
from connector.simulator.listener import Listener


class GenesysCloud(Controls, Listener):
    """One organisation on one port, which stands for ``login.``, ``api.`` and ``streaming.{region}`` together.

    ``base_url`` is what the SDK calls host, and where ``/oauth/token`` is.

    ``stop`` and another ``start`` are an outage: channels, tokens and ledger stay.
    """

    def __init__(self, settings: GenesysSettings | None = None, now: Callable[[], float] = time.time) -> None:
        Controls.__init__(self, World(settings or GenesysSettings(), now))
        http = HttpSide(self)
        Listener.__init__(self, http.application, http.stop)
