"""``streams``: what the status page shows, on a terminal; and its verbs, for any number of streams at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.commands.options import config_option, json_option, load_settings, stream_of, streams_for_shell
from connector.errors import ConfigurationError

if TYPE_CHECKING:
    from connector.model import Target
    from connector.top import Worker


@click.group(invoke_without_command=True)
@click.pass_context
@config_option
@click.option("--url", metavar="URL", help="A worker's API; by default the listener of the configuration.")
@click.option("--token", envvar="CCAAS_TOKEN", metavar="TOKEN", help="By default that of the configuration.")
@click.option("--find", default="", metavar="TEXT", help="Only streams with this in their name, worker or state.")
@json_option
def streams(
    context: click.Context, config: Path | None, url: str | None, token: str | None, find: str, *, as_json: bool
) -> int:
    """Show all streams of the group, as one of its workers sees them: live on a terminal, else once.

    Any worker answers for all. Streams that need help come first.

    The commands below tell streams what to do, as many as you name in one transaction, through Kafka.

    Exits with 3 where the worker, or Kafka, does not answer.

    \b
    Examples:
      ccaas-bridge streams -c bridge.yaml
      ccaas-bridge streams --url https://bridge.example.com --find failed
      ccaas-bridge streams -c bridge.yaml --json | jq '.streams[] | select(.phase == "FAILED")'
      ccaas-bridge streams pause -c bridge.yaml --all
    """
    if context.invoked_subcommand is not None:
        return 0
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


# ---------------------------------------------------------------------- verbs


def _verb(command: Callable[..., Any]) -> Callable[..., Any]:
    """Whom a verb is for: names, or ``--all``, as the parameters ``names`` and ``everyone``."""
    command = click.option("--all", "everyone", is_flag=True, help="Every stream of the configuration.")(command)
    command = config_option(command)
    return click.argument("names", nargs=-1, metavar="[STREAM]...", shell_complete=streams_for_shell)(command)


@streams.command()
@_verb
def pause(config: Path | None, names: tuple[str, ...], *, everyone: bool) -> None:
    """Have streams commit what they have read and close their sockets; their lanes stay.

    \b
    Examples:
      ccaas-bridge streams pause -c bridge.yaml wfm crm
      ccaas-bridge streams pause -c bridge.yaml --all
    """
    from connector.model import Target

    _steer(config, names, Target.PAUSED, everyone=everyone)


@streams.command()
@_verb
def resume(config: Path | None, names: tuple[str, ...], *, everyone: bool) -> None:
    """Have paused or stopped streams go on from their last commit.

    \b
    Example: ccaas-bridge streams resume -c bridge.yaml --all
    """
    from connector.model import Target

    _steer(config, names, Target.RUNNING, everyone=everyone)


@streams.command()
@_verb
def stop(config: Path | None, names: tuple[str, ...], *, everyone: bool) -> None:
    """Pause streams, so that their positions may be changed too.

    \b
    Example: ccaas-bridge streams stop -c bridge.yaml wfm
    """
    from connector.model import Target

    _steer(config, names, Target.STOPPED, everyone=everyone)


@streams.command()
@_verb
def restart(config: Path | None, names: tuple[str, ...], *, everyone: bool) -> None:
    """Have running streams opened again from their last commit, once.

    \b
    Example: ccaas-bridge streams restart -c bridge.yaml wfm
    """
    _steer(config, names, None, everyone=everyone)


def _steer(config: Path | None, names: tuple[str, ...], target: Target | None, *, everyone: bool) -> None:
    if bool(names) == everyone:
        raise ConfigurationError("which streams? Name them, or say --all")
    settings = load_settings(config)
    wanted = [stream.name for stream in settings.streams] if everyone else [stream_of(settings, n).name for n in names]
    from connector.commands.kafka import kafka_needed
    from connector.commands.steering import steer
    from connector.worker import plans

    with kafka_needed(settings):
        steer(plans.kafka_client(settings), wanted, target)
    click.echo(f"{len(wanted)} streams are told; ccaas-bridge streams shows what they do")
