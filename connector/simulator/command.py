"""The commands ``simulate`` and ``simulate-genesys``: a platform until it is interrupted."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

from connector.simulator.genesys import GenesysCloud, GenesysSettings
from connector.simulator.server import Simulator
from connector.simulator.settings import SimulatorSettings


async def simulate(settings: SimulatorSettings, port: int, host: str = "127.0.0.1") -> None:
    """Run a simulator until SIGINT, SIGTERM or cancellation; print its addresses once it listens.

    Raises ``OSError`` where the port is taken.
    """
    simulator = Simulator(settings)
    await _serve(simulator, port, host, lambda: _addresses(simulator, settings))


async def simulate_genesys(settings: GenesysSettings, port: int, host: str = "127.0.0.1") -> None:
    """The same with a simulated Genesys Cloud."""
    cloud = GenesysCloud(settings)
    await _serve(cloud, port, host, lambda: _genesys_addresses(cloud, settings))


async def _serve(platform: Simulator | GenesysCloud, port: int, host: str, addresses: Callable[[], str]) -> None:
    await platform.start(host, port)
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    for each in signals:
        loop.add_signal_handler(each, interrupted.set)
    try:
        sys.stdout.write(addresses())
        sys.stdout.flush()
        await interrupted.wait()
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
        await platform.stop()


def _addresses(simulator: Simulator, settings: SimulatorSettings) -> str:
    return (
        f"kind      {settings.kind}\n"
        f"streams   {simulator.stream_url}?{settings.position_name}=N\n"
        f"tokens    POST {simulator.token_url}  (client {settings.client_id}, access key {settings.access_key[0]})\n"
        f"snapshot  {simulator.snapshot_url}\n"
        f"faults    POST {simulator.base_url}/_ctl/<name>  ·  GET /_ctl/stats  ·  GET /_ctl/ledger?stream=NAME\n"
    )


def _genesys_addresses(cloud: GenesysCloud, settings: GenesysSettings) -> str:
    directory = cloud.world.directory
    return (
        f"kind      genesys-notifications, with api_url and login_url: {cloud.base_url}\n"
        f"tokens    POST {cloud.base_url}/oauth/token  (client {', '.join(settings.clients)})\n"
        f"queues    {', '.join(each.name for each in directory.queues)}\n"
        f"users     {len(directory.users)}\n"
        f"faults    POST {cloud.base_url}/_ctl/<name>  ·  GET /_ctl/stats  ·  GET /_ctl/ledger\n"
    )
