"""``simulate``: a simulated platform alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import click

from connector.errors import ConfigurationError

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
_KINDS = ("genesys-sequence", "nice-offset", "genesys-notifications")


def _setting(flag: str, kind: type | click.ParamType[Any], told: str, name: str | None = None) -> _Decorator:
    """An option that is a field of the simulator's settings; where it is not given, their default holds."""
    return click.option(flag, *([name] if name else []), type=kind, default=None, help=told)


def _switch(flag: str, told: str) -> _Decorator:
    return click.option(flag, is_flag=True, default=None, help=told)


@click.command()
@click.option("--kind", type=click.Choice(_KINDS), default="genesys-sequence", show_default=True)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8900, show_default=True, help="On loopback; 0: any free one."
)
@_setting("--rate", float, "Events a second and stream; of Genesys Cloud: steps of conversations a second.")
@_setting("--conversations", int, "Active at a time.")
@_setting("--seed", int, "Of what happens.")
@click.option("--client-id", default="simulator", show_default=True)
@click.option("--client-secret", default="simulator-secret", show_default=True)
@_setting("--token-life", float, "Seconds.", "token_life_s")
@_setting("--clock-skew", float, "The platform's clock minus ours, in seconds.", "clock_skew_s")
@_setting("--backlog", int, "[streams] Events that exist at the start.")
@_setting("--batch", int, "[streams] Most events in one frame.")
@_setting("--payload-bytes", int, "[streams] Pad events to about this size.")
@_setting("--token-burst", float, "[streams] Token requests closer than so many seconds get 429.", "token_burst_s")
@_switch("--opaque-tokens", "[streams] Tokens without readable claims.")
@_switch("--omit-expires-in", "[streams] Token answers without expires_in.")
@_setting("--reissue", click.Choice(["keeps", "revokes"]), "[streams] A new token leaves the former alive or not.")
@_setting("--retention", float, "[streams] Seconds an event is kept.", "retention_s")
@_setting("--expired-position", click.Choice(["head", "oldest", "refuse"]), "[streams] What it gets.")
@_setting("--resume", click.Choice(["after", "at"]), "[streams] Where a socket opened at N begins.")
@_setting("--max-sockets", int, "[streams] Of one stream at a time; 0: any number.")
@_setting("--open-delay", float, "[streams] A new socket is silent for so many seconds.", "open_delay_s")
@_setting("--close-code", click.Choice(["1008", "4001"]), "[streams] Of a socket whose token has died.")
@_setting("--queues", int, "[notifications] How many there are.")
@_setting("--users", int, "[notifications] How many there are.")
@_setting("--token-idle", float, "[notifications] Seconds without a request that end a token.", "token_idle_s")
@_setting("--channel-life", float, "[notifications] Seconds since it was last subscribed.", "channel_life_s")
@_setting("--rate-allowed", int, "[notifications] REST requests a minute and token.")
@_setting("--dead-socket", click.Choice(["starves", "closes"]), "[notifications] Of a channel that is no more.")
@_setting("--channel-owner", click.Choice(["app", "token"]), "[notifications] Who may name a channel.")
def simulate(kind: str, port: int, client_id: str, client_secret: str, **options: Any) -> None:  # noqa: ANN401 - the simulator's own fields
    """Be a contact-centre platform on loopback: OAuth, events, REST, and faults on demand.

    Options marked [streams] belong to the kinds genesys-sequence and nice-offset, those marked [notifications] to
    genesys-notifications.

    Example: ccaas-bridge simulate --kind genesys-notifications --rate 100 --token-life 600
    """
    from connector.simulator import command

    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = command.settings_of(kind, client_id, client_secret, given)
        asyncio.run(command.simulate(settings, port))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise ConfigurationError(f"--port {port}: {error.strerror or error}") from error
