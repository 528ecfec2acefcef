"""The ``simulate`` command: a platform until it is interrupted."""

from __future__ import annotations

import asyncio
import signal
import sys

from connector.simulator.server import Simulator
from connector.simulator.settings import SimulatorSettings


async def simulate(settings: SimulatorSettings, port: int, host: str = "127.0.0.1") -> None:
    """Run a simulator until SIGINT, SIGTERM or cancellation; print its addresses once it listens.

    Raises ``OSError`` where the port is taken.
    """
    simulator = Simulator(settings)
    await simulator.start(host, port)
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    for each in signals:
        loop.add_signal_handler(each, interrupted.set)
    try:
        sys.stdout.write(_addresses(simulator, settings))
        sys.stdout.flush()
        await interrupted.wait()
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
        await simulator.stop()


def _addresses(simulator: Simulator, settings: SimulatorSettings) -> str:
    return (
        f"kind      {settings.kind}\n"
        f"streams   {simulator.stream_url}?{settings.position_name}=N\n"
        f"tokens    POST {simulator.token_url}  (client {settings.client_id}, access key {settings.access_key[0]})\n"
        f"snapshot  {simulator.snapshot_url}\n"
        f"faults    POST {simulator.base_url}/_ctl/<name>  ·  GET /_ctl/stats  ·  GET /_ctl/ledger?stream=NAME\n"
    )
