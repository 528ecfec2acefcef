"""``checkpoint``: the positions of the streams, as committed."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.commands.options import config_option, json_option, load_settings, progress_bar, stream_of, stream_option
from connector.errors import ConfigurationError, PrerequisiteError

if TYPE_CHECKING:
    from connector.commands.records import JsonRecord
    from connector.kafka.client import KafkaClient
    from connector.model import Checkpoint
    from connector.settings import Settings

_WRITER = "ccaas-bridge checkpoint"
_COLUMNS = ("stream", "lane", "epoch", "position", "complete_until", "committed_at", "worker")


@click.group()
def checkpoint() -> None:
    """Show, change, rebuild and import the positions of the streams."""


@checkpoint.command("list")
@config_option
@json_option
def list_(config: Path | None, *, as_json: bool) -> None:
    """List how far each stream has come.

    \b
    Example: ccaas-bridge checkpoint list -c bridge.yaml
    """
    from connector.commands.records import as_json_document, as_table

    found = [_told(record) for record in _newest(load_settings(config))]
    click.echo(as_json_document("checkpoints", found) if as_json else as_table(_COLUMNS, found))


@checkpoint.command()
@config_option
@stream_option(required=True)
@json_option
def show(config: Path | None, name: str, *, as_json: bool) -> None:
    """Show all that a stream's checkpoint says, also of a stream that is no longer in the configuration.

    \b
    Example: ccaas-bridge checkpoint show -c bridge.yaml --stream wfm
    """
    from connector.commands.records import as_json_document

    found = [_told(record) for record in _newest(load_settings(config)) if record.key == name]
    if not found:
        raise ConfigurationError(f"--stream {name}: no checkpoint has that name")
    if as_json:
        click.echo(as_json_document("checkpoints", found))
    for field, value in found[0].items() if not as_json else ():
        click.echo(f"{field:20}{'-' if value is None else value}")


_reason_option = click.option("--reason", default="changed on the command line", help="Stands in the checkpoint.")


@checkpoint.command("set")
@config_option
@stream_option(required=True)
@click.option(
    "--position", type=click.IntRange(min=0), required=True, help="The last position that counts as delivered."
)
@click.option("--epoch", type=click.IntRange(min=0), help="Go on in this epoch; by default the present one.")
@_reason_option
def set_(config: Path | None, name: str, position: int, epoch: int | None, reason: str) -> None:
    """Let a stopped stream go on behind another position.

    Forward, what is left out becomes a gap record. Back, the platform's replay follows in a new epoch. The worker that
    owns the stream makes the change, once; where none runs, the next one that starts.

    \b
    Example: ccaas-bridge checkpoint set -c bridge.yaml --stream wfm --position 120000
    """
    _change(config, name, position, epoch, reason)


@checkpoint.command()
@config_option
@stream_option(required=True)
@_reason_option
def delete(config: Path | None, name: str, reason: str) -> None:
    """Let a stopped stream begin anew, as `start` says, in a new epoch.

    \b
    Example: ccaas-bridge checkpoint delete -c bridge.yaml --stream wfm
    """
    _change(config, name, None, None, reason)


@checkpoint.command()
@config_option
@stream_option(multiple=True, what="Of this stream only; may be repeated.")
@click.option("--topic", "topics", multiple=True, help="Read this event topic as well; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be written.")
def rebuild(config: Path | None, names: tuple[str, ...], topics: tuple[str, ...], *, dry_run: bool) -> None:
    """Make lost checkpoints anew from the headers of the event topics, gap records and dead letters.

    For after the checkpoint topic was lost. A stream that has a checkpoint keeps it. The bridge must be stopped.

    \b
    Example: ccaas-bridge checkpoint rebuild -c bridge.yaml --dry-run
    """
    settings = load_settings(config)
    from connector.commands.kafka import kafka_needed
    from connector.commands.recovery import recover
    from connector.worker import plans

    streams = [stream_of(settings, name) for name in names] or settings.streams
    client = plans.kafka_client(settings)
    with kafka_needed(settings):
        if not dry_run:
            _make_ready(client, settings)
        with progress_bar() as progress:
            found = recover(client, streams, topics, progress)
        kept = [] if dry_run else _write(client, settings, found)
    _tell(settings, found, kept, dry_run=dry_run)


@checkpoint.command("import")
@config_option
@click.option("--redis", "url", required=True, metavar="URL", help="Where the script kept its position.")
@click.option("--key", required=True, help="The key: an integer, or JSON with the position in the platform's field.")
@stream_option(required=True)
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be written.")
def import_(config: Path | None, url: str, key: str, name: str, *, dry_run: bool) -> None:
    """Take a stream's position over from a script that kept it in Redis.

    The stream then begins behind that position. It must have no checkpoint yet, and the bridge must be stopped.

    \b
    Example: ccaas-bridge checkpoint import -c bridge.yaml --redis redis://127.0.0.1 --key wfm:sequence --stream wfm
    """
    settings = load_settings(config)
    stream = stream_of(settings, name)
    from connector.commands.kafka import kafka_needed
    from connector.commands.redis_position import read_position
    from connector.model import Checkpoint
    from connector.settings import SequenceSettings
    from connector.worker import plans

    platform = settings.platform_of(stream)
    if not isinstance(platform, SequenceSettings):
        raise click.UsageError(f"positions of kind {platform.kind} are the bridge's own; nothing else has them")
    position = read_position(url, key, platform.position.field)
    found = [Checkpoint(name, position=position)]
    client = plans.kafka_client(settings)
    with kafka_needed(settings):
        if not dry_run:
            _make_ready(client, settings)
        kept = [] if dry_run else _write(client, settings, found)
    _tell(settings, found, kept, dry_run=dry_run)
    if kept:
        raise ConfigurationError(f"--stream {name}: has a checkpoint already, which was left as it is")


def _change(config: Path | None, name: str, position: int | None, epoch: int | None, reason: str) -> None:
    settings = load_settings(config)
    stream_of(settings, name)
    from connector.commands.kafka import kafka_needed
    from connector.commands.position import ask, done
    from connector.kafka.idle_group import IdleGroup
    from connector.model import PositionChange
    from connector.worker import plans

    client, lane = plans.kafka_client(settings), settings.lane_of(name)
    change = PositionChange(str(uuid.uuid4()), position, epoch, reason)
    with kafka_needed(settings):
        idle = not IdleGroup(client, settings.lanes).members()
        ask(client, name, change, idle=idle)
        if idle:
            click.echo(f"stream {name}: the change is kept, and made by the next worker that starts")
            return
        made = done(client, lane, name, change)
    where = "begins anew" if made.anew else f"stands at position {made.position}"
    click.echo(f"stream {name}: {where} in epoch {made.epoch}, to go on once it is resumed")


def _newest(settings: Settings) -> list[JsonRecord]:
    """The last checkpoint of each stream, by name."""
    from connector.commands.kafka import kafka_needed
    from connector.commands.records import read_records

    with kafka_needed(settings):
        records, unread = read_records(settings, settings.internal_topic("checkpoints"))
    if unread:
        raise PrerequisiteError(f"{unread[0].topic}, lane {unread[0].partition}: a transaction is still open")
    newest = {record.key: record for record in records}
    return [newest[name] for name in sorted(newest) if newest[name].value]


def _told(record: JsonRecord) -> dict[str, Any]:
    """A checkpoint's fields, and where it stands."""
    return {"stream": record.key, "lane": record.partition, "offset": record.offset} | record.value


