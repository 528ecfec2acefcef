"""``run``: the service."""

from __future__ import annotations

from pathlib import Path

import click

from connector.commands.options import config_option, configuration_source

_LOG_LEVELS = click.Choice(["debug", "info", "warning", "error"], case_sensitive=False)


@click.command()
@config_option
@click.option("--log-level", type=_LOG_LEVELS, default="info", show_default=True)
@click.option("--log-json/--log-text", default=None, help="By default JSON, unless stderr is a terminal.")
def run(config: Path | None, log_level: str, *, log_json: bool | None) -> int:
    """Serve the streams of the configuration until SIGTERM or SIGINT.

    \b
    Example: ccaas-bridge run -c bridge.yaml
    """
    source = configuration_source(config)
    settings = source.read()
    from connector.app import run_bridge
    from connector.logs import configure_logs

    configure_logs(log_level, json=log_json)
    return run_bridge(settings, source)
