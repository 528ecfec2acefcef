"""``audit``: the independent ledger over the topics."""

from __future__ import annotations

from pathlib import Path

import click

from connector.commands.options import config_option, json_option, load_settings, progress_bar, stream_of, stream_option
from connector.errors import ConfigurationError

EXIT_HELD, EXIT_BROKEN, EXIT_UNREAD = 0, 1, 3
_LAST = 2**63 - 1
_POSITION = click.IntRange(min=0)


@click.command()
@config_option
@stream_option(required=True)
@click.option("--topic", "topics", multiple=True, help="Read this topic as well; may be repeated.")
@click.option("--from", "first", type=_POSITION, default=0, help="First position to judge, in every epoch.")
@click.option("--to", "last", type=_POSITION, default=_LAST, help="Last position to judge, in every epoch.")
@json_option
def audit(config: Path | None, name: str, topics: tuple[str, ...], first: int, last: int, *, as_json: bool) -> int:
    """Read a stream's topics and prove that each position is there once, and in order.

    Reads events, gap records, dead letters and the checkpoint as a read_committed consumer does, from the beginning to
    the present end. It knows nothing of the code that wrote them. Read as well are topics that the stream's checkpoint
    names; --topic adds what it does not know: topics of a stream whose checkpoint is lost.

    Exits with 0 if the promise held, 1 if it is broken, 3 if Kafka is away or a transaction stays open.

    \b
    Examples:
      ccaas-bridge audit -c bridge.yaml --stream wfm
      ccaas-bridge audit -c bridge.yaml --stream wfm --from 120000 --to 180000 --json
    """
    if first > last:
        raise ConfigurationError("--from is greater than --to")
    settings = load_settings(config)
    stream = stream_of(settings, name)
    from connector.audit import Scope, report
    from connector.audit import audit as read_and_judge
    from connector.commands.kafka import kafka_needed
    from connector.core.positions import Span
    from connector.worker import plans

    within = None if (first, last) == (0, _LAST) else Span(first, last)
    scope = Scope(frozenset({name}), settings.platform_of(stream).contiguous, within)
    client = plans.kafka_client(settings).common()
    with kafka_needed(settings), progress_bar() as progress:
        found = read_and_judge(client, settings.group, [*stream.topics(), *topics], scope, progress=progress)
    click.echo(report.as_json(found) if as_json else report.as_text(found))
    if any(not verdict.held for verdict in found.streams):
        return EXIT_BROKEN
    return EXIT_UNREAD if found.unread else EXIT_HELD
