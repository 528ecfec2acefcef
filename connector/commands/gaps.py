"""``gaps``: the gap records, listed or exported."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from connector.commands.options import config_option, json_option, load_settings, stream_option

EXIT_DONE, EXIT_UNREAD = 0, 3
_COLUMNS = ("stream", "epoch", "from", "to", "reason", "from_time", "to_time", "detected_at", "snapshot", "snapshot_id")


@click.command()
@config_option
@stream_option(what="Of this stream only.")
@click.option("--since", type=click.DateTime(), help="Detected at or after this instant, UTC.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a header line on stdout.")
def gaps(config: Path | None, name: str | None, since: datetime | None, *, as_json: bool, as_csv: bool) -> int:
    """List what the platforms no longer had: which positions, why, and what became of the snapshot.

    Exits with 3 if Kafka is away or a transaction stays open.

    \b
    Examples:
      ccaas-bridge gaps -c bridge.yaml
      ccaas-bridge gaps -c bridge.yaml --stream wfm --since 2026-11-24T06:00:00 --csv > gaps.csv
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two formats; choose one")
    settings = load_settings(config)
    from connector.commands.kafka import kafka_needed
    from connector.commands.records import as_json_document, as_table, read_records

    with kafka_needed(settings):
        records, unread = read_records(settings, settings.internal_topic("gaps"))
    least = None if since is None else since.replace(tzinfo=UTC)
    found = [r.value for r in records if name in (None, r.key) and (least is None or _detected(r.value) >= least)]
    if as_json:
        click.echo(as_json_document("gaps", found))
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, _COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    else:
        click.echo(as_table(_COLUMNS[:-1], found))
    for at in unread:
        click.echo(f"not read: {at.topic} from offset {at.position}: a transaction is still open", err=True)
    return EXIT_UNREAD if unread else EXIT_DONE


def _detected(gap: dict[str, Any]) -> datetime:
    """When it was noticed; a record that does not say is old."""
    try:
        return datetime.fromisoformat(gap["detected_at"])
    except (KeyError, TypeError, ValueError):
        return datetime.min.replace(tzinfo=UTC)
