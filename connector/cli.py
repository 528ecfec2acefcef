"""The command line: ``ccaas-bridge``. Its commands are in ``connector/commands``, exit codes in CONTRACT.md."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

import click

from connector import __version__
from connector.errors import ConfigurationError, LaneMismatchError, PrerequisiteError

EXIT_CONFIGURATION, EXIT_PREREQUISITE, EXIT_INTERRUPTED = 2, 3, 130
COMMANDS = ("demo", "check", "run", "streams", "audit", "gaps", "checkpoint", "simulate")
"""In the order of the help. Each is a module of ``connector.commands`` with a click command of the same name."""


class _Commands(click.Group):
    """Finds commands by name; ends each with the contract's exit code; no fault of the user shows a traceback."""

    _CODES: ClassVar = {
        ConfigurationError: EXIT_CONFIGURATION,
        LaneMismatchError: EXIT_CONFIGURATION,
        PrerequisiteError: EXIT_PREREQUISITE,
    }

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command, most used first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command, its file loaded now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"connector.commands.{cmd_name}"), cmd_name)
        return command

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


def main() -> None:
    """Entry point of the script and of ``python -m connector``."""
    bridge.main(prog_name="ccaas-bridge")
