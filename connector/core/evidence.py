"""Judges a stream by the records a reader found.

Knows nothing of Kafka clients nor of the code that wrote the records. Its memory is bounded: half a byte for a position
(:mod:`connector.core.positions`), and half a million keys a topic (:mod:`connector.core.key_order`). Rules:

* A position is *covered* by an event, a dead letter or a gap. Between the first and the last covered position of an
  epoch every other one is missing.
* The k-th dead letter behind p may stand for p + k, where no event between is there: it was written before anybody
  could know.
* A position delivered twice, as event or dead letter, is a duplicate. A gap over a delivered position is a false gap.
* Of one key in one topic, positions never decrease, and all of its records are in one partition.
* Positions beyond the stream's checkpoint are no evidence of a loss: a live stream is read partition by partition.
  A checkpoint beyond the last record is.
* Of a partition whose oldest records the topic's retention has removed, the stream's first one left tells up to where:
  a stream reaches each partition in order. Before it nothing is called missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from connector.core.key_order import KeyOrder
from connector.core.positions import PositionCounts, Span, joined, without
from connector.core.verdict import SHOWN, DeadLetter, EpochVerdict, GapRecord, Point, StreamVerdict

Place = tuple[str, int]
"""Topic and partition."""


@dataclass(slots=True)
class _Epoch:
    """``below``, ``above``: the epoch has something before, or behind, the positions asked for.

    ``lettered``: positions of dead letters. ``behind``: position → numbers of the dead letters
    without one behind it.
    """

    delivered: PositionCounts = field(default_factory=PositionCounts)
    gaps: list[Span] = field(default_factory=list)
    lettered: set[int] = field(default_factory=set)
    behind: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    events: int = 0
    dead_letters: int = 0
    below: bool = False
    above: bool = False

    def covered(self, asked: Span | None) -> Span | None:
        """From the first to the last position, of those asked for, that was delivered or is in a gap, or lies between.

        Empty, but not None, where the epoch has positions before those asked for only.
        """
        extent = self.delivered.extent()
        spans = self.gaps if extent is None else [*self.gaps, extent]
        if asked is not None and self.below:
            spans = [*spans, Span(asked.first, asked.first - 1)]
        if asked is not None and self.above:
            spans = [*spans, Span(asked.last + 1, asked.last)]
        return Span(min(span.first for span in spans), max(span.last for span in spans)) if spans else None

    def may_be_lettered(self) -> Iterator[Span]:
        """Positions that dead letters without one may stand for."""
        for after, ordinals in self.behind.items():
            for ordinal in range(1, max(ordinals) + 1):
                at = Span(after + ordinal, after + ordinal)
                if self.delivered.within(at) and at.first not in self.lettered:
                    break
                if ordinal in ordinals:
                    yield at


class StreamEvidence:
    """Takes in the records of one stream, in the order of each partition, and judges them at last.

    ``contiguous``: whether the platform numbers without holes; where it does not, nothing can be called missing.
    ``within``: positions outside it, of any epoch, are left out.
    """

    def __init__(self, stream: str, *, contiguous: bool = True, within: Span | None = None) -> None:
        self.stream = stream
        self.checkpoint: Point | None = None
        self.written: Mapping[str, Collection[int]] = {}
        """Topic → partitions to which the stream has written, by its checkpoint."""
        self.snapshot_records = 0
        self.malformed = 0
        self._contiguous = contiguous
        self._within = within
        self._epochs: dict[int, _Epoch] = {}
        self._gaps: list[GapRecord] = []
        self._orders: dict[str, KeyOrder] = {}
        self._first: dict[Place, Point] = {}
        self._dead_letters: list[DeadLetter] = []

    def event(self, topic: str, partition: int, key: bytes, epoch: int, position: int) -> None:
        """An event record."""
        if (topic, partition) not in self._first:
            self._first[topic, partition] = Point(epoch, position)
        of_epoch = self._epoch(epoch)
        if self._outside(of_epoch, position, position):
            return
        of_epoch.delivered.add(position)
        of_epoch.events += 1
        order = self._orders.get(topic)
        if order is None:
            order = self._orders[topic] = KeyOrder()
        order.add(key, partition, epoch, position)

    def dead_letter(self, letter: DeadLetter) -> None:
        """A dead letter; it covers its position, if it has one."""
        span, asked = _place_of(letter), self._within
        if span is None or asked is None or (span.last >= asked.first and span.first <= asked.last):
            self._dead_letters.append(letter)
        elif letter.position is not None and letter.epoch is not None:
            self._outside(self._epoch(letter.epoch), *span)

    def gap(self, gap: GapRecord) -> None:
        """A gap record; without positions it is only reported."""
        if gap.first is None or gap.last is None:
            self._gaps.append(gap)
        elif gap.last < gap.first:
            self.malformed += 1
        else:
            self._spanned(gap, Span(gap.first, gap.last))

    def verdict(self, expired: Collection[Place] = ()) -> StreamVerdict:
        """Judge what was taken in. To be called once, at the end.

        ``expired``: partitions whose oldest records are gone.
        """
        repeated = self._bury_dead_letters()
        touched = [place for place in expired if place in self._first or place[1] in self.written.get(place[0], ())]
        judged_from = max((self._first[place] for place in touched if place in self._first), default=None)
        holes_told = self._contiguous and all(place in self._first for place in touched)
        epochs = [
            self._judge(number, self._epochs[number], self._judged(number, judged_from) if holes_told else None)
            for number in sorted(self._epochs)
        ]
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
            out_of_order=sum(order.out_of_order for order in self._orders.values()),
            split_keys=sum(order.split for order in self._orders.values()),
            malformed=self.malformed,
            judged_from=judged_from,
            holes_told=holes_told,
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
                epoch.lettered.add(letter.position)
            elif letter in seen:
                repeated += 1
            elif letter.after_position is not None and letter.ordinal is not None:
                epoch.behind[letter.after_position].add(letter.ordinal)
            seen.add(letter)
        return repeated

    def _spanned(self, gap: GapRecord, span: Span) -> None:
        epoch = self._epoch(gap.epoch)
        if self._outside(epoch, *span):
            return
        self._gaps.append(gap)
        if self._within is not None:
            epoch.below = epoch.below or span.first < self._within.first
            epoch.above = epoch.above or span.last > self._within.last
            span = Span(max(span.first, self._within.first), min(span.last, self._within.last))
        epoch.gaps.append(span)

    def _outside(self, epoch: _Epoch, first: int, last: int) -> bool:
        """Whether these positions are none of those asked for."""
        if self._within is None or (last >= self._within.first and first <= self._within.last):
            return False
        if last < self._within.first:
            epoch.below = True
        else:
            epoch.above = True
        return True

    def _judge(self, number: int, epoch: _Epoch, within: Span | None) -> EpochVerdict | None:
        """``within``: the positions among which one may be called missing."""
        covered = epoch.covered(self._within)
        if covered is None or not (covered or within):
            return None
        gaps = list(joined(sorted(epoch.gaps)))
        excused = list(joined(sorted([*gaps, *epoch.may_be_lettered()])))
        missing = [] if within is None else list(joined(without(epoch.delivered.absent(within), excused)))
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

    def _judged(self, number: int, judged_from: Point | None) -> Span | None:
        """From where retention left it whole up to the checkpoint, where there is one."""
        covered = self._epochs[number].covered(self._within)
        if covered is None or (judged_from is not None and number < judged_from.epoch):
            return None
        first, last = covered
        if judged_from is not None and number == judged_from.epoch:
            first = max(first, judged_from.position)
        if self.checkpoint is not None and number >= self.checkpoint.epoch:
            if number > self.checkpoint.epoch or self.checkpoint.position < first:
                return None
            last = self.checkpoint.position
        if self._within is not None:
            last = min(last, self._within.last)
        return Span(first, last) if first <= last else None

    def _beyond_checkpoint(self, number: int) -> int:
        covered = self._epochs[number].covered(self._within)
        if self.checkpoint is None or covered is None or number < self.checkpoint.epoch:
            return 0
        first = covered.first if number > self.checkpoint.epoch else self.checkpoint.position + 1
        return self._epochs[number].delivered.within(Span(first, covered.last))


def _place_of(letter: DeadLetter) -> Span | None:
    """Its position; where it has none, the one it stands behind and those that it may stand for."""
    if letter.position is not None:
        return Span(letter.position, letter.position)
    after = letter.after_position
    return None if after is None else Span(after, after + (letter.ordinal or 0))
