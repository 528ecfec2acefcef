"""``streams``: what the status page shows, on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.commands.options import config_option, json_option, load_settings
from connector.errors import ConfigurationError

if TYPE_CHECKING:
    from connector.top import Worker


@click.command()
@config_option
@click.option("--url", metavar="URL", help="A worker's API; by default the listener of the configuration.")
@click.option("--token", envvar="CCAAS_TOKEN", metavar="TOKEN", help="By default that of the configuration.")
@click.option("--find", default="", metavar="TEXT", help="Only streams with this in their name, worker or state.")
@json_option
def streams(config: Path | None, url: str | None, token: str | None, find: str, *, as_json: bool) -> int:
    """Show all streams of the group, as one of its workers sees them: live on a terminal, else once.

    Any worker answers for all. Streams that need help come first.

    Exits with 3 where the worker does not answer.

    \b
    Examples:
      ccaas-bridge streams -c bridge.yaml
      ccaas-bridge streams --url https://bridge.example.com --find failed
      ccaas-bridge streams -c bridge.yaml --json | jq '.streams[] | select(.phase == "FAILED")'
    """
    worker = _worker(config, url, token)
    from connector import top

    if as_json:
        click.echo(top.as_json(worker, find))
    elif sys.stdout.isatty():
        top.follow(worker, find)
    else:
        top.once(worker, find)
    return 0


def _worker(config: Path | None, url: str | None, token: str | None) -> Worker:
    from connector.top import Worker

    if url is not None:
        return Worker(url.rstrip("/"), token)
    if config is None:
        raise ConfigurationError("which worker? Give --url, or its configuration with -c")
    http = load_settings(config).http
    known = http.token or http.read_token
    scheme = "http" if http.tls is None else "https"
    return Worker(f"{scheme}://{http.listen}", token or (None if known is None else known.get_secret_value()))