def _make_ready(client: KafkaClient, settings: Settings) -> None:
    """The group is idle, and its topics are there."""
    from confluent_kafka.admin import AdminClient

    from connector.kafka.idle_group import IdleGroup
    from connector.kafka.topics import Topics
    from connector.worker import plans

    IdleGroup(client, settings.lanes).insist()
    topics = Topics(client, AdminClient(client.common()), settings.lanes, plans.topic_plan(settings))
    topics.ensure(plans.event_topics(settings))


def _write(client: KafkaClient, settings: Settings, found: Collection[Checkpoint]) -> list[str]:
    """Write a lane at a time; returns the streams that had a checkpoint and keep it."""
    from connector.kafka.idle_group import IdleGroup

    group = IdleGroup(client, settings.lanes)
    of_lane: dict[int, list[Checkpoint]] = {}
    for each in found:
        of_lane.setdefault(settings.lane_of(each.stream), []).append(each)
    return [kept for lane, checkpoints in of_lane.items() for kept in group.write(lane, checkpoints, _WRITER)]


def _tell(settings: Settings, found: Collection[Checkpoint], kept: Collection[str], *, dry_run: bool) -> None:
    from connector.commands.records import as_table

    rows = [
        {"stream": each.stream, "lane": settings.lane_of(each.stream), "epoch": each.epoch, "position": each.position}
        | {"": "would be written" if dry_run else "kept as it was" if each.stream in kept else "written"}
        for each in found
    ]
    click.echo(as_table(("stream", "lane", "epoch", "position", ""), rows) if rows else "no records, no checkpoints")
