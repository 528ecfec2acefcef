"""The management API on a thread of its own, for clients that block: over a fake fleet, on a free port of loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from connector.core.access import Guard
from connector.core.pace import Pace
from connector.web.cluster import Cluster
from connector.web.connectors import Connectors
from connector.web.loggers import Loggers
from connector.web.page import StatusPage
from connector.web.server import Listener
from tests.fakes.control import FakeControl
from tests.fakes.fleet import FakeCatalogue, FakeFleet


@dataclass(frozen=True, slots=True)
class ServedApi:
    """Where it listens, and the fleet behind it."""

    url: str
    fleet: FakeFleet


def api_listener(fleet: FakeFleet, guard: Guard) -> Listener:
    """The whole API over a fleet; it may be asked as often as anybody likes."""
    catalogue = FakeCatalogue()
    routes = [
        *Connectors(fleet, catalogue).routes(),
        *Cluster(fleet, catalogue, Loggers(FakeControl())).routes(),
        *StatusPage(fleet, "wfm-bridge").routes(),
    ]
    return Listener(routes, guard, pace=Pace(burst=1e9))


@contextmanager
def served_api(*streams: str, guard: Guard | None = None, fleet: FakeFleet | None = None) -> Iterator[ServedApi]:
    """Serve until the block ends: a fleet of these streams, or one that is there already."""
    fleet = fleet or FakeFleet(*streams)
    listener, ready, over = api_listener(fleet, guard or Guard()), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await listener.start("127.0.0.1:0")
        ready.set()
        await over.wait()
        await listener.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="api")
    thread.start()
    try:
        if not ready.wait(10):
            raise TimeoutError("the API does not start")
        host, port = listener.addresses[0]
        yield ServedApi(f"http://{host}:{port}", fleet)
    finally:
        loops[0].call_soon_threadsafe(over.set)
        thread.join()
