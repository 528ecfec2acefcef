"""A report of the ledger, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from connector.audit import AuditReport
from connector.core.positions import Span
from connector.core.verdict import EpochVerdict, GapRecord, StreamVerdict

_SHOWN = 10  # ranges of a kind in the text; JSON has more


def as_json(report: AuditReport) -> str:
    """One document, keys as in :class:`~connector.audit.AuditReport`, indented."""
    document = {
        "v": 1,
        "held": report.held,
        "records": report.records,
        "foreign": report.foreign,
        "unread": report.unread,
        "expired": [{"topic": topic, "partition": partition} for topic, partition in report.expired],
        "streams": [
            {"stream": s.stream, "held": s.held, "missing": s.missing, "duplicated": s.duplicated}
            | {name: getattr(s, name) for name in s.__dataclass_fields__}
            for s in report.streams
        ],
    }
    return orjson.dumps(document, default=lambda pair: pair._asdict(), option=orjson.OPT_INDENT_2).decode()


def as_text(report: AuditReport) -> str:
    """Lines for a terminal; the last one is the verdict."""
    lines = [line for stream in report.streams for line in _stream(stream)]
    lines += [
        f"unread: {at.topic}, partition {at.partition}, offsets {at.position} to {at.end}: a transaction is still open"
        for at in report.unread
    ]
    lines.append(f"{report.records:,} records read, {report.foreign:,} of them of others")
    return "\n".join([*lines, _conclusion(report)])


def _conclusion(report: AuditReport) -> str:
    if any(not stream.held for stream in report.streams):
        return "BROKEN: see above"
    if report.unread:
        return "NOT PROVED: not everything could be read"
    return "HELD: each position once, or in a dead letter, or inside a gap record; in order per key"


def _stream(stream: StreamVerdict) -> Iterator[str]:
    yield f"stream {stream.stream}: {'held' if stream.held else 'BROKEN'}"
    for epoch in stream.epochs:
        yield from _epoch(epoch)
    if stream.gaps:
        yield f"  gaps: {len(stream.gaps)}"
        yield from _some([_gap(gap) for gap in stream.gaps])
    yield f"  order: {stream.out_of_order:,} records out of order, {stream.split_keys:,} changes of a key's partition"
    yield f"  besides: {_rest(stream)}"
    at = stream.checkpoint
    told = "none" if at is None else f"{at.epoch}/{at.position}, {stream.beyond_checkpoint:,} positions written since"
    yield f"  checkpoint: {told}"
    if not stream.holes_told:
        yield "  holes cannot be told: positions are not contiguous, or retention has removed all of a partition"
    elif stream.judged_from is not None:
        since = stream.judged_from
        yield f"  holes are told from {since.epoch}/{since.position}: retention has removed records before it"


def _rest(stream: StreamVerdict) -> str:
    return (
        f"{stream.repeated_dead_letters:,} dead letters written twice, {stream.snapshot_records:,} records of "
        f"snapshots, {stream.malformed:,} records that cannot be understood"
    )


def _epoch(epoch: EpochVerdict) -> Iterator[str]:
    yield (
        f"  epoch {epoch.epoch}: positions {_span(epoch.positions)}: {epoch.events:,} events, "
        f"{epoch.dead_letters:,} dead letters, {epoch.missing:,} missing, {epoch.duplicated:,} duplicated, "
        f"{epoch.false_gaps:,} inside a gap record all the same"
    )
    yield from _some([f"missing {_span(span)}" for span in epoch.missing_spans])
    yield from _some([f"duplicated {_span(span)}" for span in epoch.duplicated_spans])


def _gap(gap: GapRecord) -> str:
    where = "positions unknown" if gap.first is None or gap.last is None else _span(Span(gap.first, gap.last))
    return f"{gap.epoch}/{where} ({gap.reason})"


def _span(span: Span) -> str:
    return str(span.first) if span.first == span.last else f"{span.first} to {span.last}"


def _some(lines: list[str]) -> Iterator[str]:
    for line in lines[:_SHOWN]:
        yield f"    {line}"
    if len(lines) > _SHOWN:
        yield f"    and {len(lines) - _SHOWN} more"
