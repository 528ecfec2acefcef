"""The command line: ``ccaas-bridge``. Exit codes: CONTRACT.md "Commands"."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from connector import __version__
from connector.errors import ConfigurationError, LaneMismatchError, PrerequisiteError

if TYPE_CHECKING:
    from connector.settings import Settings

EXIT_CONFIGURATION, EXIT_PREREQUISITE, EXIT_INTERRUPTED = 2, 3, 130
_LOG_LEVELS = click.Choice(["debug", "info", "warning", "error"], case_sensitive=False)


class _Commands(click.Group):
    """Ends every command with the exit code of the contract; nothing the user did wrong shows a traceback."""

    _CODES: ClassVar = {
        ConfigurationError: EXIT_CONFIGURATION,
        LaneMismatchError: EXIT_CONFIGURATION,
        PrerequisiteError: EXIT_PREREQUISITE,
    }

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command; its return value is an exit code, None means 0."""
        try:
            code = super().invoke(ctx)
        except tuple(self._CODES) as error:
            click.echo(str(error), err=True)
            ctx.exit(self._CODES[type(error)])
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)
        ctx.exit(code or 0)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ccaas-bridge", message="%(prog)s %(version)s")
def bridge() -> None:
    """Contact-centre event streams into Kafka: exactly once, in order, through every token rotation."""


def _config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="YAML or JSON; without it the environment (CCAAS__…) says all.",
    )(command)


def _load(config: Path | None) -> Settings:
    from connector.settings import load  # noqa: PLC0415 - `--help` and `--version` load nothing

    return load(config, os.environ)


@bridge.command()
@_config_option
@click.option("--log-level", type=_LOG_LEVELS, default="info", show_default=True)
@click.option("--log-json/--log-text", default=None, help="By default JSON, unless stderr is a terminal.")
def run(config: Path | None, log_level: str, *, log_json: bool | None) -> int:
    """Serve the streams of the configuration until SIGTERM or SIGINT.

    \b
    Example: ccaas-bridge run -c bridge.yaml
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    settings = _load(config)
    from connector.app import run_bridge  # noqa: PLC0415 - a faulty file is told before Kafka's library is loaded
    from connector.logs import configure_logs  # noqa: PLC0415

    configure_logs(log_level, json=log_json)
    return run_bridge(settings)


@bridge.command()
@click.option("--kafka", metavar="HOST:PORT", help="Use this cluster; by default an embedded broker.")
@click.option(
    "--seconds", type=click.FloatRange(1, 3600), default=30.0, show_default=True, help="How long events flow."
)
def demo(kafka: str | None, seconds: float) -> int:
    """Watch a stream survive its tokens, a network drop and a forced close; then count what arrived.

    Exits with 1 unless nothing is lost, duplicated or out of order.
    """
    from connector.demo import run_demo  # noqa: PLC0415 - heavy

    return run_demo(kafka, seconds)


@bridge.command()
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
    from connector.simulator.command import simulate as serve  # noqa: PLC0415 - heavy
    from connector.simulator.settings import SimulatorSettings  # noqa: PLC0415

    try:
        settings = SimulatorSettings(close_code=int(close_code), **options)  # type: ignore[arg-type]  # click checked it
        asyncio.run(serve(settings, port))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise ConfigurationError(f"--port {port}: {error.strerror or error}") from error


def main() -> None:
    """Entry point of the script and of ``python -m connector``."""
    bridge.main(prog_name="ccaas-bridge")
