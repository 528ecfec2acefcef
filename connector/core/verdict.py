"""What the independent ledger says of a stream: each position once, or in a dead letter, or inside a gap; in order.

``connector.core.evidence`` comes to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from connector.core.positions import Span

SHOWN: Final = 100  # so many ranges of a fault are kept in a report; all are counted


class Point(NamedTuple):
    """How far a stream's checkpoint says it is; comparable within and across epochs."""

    epoch: int
    position: int


@dataclass(frozen=True, slots=True)
class GapRecord:
    """A gap as its record tells it; ``first`` and ``last`` are missing themselves, None where positions are opaque."""

    epoch: int
    first: int | None
    last: int | None
    reason: str


class DeadLetter(NamedTuple):
    """Who a dead letter is: two that are equal are one written twice. ``epoch`` is None where it does not say."""

    epoch: int | None
    position: int | None
    after_position: int | None
    ordinal: int | None
    sha256: str


@dataclass(frozen=True, slots=True)
class EpochVerdict:
    """One epoch of a stream: ``positions`` from the first to the last that is covered, and what is wrong there.

    ``events``, ``missing``, ``duplicated`` and ``false_gaps`` count positions (a position seen three times is
    duplicated twice); the spans show the first :data:`SHOWN` of them.
    """

    epoch: int
    positions: Span
    events: int
    dead_letters: int
    missing: int
    missing_spans: tuple[Span, ...]
    duplicated: int
    duplicated_spans: tuple[Span, ...]
    false_gaps: int


@dataclass(frozen=True, slots=True)
class StreamVerdict:
    """What became of one stream.

    ``beyond_checkpoint``: positions not yet covered by the checkpoint that was read. ``judged_from``: the first point
    of which holes can be told, where the topics' retention has removed records; None: from the beginning.
    ``holes_told``: False where none can be told at all. ``split_keys``: how often a key changed its partition.
    """

    stream: str
    epochs: tuple[EpochVerdict, ...]
    gaps: tuple[GapRecord, ...]
    checkpoint: Point | None
    beyond_checkpoint: int
    events: int
    dead_letters: int
    repeated_dead_letters: int
    snapshot_records: int
    out_of_order: int
    split_keys: int
    malformed: int
    judged_from: Point | None = None
    holes_told: bool = True

    @property
    def missing(self) -> int:
        """Positions that are nowhere."""
        return sum(epoch.missing for epoch in self.epochs)

    @property
    def duplicated(self) -> int:
        """Deliveries beyond the first, of positions and of dead letters without one."""
        return sum(epoch.duplicated for epoch in self.epochs) + self.repeated_dead_letters

    @property
    def false_gaps(self) -> int:
        """Positions inside a gap record that were delivered all the same."""
        return sum(epoch.false_gaps for epoch in self.epochs)

    @property
    def held(self) -> bool:
        """Whether P1, P2 and the last sentence of P7 hold."""
        faults = self.missing + self.duplicated + self.false_gaps + self.out_of_order + self.split_keys
        return faults + self.malformed == 0
