"""``check``: every prerequisite, and how to mend those that are missing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from connector.commands.options import config_option, json_option, load_settings
from connector.errors import ConfigurationError

EXIT_PASSED, EXIT_CONFIGURATION, EXIT_MISSING = 0, 2, 3


@click.command()
@config_option
@json_option
def check(config: Path | None, *, as_json: bool) -> int:
    """Look at everything that the bridge needs, and say how to mend what is missing.

    Configuration; name, TCP and TLS of every address; a token; the handshake of every stream, closed with 1000 at
    once; the snapshot; Kafka, topics with their settings and permissions, lanes, an aborted transaction; Redis.
    Changes nothing, also beside a bridge that runs.

    Exits with 0 if nothing fails, 2 if the configuration is wrong, 3 if something outside is missing.

    \b
    Example: ccaas-bridge check -c bridge.yaml
    """
    try:
        settings = load_settings(config)
    except ConfigurationError as error:
        if not as_json:
            raise
        from connector.check import CheckReport, report
        from connector.core.finding import fails

        faulty = CheckReport((fails("configuration", str(error), "see docs/configuration.md"),))
        click.echo(report.as_json(faulty))
        return EXIT_CONFIGURATION
    from connector.check import check as look
    from connector.check import report
    from connector.commands.kafka import hush_clients

    hush_clients()
    found = asyncio.run(look(settings))
    click.echo(report.as_json(found) if as_json else report.as_text(found))
    if found.passed:
        return EXIT_PASSED
    return EXIT_CONFIGURATION if found.lanes_differ else EXIT_MISSING
