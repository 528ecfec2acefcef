"""The command ``simulate``: a platform until it is interrupted."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, cast

from connector.simulator.genesys import GenesysCloud, GenesysSettings
from connector.simulator.server import Simulator
from connector.simulator.settings import Kind, SimulatorSettings


def settings_of(
    kind: str, client_id: str, client_secret: str, given: Mapping[str, Any]
) -> SimulatorSettings | GenesysSettings:
    """The settings of a kind of platform with what was given of them.

    Raises ``ValueError`` for what that kind of platform does not have or the simulator cannot be.
    """
    model: type[SimulatorSettings | GenesysSettings] = (
        GenesysSettings if kind == "genesys-notifications" else SimulatorSettings
    )
    foreign = given.keys() - {field.name for field in fields(model)}
    if foreign:
        raise ValueError(f"{kind} has no {', '.join(sorted(foreign))}")
    if model is GenesysSettings:
        return GenesysSettings(clients={client_id: client_secret}, **given)
    numbers = {"close_code": int(given["close_code"])} if "close_code" in given else {}
    return SimulatorSettings(
        kind=cast("Kind", kind), client_id=client_id, client_secret=client_secret, **{**given, **numbers}
    )


async def simulate(settings: SimulatorSettings | GenesysSettings, port: int, host: str = "127.0.0.1") -> None:
    """Run a simulator until SIGINT, SIGTERM or cancellation; print its addresses once it listens.

    Raises ``OSError`` where the port is taken.
    """
    if isinstance(settings, GenesysSettings):
        cloud = GenesysCloud(settings)
        await _serve(cloud, port, host, lambda: _genesys_addresses(cloud, settings))
    else:
        simulator = Simulator(settings)
        await _serve(simulator, port, host, lambda: _addresses(simulator, settings))


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
