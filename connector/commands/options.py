"""Options that several commands have, and the settings they lead to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.errors import ConfigurationError

if TYPE_CHECKING:
    from connector.audit.reading import Progress
    from connector.settings import ConfigurationSource, Settings, StreamSettings

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``-c FILE``, as the parameter ``config``."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="YAML or JSON; without it the environment (CCAAS__…) says all.",
    )(command)


def streams_for_shell(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of the streams in the file that ``-c`` names, for the shell's completion: no fault of it is told."""
    from connector.settings.yaml_file import YamlFaultError, read_yaml

    config = context.params.get("config")
    try:
        streams = read_yaml(Path(config)).get("streams", []) if config is not None else []
        names = [str(stream["name"]) for stream in streams]
    except (YamlFaultError, TypeError, KeyError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def stream_option(*, required: bool = False, multiple: bool = False, what: str = "") -> Callable[..., Any]:
    """``--stream NAME``, completed from the configuration, as the parameter ``name``, or ``names`` of several."""
    return click.option(
        "--stream",
        "names" if multiple else "name",
        required=required,
        multiple=multiple,
        metavar="NAME",
        shell_complete=streams_for_shell,
        help=what,
    )


def configuration_source(config: Path | None) -> ConfigurationSource:
    """File and environment, to be read more than once."""
    from connector.settings import ConfigurationSource

    return ConfigurationSource(config, os.environ)


def load_settings(config: Path | None) -> Settings:
    """The settings of file and environment; raises ConfigurationError with every fault."""
    from connector.settings import load

    return load(config, os.environ)


def stream_of(settings: Settings, name: str) -> StreamSettings:
    """The stream of that name; raises ConfigurationError with the names there are."""
    streams = {stream.name: stream for stream in settings.streams}
    if name not in streams:
        raise ConfigurationError(f"stream {name}: the configuration has {', '.join(sorted(streams))}")
    return streams[name]


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
