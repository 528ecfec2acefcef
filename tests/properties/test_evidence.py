"""The judge of the independent ledger against a slow and obvious one: any records, any range, any retention."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from connector.core.evidence import StreamEvidence
from connector.core.key_order import KeyOrder
from connector.core.positions import Span
from connector.core.verdict import DeadLetter, GapRecord, Point, StreamVerdict

_TOPIC = "events"
_EVENTS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 1), st.integers(0, 1), st.integers(1, 14)), max_size=40
)
"""Keys, partitions, epochs and positions, in the order they are read."""
_GAPS = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 14), st.integers(0, 4)), max_size=3)
_LETTERS = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 14)), max_size=4)


@dataclass
class Case:
    """All that a judge is told."""

    events: list[tuple[str, int, int, int]]
    gaps: list[tuple[int, int, int]]
    letters: list[tuple[int, int]]
    checkpoint: Point | None
    within: Span | None
    expired: set[tuple[str, int]] = field(default_factory=set)


_CASES = st.builds(
    Case,
    _EVENTS,
    _GAPS.map(lambda gaps: [(epoch, first, first + more) for epoch, first, more in gaps]),
    _LETTERS,
    st.none() | st.builds(Point, st.integers(0, 1), st.integers(1, 16)),
    st.none() | st.tuples(st.integers(1, 14), st.integers(0, 6)).map(lambda pair: Span(pair[0], sum(pair))),
    st.sets(st.sampled_from([(_TOPIC, 0), (_TOPIC, 1)])),
)


def _verdict(case: Case) -> StreamVerdict:
    evidence = StreamEvidence("wfm", within=case.within)
    for key, partition, epoch, position in case.events:
        evidence.event(_TOPIC, partition, key.encode(), epoch, position)
    for epoch, first, last in case.gaps:
        evidence.gap(GapRecord(epoch, first, last, "jump"))
    for number, (epoch, position) in enumerate(case.letters):
        evidence.dead_letter(DeadLetter(epoch, position, position - 1, number, "0"))
    evidence.checkpoint = case.checkpoint
    return evidence.verdict(case.expired)


def _missing(case: Case, epoch: int) -> set[int]:
    """Position by position: covered by nothing, between what is covered, and not excused."""
    delivered = {position for _, _, of, position in case.events if of == epoch}
    delivered |= {position for of, position in case.letters if of == epoch}
    in_gaps = {p for of, first, last in case.gaps if of == epoch for p in range(first, last + 1)}
    covered = delivered | in_gaps
    if not covered:
        return set()
    firsts: dict[tuple[str, int], Point] = {}
    for _, partition, of, position in case.events:
        firsts.setdefault((_TOPIC, partition), Point(of, position))
    known_from = max((firsts[place] for place in case.expired & firsts.keys()), default=Point(0, 0))
    last = max(covered)
    if case.checkpoint is not None and epoch == case.checkpoint.epoch:
        last = case.checkpoint.position
    if case.checkpoint is not None and epoch > case.checkpoint.epoch:
        return set()
    missing = {p for p in range(min(covered), last + 1) if Point(epoch, p) >= known_from} - covered
    return {p for p in missing if case.within is None or case.within.first <= p <= case.within.last}


@given(_CASES)
def test_missing_positions_are_those_of_the_obvious_judge(case: Case) -> None:
    """Epochs, gaps, dead letters, the checkpoint, a range, expired partitions: in any combination."""
    found = {
        (epoch.epoch, position)
        for epoch in _verdict(case).epochs
        for span in epoch.missing_spans
        for position in range(span.first, span.last + 1)
    }
    assert found == {(epoch, position) for epoch in (0, 1) for position in _missing(case, epoch)}


@given(_CASES)
def test_duplicates_and_false_gaps_are_those_of_the_obvious_judge(case: Case) -> None:
    """Counted one by one inside the range asked for."""
    verdict = _verdict(case)

    def asked(position: int) -> bool:
        return case.within is None or case.within.first <= position <= case.within.last

    delivered = [(epoch, position) for _, _, epoch, position in case.events if asked(position)]
    delivered += [letter for letter in case.letters if asked(letter[1])]
    in_gaps = {(epoch, p) for epoch, first, last in case.gaps for p in range(first, last + 1)}
    assert verdict.duplicated == len(delivered) - len(set(delivered))
    assert verdict.false_gaps == len(in_gaps & set(delivered))


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 1)), max_size=60),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_order_with_forgotten_keys_accuses_nobody_who_is_in_order(
    records: list[tuple[str, int]], swaps: list[int]
) -> None:
    """Two keys a generation: a stream in order is in order; of records that are swapped none is overlooked."""
    positions = list(range(1, len(records) + 1))
    for at in swaps:
        if at + 1 < len(positions):
            positions[at], positions[at + 1] = positions[at + 1], positions[at]
    bounded, unbounded = KeyOrder(2), KeyOrder()
    for (key, partition), position in zip(records, positions, strict=True):
        bounded.add(f"{key}{partition}".encode(), partition, 0, position)
        unbounded.add(f"{key}{partition}".encode(), partition, 0, position)
    assert bounded.split == unbounded.split == 0
    assert bounded.out_of_order >= unbounded.out_of_order
    if not swaps:
        assert bounded.out_of_order == 0
