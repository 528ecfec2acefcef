"""The demo's verdict: what the independent ledger found in Kafka, against what the platform knows that it sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from connector.audit import AuditReport


@dataclass(frozen=True, slots=True)
class Played:
    """What took place before the ledger was asked. ``sent``: the positions that the platform put on a socket."""

    sent: frozenset[int]
    rotations: int
    least_rotations: int
    resets: int
    closes_1008: int


@dataclass(frozen=True, slots=True)
class DemoVerdict:
    """The figures, and every reason why they do not prove the promise; none: it held."""

    events: int
    sent: int
    rotations: int
    lost: int
    duplicated: int
    out_of_order: int
    faults: tuple[str, ...]

    @property
    def held(self) -> bool:
        """Whether the exit code is 0."""
        return not self.faults


def sent_positions(runs: Iterable[tuple[int, int, int]]) -> frozenset[int]:
    """The positions of (epoch, first, last), over all sockets."""
    return frozenset(position for _, first, last in runs for position in range(first, last + 1))


def judge(report: AuditReport, played: Played) -> DemoVerdict:
    """Everything that the platform sent is in the event topic, once, in order; and the demo was worth something."""
    events = sum(stream.events for stream in report.streams)
    duplicated = sum(stream.duplicated for stream in report.streams)
    out_of_order = sum(stream.out_of_order for stream in report.streams)
    delivered = events - sum(epoch.duplicated for stream in report.streams for epoch in stream.epochs)
    lost = max(0, len(played.sent) - delivered)
    return DemoVerdict(
        events,
        len(played.sent),
        played.rotations,
        lost,
        duplicated,
        out_of_order,
        (*_broken(report, played, lost, duplicated, out_of_order), *_unproved(played)),
    )


def _broken(report: AuditReport, played: Played, lost: int, duplicated: int, out_of_order: int) -> Iterable[str]:
    if lost:
        yield f"{lost} lost"
    if duplicated:
        yield f"{duplicated} duplicated"
    if out_of_order:
        yield f"{out_of_order} out of order"
    if report.unread:
        yield f"{len(report.unread)} partitions could not be read to their end"
    if not played.sent:
        yield "the platform sent nothing"
        return
    spans = [(epoch.epoch, epoch.positions.first, epoch.positions.last) for s in report.streams for epoch in s.epochs]
    if not lost and spans != [(0, min(played.sent), max(played.sent))]:
        yield f"the ledger found other positions than were sent: {spans}"
    if not (lost or duplicated or out_of_order or report.unread or report.held):
        yield "the ledger found records that do not fit together"


def _unproved(played: Played) -> Iterable[str]:
    if played.rotations < played.least_rotations:
        yield f"{played.rotations} rotations, fewer than {played.least_rotations}"
    if not played.resets:
        yield "no connection was reset"
    if not played.closes_1008:
        yield "no socket was closed with 1008"
