"""``simulate``: the platform simulator alone."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from connector.errors import ConfigurationError


@click.command()
@click.option(
    "--kind", type=click.Choice(["genesys-sequence", "nice-offset"]), default="genesys-sequence", show_default=True
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8900, show_default=True, help="On loopback; 0: any free one."
)
@click.option("--rate", type=float, default=100.0, show_default=True, help="Events a second and stream.")
@click.option("--backlog", type=int, default=0, show_default=True, help="Events that exist at the start.")
@click.option("--batch", type=int, default=1, show_default=True, help="Most events in one frame.")
@click.option("--payload-bytes", type=int, default=0, help="Pad events to about this size.")
@click.option("--conversations", type=int, default=500, show_default=True, help="Active conversations of a stream.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the event log.")
@click.option("--client-id", default="simulator", show_default=True)
@click.option("--client-secret", default="simulator-secret", show_default=True)
@click.option("--token-life", "token_life_s", type=float, default=3600.0, show_default=True, help="Seconds.")
@click.option(
    "--token-burst", "token_burst_s", type=float, default=0.0, help="Token requests closer than this get 429."
)
@click.option("--opaque-tokens", is_flag=True, help="Tokens without readable claims.")
@click.option("--omit-expires-in", is_flag=True, help="Token answers without expires_in.")
@click.option("--reissue", type=click.Choice(["keeps", "revokes"]), default="keeps", show_default=True)
@click.option(
    "--clock-skew", "clock_skew_s", type=float, default=0.0, help="The platform's clock minus ours, in seconds."
)
@click.option(
    "--retention", "retention_s", type=float, default=120.0, show_default=True, help="Seconds an event is kept."
)
@click.option("--expired-position", type=click.Choice(["head", "oldest", "refuse"]), default="head", show_default=True)
@click.option("--resume", type=click.Choice(["after", "at"]), default="after", show_default=True)
@click.option("--max-sockets", type=int, default=0, help="Of one stream at a time; 0: any number.")
@click.option(
    "--open-delay", "open_delay_s", type=float, default=0.0, help="A new socket is silent for so many seconds."
)
@click.option("--close-code", type=click.Choice(["1008", "4001"]), default="1008", show_default=True)
def simulate(port: int, close_code: str, **options: Any) -> None:  # noqa: ANN401 - the simulator's own fields
    """Be a contact-centre platform on loopback: OAuth, streams, snapshot, and faults on demand."""
    from connector.simulator.command import simulate as serve
    from connector.simulator.settings import SimulatorSettings

    try:
        settings = SimulatorSettings(close_code=int(close_code), **options)  # type: ignore[arg-type]  # click checked it
        asyncio.run(serve(settings, port))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise ConfigurationError(f"--port {port}: {error.strerror or error}") from error
