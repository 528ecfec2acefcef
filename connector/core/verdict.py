"""Judges a stream by the records a reader found: each position once, or in a dead letter, or inside a gap; in order.

Knows nothing of Kafka clients nor of the code that wrote the records. It keeps a byte for each position, in pages, and
one entry for each key: millions of positions fit. Rules:

* A position is *covered* by an event, a dead letter or a gap. Between the first and the last covered position of an
  epoch every other one is missing.
* A position delivered twice, as event or dead letter, is a duplicate. A gap over a delivered position is a false gap.
* Of one key in one topic, positions never decrease, and all of its records are in one partition.
* Positions beyond the stream's checkpoint are no evidence of a loss: a live stream is read partition by partition.
  A checkpoint beyond the last record is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from connector.core.positions import PositionCounts, Span, joined, without

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
    """What became of one stream. ``beyond_checkpoint``: events not yet covered by the checkpoint that was read."""

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


@dataclass(slots=True)
class _Epoch:
    delivered: PositionCounts = field(default_factory=PositionCounts)
    gaps: list[Span] = field(default_factory=list)
    events: int = 0
    dead_letters: int = 0

    def covered(self) -> Span | None:
        """From the first to the last position that was delivered or is in a gap."""
        extent = self.delivered.extent()
        spans = self.gaps if extent is None else [*self.gaps, extent]
        return Span(min(span.first for span in spans), max(span.last for span in spans)) if spans else None


class StreamEvidence:
    """Takes in the records of one stream, in the order of each partition, and judges them at last.

    ``contiguous``: whether the platform numbers without holes; where it does not, nothing can be called missing.
    """

    def __init__(self, stream: str, *, contiguous: bool = True) -> None:
        self.stream = stream
        self.checkpoint: Point | None = None
        self.snapshot_records = 0
        self.malformed = 0
        self._contiguous = contiguous
        self._epochs: dict[int, _Epoch] = {}
        self._gaps: list[GapRecord] = []
        self._keys: dict[str, dict[bytes, tuple[int, int, int]]] = {}
        self._split: set[tuple[str, bytes]] = set()
        self._out_of_order = 0
        self._dead_letters: list[DeadLetter] = []

    def event(self, topic: str, partition: int, key: bytes, epoch: int, position: int) -> None:
        """An event record."""
        of_epoch = self._epoch(epoch)
        of_epoch.delivered.add(position)
        of_epoch.events += 1
        keys = self._keys.get(topic)
        if keys is None:
            keys = self._keys[topic] = {}
        before = keys.get(key)
        if before is not None:
            if before[0] != partition:
                self._split.add((topic, key))
            elif (epoch, position) < before[1:]:
                self._out_of_order += 1
                return
        keys[key] = (partition, epoch, position)

    def dead_letter(self, letter: DeadLetter) -> None:
        """A dead letter; it covers its position, if it has one."""
        self._dead_letters.append(letter)

    def gap(self, gap: GapRecord) -> None:
        """A gap record; without positions it is only reported."""
        self._gaps.append(gap)
        if gap.first is not None and gap.last is not None:
            if gap.last < gap.first:
                self.malformed += 1
            else:
                self._epoch(gap.epoch).gaps.append(Span(gap.first, gap.last))

    def verdict(self) -> StreamVerdict:
        """Judge what was taken in. To be called once, at the end."""
        repeated = self._bury_dead_letters()
        epochs = [self._judge(number, self._epochs[number]) for number in sorted(self._epochs)]
        return StreamVerdict(
            stream=self.stream,
            epochs=tuple(epoch for epoch in epochs if epoch is not None),
            gaps=tuple(self._gaps),
            checkpoint=self.checkpoint,
            beyond_checkpoint=sum(self._beyond_checkpoint(number) for number in self._epochs),
            events=sum(epoch.events for epoch in self._epochs.values()),
            dead_letters=len(self._dead_letters),
            repeated_dead_letters=repeated,
            snapshot_records=self.snapshot_records,
            out_of_order=self._out_of_order,
            split_keys=len(self._split),
            malformed=self.malformed,
        )

    def _epoch(self, number: int) -> _Epoch:
        epoch = self._epochs.get(number)
        if epoch is None:
            epoch = self._epochs[number] = _Epoch()
        return epoch

    def _bury_dead_letters(self) -> int:
        """Deliver the positions of dead letters; returns how many letters without a position are there twice.

        A letter that does not name its epoch goes to the newest that was seen.
        """
        newest = max(self._epochs, default=0)
        seen: set[DeadLetter] = set()
        repeated = 0
        for letter in self._dead_letters:
            epoch = self._epoch(newest if letter.epoch is None else letter.epoch)
            epoch.dead_letters += 1
            if letter.position is not None:
                epoch.delivered.add(letter.position)
            elif letter in seen:
                repeated += 1
            seen.add(letter)
        return repeated

    def _judge(self, number: int, epoch: _Epoch) -> EpochVerdict | None:
        covered = epoch.covered()
        if covered is None:
            return None
        gaps = list(joined(sorted(epoch.gaps)))
        within = self._judged(number, covered)
        missing = (
            list(joined(without(epoch.delivered.absent(within), gaps)))
            if self._contiguous and within is not None
            else []
        )
        duplicated = list(joined(epoch.delivered.repeated())) if epoch.delivered.again else []
        return EpochVerdict(
            epoch=number,
            positions=covered,
            events=epoch.events,
            dead_letters=epoch.dead_letters,
            missing=sum(map(len, missing)),
            missing_spans=tuple(missing[:SHOWN]),
            duplicated=epoch.delivered.again,
            duplicated_spans=tuple(duplicated[:SHOWN]),
            false_gaps=sum(epoch.delivered.within(gap) for gap in gaps),
        )

    def _judged(self, number: int, covered: Span) -> Span | None:
        """The positions among which one may be called missing: up to the checkpoint, where there is one."""
        if self.checkpoint is None or number < self.checkpoint.epoch:
            return covered
        if number > self.checkpoint.epoch or self.checkpoint.position < covered.first:
            return None
        return Span(covered.first, self.checkpoint.position)

    def _beyond_checkpoint(self, number: int) -> int:
        covered = self._epochs[number].covered()
        if self.checkpoint is None or covered is None or number < self.checkpoint.epoch:
            return 0
        first = covered.first if number > self.checkpoint.epoch else self.checkpoint.position + 1
        return self._epochs[number].delivered.within(Span(first, covered.last))
