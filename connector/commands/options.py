"""Options that several commands have, and the settings they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.errors import ConfigurationError

if TYPE_CHECKING:
    from connector.settings import Settings, StreamSettings

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


def load_settings(config: Path | None) -> Settings:
    """The settings of file and environment; raises ConfigurationError with every fault."""
    from connector.settings import load

    return load(config, os.environ)


def stream_of(settings: Settings, name: str) -> StreamSettings:
    """The stream of that name; raises ConfigurationError with the names there are."""
    streams = {stream.name: stream for stream in settings.streams}
    if name not in streams:
        raise ConfigurationError(f"--stream {name}: the configuration has {', '.join(sorted(streams))}")
    return streams[name]
