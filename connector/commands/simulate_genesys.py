"""``simulate-genesys``: a simulated Genesys Cloud."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from connector.errors import ConfigurationError


@click.command("simulate-genesys")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8900, show_default=True, help="On loopback; 0: any free one."
)
@click.option("--rate", type=float, default=20.0, show_default=True, help="Steps of conversations a second.")
@click.option("--conversations", type=int, default=50, show_default=True, help="Active at a time.")
@click.option("--queues", type=int, default=6, show_default=True)
@click.option("--users", type=int, default=24, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Of what happens.")
@click.option("--client-id", default="simulator", show_default=True)
@click.option("--client-secret", default="simulator-secret", show_default=True)
@click.option("--token-life", "token_life_s", type=float, default=86_400.0, show_default=True, help="Seconds.")
@click.option("--token-idle", "token_idle_s", type=float, default=0.0, help="Seconds without a request; 0: never ends.")
@click.option("--channel-life", "channel_life_s", type=float, default=86_400.0, show_default=True, help="Seconds.")
@click.option("--rate-allowed", type=int, default=300, show_default=True, help="REST requests a minute and token.")
@click.option("--dead-socket", type=click.Choice(["starves", "closes"]), default="starves", show_default=True)
@click.option("--channel-owner", type=click.Choice(["app", "token"]), default="app", show_default=True)
def simulate_genesys(port: int, client_id: str, client_secret: str, **options: Any) -> None:  # noqa: ANN401 - as declared
    """Be Genesys Cloud on loopback: OAuth, notification channels, REST, and faults on demand.

    Example: ccaas-bridge simulate-genesys --rate 100 --token-life 600
    """
    from connector.simulator.command import simulate_genesys as serve
    from connector.simulator.genesys import GenesysSettings

    try:
        asyncio.run(serve(GenesysSettings(clients={client_id: client_secret}, **options), port))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise ConfigurationError(f"--port {port}: {error.strerror or error}") from error
