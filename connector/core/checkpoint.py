"""The checkpoint record (CONTRACT.md): encoding, decoding, and what it becomes when entries are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import takewhile
from typing import Any

import orjson

from connector.core.instants import rfc3339
from connector.core.unreadables import REMEMBERED
from connector.errors import CheckpointVersionError
from connector.model import Batch, Checkpoint, DeadLetterId, Entry

VERSION = 1
LANES_KEY = "$lanes"
"""Key of the record, in partition 0, that says how many lanes the topic was made for."""

Offsets = Mapping[str, Mapping[int, int]]


def encode(checkpoint: Checkpoint, worker: str, now_ms: int) -> bytes:
    """The record's value."""
    return orjson.dumps(
        {
            "v": VERSION,
            "stream": checkpoint.stream,
            "epoch": checkpoint.epoch,
            "position": None if checkpoint.position is None else str(checkpoint.position),
            "event_time": _text(checkpoint.event_time_ms),
            "complete_until": _text(checkpoint.complete_until_ms),
            "offsets": checkpoint.offsets,
            "dead_letters_since": [
                {"ordinal": d.ordinal, "sha256": d.sha256, "covers": d.covers} for d in checkpoint.dead_letters
            ],
            "snapshot": {"id": checkpoint.snapshot_id, "records": checkpoint.snapshot_records},
            "stopped": checkpoint.stopped,
            "command_id": checkpoint.command_id,
            "reason": checkpoint.reason,
            "anew": checkpoint.anew,
            "committed_at": rfc3339(now_ms),
            "worker": worker,
        },
        option=orjson.OPT_NON_STR_KEYS,
    )


NO_CHECKPOINT = (ValueError, TypeError, KeyError, AttributeError)


def decode(value: bytes) -> Checkpoint:
    """A record's value; raises :class:`CheckpointVersionError` for a major version this bridge does not know.

    What is no checkpoint of any version raises one of :data:`NO_CHECKPOINT`.
    """
    fields = orjson.loads(value)
    if fields["v"] != VERSION:
        raise CheckpointVersionError(
            f"a checkpoint of stream {fields.get('stream')!r} has version {fields.get('v')!r}; this bridge reads "
            f"version {VERSION}: run the bridge that wrote it, or a newer one"
        )
    position, snapshot = fields["position"], fields.get("snapshot") or {}
    return Checkpoint(
        stream=fields["stream"],
        epoch=fields["epoch"],
        position=None if position is None else int(position),
        event_time_ms=_ms(fields.get("event_time")),
        complete_until_ms=_ms(fields.get("complete_until")),
        offsets={t: {int(p): o for p, o in by_partition.items()} for t, by_partition in fields["offsets"].items()},
        dead_letters=tuple(map(_dead_letter, fields.get("dead_letters_since", ()))),
        snapshot_id=snapshot.get("id"),
        snapshot_records=snapshot.get("records", 0),
        stopped=fields.get("stopped", False),
        command_id=fields.get("command_id"),
        reason=fields.get("reason"),
        anew=fields.get("anew", False),
    )


def advance(known: Checkpoint, batches: Sequence[Batch], offsets: Offsets) -> Checkpoint:
    """The checkpoint once the batches (of one stream, in order) are written; ``offsets`` are those of their records."""
    for batch in batches:
        if batch.start is not None:
            known = replace(batch.start, epoch=known.epoch, offsets=known.offsets, command_id=known.command_id)
        if batch.move is not None:
            known = replace(batch.move.to, offsets=known.offsets, complete_until_ms=known.complete_until_ms)
        elif batch.entries:
            known = _advance_over(known, batch)
        if batch.complete_until_ms is not None:
            known = replace(known, complete_until_ms=_later(batch.complete_until_ms, known.complete_until_ms))
    if not offsets:
        return known
    merged = {topic: dict(by_partition) for topic, by_partition in known.offsets.items()}
    for topic, by_partition in offsets.items():
        merged.setdefault(topic, {}).update(by_partition)
    return replace(known, offsets=merged)


def written_since(committed: Mapping[str, Checkpoint], undecided: Sequence[Checkpoint]) -> set[tuple[str, int, int]]:
    """Topic, partition and offset of records that came with undecided checkpoints and not with the committed ones."""
    return {
        (topic, partition, offset)
        for checkpoint in undecided
        for topic, by_partition in checkpoint.offsets.items()
        for partition, offset in by_partition.items()
        if offset > _offset_of(committed.get(checkpoint.stream), topic, partition)
    }


def is_beyond(committed: Mapping[str, Checkpoint], stream: str, topic: str, partition: int, offset: int) -> bool:
    """Whether a record of a stream that has a checkpoint is not accounted for by it."""
    return stream in committed and offset > _offset_of(committed[stream], topic, partition)


def _offset_of(checkpoint: Checkpoint | None, topic: str, partition: int) -> int:
    return -1 if checkpoint is None else checkpoint.offsets.get(topic, {}).get(partition, -1)


def _advance_over(known: Checkpoint, batch: Batch) -> Checkpoint:
    last = batch.entries[-1]
    event_time_ms = next((e.event_time_ms for e in reversed(batch.entries) if e.event_time_ms is not None), None)
    behind = list(takewhile(lambda e: e.position == last.position and _is_behind(e), reversed(batch.entries)))
    dead_letters = [DeadLetterId(e.ordinal, e.sha256, e.covers) for e in reversed(behind) if e.sha256]
    if len(behind) == len(batch.entries) and (known.epoch, known.position or 0) == (batch.epoch, last.position):
        dead_letters = [*known.dead_letters, *dead_letters]
    return replace(
        known,
        epoch=batch.epoch,
        position=last.position if known.position is not None or last.position else None,
        event_time_ms=event_time_ms if event_time_ms is not None else known.event_time_ms,
        complete_until_ms=_later(event_time_ms, known.complete_until_ms),
        dead_letters=tuple(dead_letters[-REMEMBERED:]),
        snapshot_id=batch.snapshot_id,
        snapshot_records=last.snapshot_records,
        stopped=batch.stopped,
        reason=None,
    )


def _is_behind(entry: Entry) -> bool:
    """Whether an entry stands behind its position rather than for it: a dead letter, a snapshot's record."""
    return entry.ordinal > 0 or entry.snapshot_records > 0


def _later(one_ms: int | None, other_ms: int | None) -> int | None:
    return max((ms for ms in (one_ms, other_ms) if ms is not None), default=None)


def _dead_letter(fields: Mapping[str, Any]) -> DeadLetterId:
    return DeadLetterId(fields["ordinal"], fields["sha256"], fields.get("covers", False))


def _text(time_ms: int | None) -> str | None:
    return None if time_ms is None else rfc3339(time_ms)


def _ms(text: str | None) -> int | None:
    return None if text is None else round(datetime.fromisoformat(text).timestamp() * 1000)
