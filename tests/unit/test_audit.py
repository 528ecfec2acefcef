"""The audit's verdict, without Kafka: tables, and a slow but obvious judge against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.evidence import StreamEvidence
from connector.core.positions import PositionCounts, Span, joined, without
from connector.core.verdict import DeadLetter, GapRecord, Point, StreamVerdict

Events = list[tuple[str, int]]
"""Keys and positions, in topic order."""


def _evidence(events: Events, *, epoch: int = 0, contiguous: bool = True) -> StreamEvidence:
    evidence = StreamEvidence("wfm", contiguous=contiguous)
    for key, position in events:
        evidence.event("events", 0, key.encode(), epoch, position)
    return evidence


def _letter(position: int | None, *, epoch: int | None = None, after: int = 0, ordinal: int = 1) -> DeadLetter:
    return DeadLetter(epoch, position, after, ordinal, "0" * 64)


def _faults(verdict: StreamVerdict) -> dict[str, int]:
    names = ("missing", "duplicated", "false_gaps", "out_of_order", "split_keys", "malformed")
    return {name: getattr(verdict, name) for name in names if getattr(verdict, name)}


@pytest.mark.parametrize(
    ("events", "faults"),
    [
        ([("a", 1), ("b", 2), ("a", 3)], {}),
        ([("a", 7), ("b", 8)], {}),
        ([("a", 1), ("b", 4)], {"missing": 2}),
        ([("a", 1), ("a", 2), ("a", 2), ("a", 3)], {"duplicated": 1}),
        ([("a", 1), ("a", 2), ("a", 1), ("a", 2)], {"duplicated": 2, "out_of_order": 1}),
        ([("a", 2), ("b", 1)], {}),
        ([("a", 1), ("a", 3), ("a", 2)], {"out_of_order": 1}),
        ([], {}),
    ],
    ids=["in order", "starts later", "a hole", "twice", "sent again", "order among keys", "swapped", "nothing"],
)
def test_events_alone(events: Events, faults: dict[str, int]) -> None:
    """Events of one epoch, without checkpoint, gaps and dead letters."""
    verdict = _evidence(events).verdict()
    assert _faults(verdict) == faults
    assert verdict.held == (not faults)


def test_dead_letter_covers_its_position() -> None:
    """What could not be written or read as an event is delivered as a dead letter."""
    evidence = _evidence([("a", 1), ("a", 3)])
    evidence.dead_letter(_letter(2))
    verdict = evidence.verdict()
    assert verdict.held
    assert verdict.epochs[0].dead_letters == 1


def test_event_that_is_a_dead_letter_too_is_a_duplicate() -> None:
    """Delivered in two places is delivered twice."""
    evidence = _evidence([("a", 1), ("a", 2)])
    evidence.dead_letter(_letter(2))
    assert _faults(evidence.verdict()) == {"duplicated": 1}


def test_dead_letter_written_twice_is_a_duplicate() -> None:
    """Also one that stands for no position: ordinal and hash tell."""
    evidence = _evidence([("a", 1)])
    evidence.dead_letter(_letter(None, after=1))
    evidence.dead_letter(_letter(None, after=1))
    evidence.dead_letter(_letter(None, after=1, ordinal=2))
    assert _faults(evidence.verdict()) == {"duplicated": 1}


@pytest.mark.parametrize(
    ("delivered", "letters", "missing"),
    [
        ([1, 3], [(None, 1, 1)], 0),
        ([1, 4], [(None, 1, 1), (None, 1, 2)], 0),
        ([1, 4], [(None, 1, 1), (3, 1, 2)], 0),  # the second waited for the event that tells
        ([1, 4], [(2, 1, 1), (None, 1, 2)], 0),  # a crash between: the stream begins anew behind the first
        ([1, 4], [(None, 1, 1)], 1),
        ([1, 2, 4], [(None, 1, 1), (None, 1, 2)], 1),  # they stood behind 1, and were noise
        ([1, 3], [(None, 2, 1)], 1),
    ],
)
def test_dead_letters_written_before_anybody_could_know(
    delivered: list[int], letters: list[tuple[int | None, int, int]], missing: int
) -> None:
    """They do not say what they stand for; the next position does."""
    evidence = StreamEvidence("s")
    for position in delivered:
        evidence.event("t", 0, b"k", 0, position)
    for covers, after, ordinal in letters:
        evidence.dead_letter(_letter(covers, epoch=0, after=after, ordinal=ordinal))
    assert evidence.verdict().missing == missing


@pytest.mark.parametrize("first", [5, 6, 7])
def test_dead_letters_before_the_positions_asked_for(first: int) -> None:
    """What they stand for reaches into the range."""
    evidence = StreamEvidence("s", within=Span(first, 20))
    for position in (4, 8, 9):
        evidence.event("t", 0, b"k", 0, position)
    for ordinal in (1, 2, 3):
        evidence.dead_letter(_letter(None, epoch=0, after=4, ordinal=ordinal))
    assert evidence.verdict().missing == 0


def test_dead_letter_behind_the_positions_asked_for_tells_that_the_epoch_goes_on() -> None:
    """What is before it, up to the end of the range, is missing."""
    evidence = StreamEvidence("s", within=Span(1, 2))
    evidence.dead_letter(_letter(1, epoch=0, after=0))
    evidence.dead_letter(_letter(3, epoch=0, after=2))
    assert evidence.verdict().missing == 1


def test_dead_letter_without_an_epoch_belongs_to_the_newest() -> None:
    """The header may be absent."""
    evidence = _evidence([("a", 1)])
    for position in (1, 3):
        evidence.event("events", 0, b"a", 1, position)
    evidence.dead_letter(_letter(2))
    assert evidence.verdict().held


def test_gap_covers_what_it_names_and_nothing_else() -> None:
    """Positions 4 and 5 are told of; 6 is not."""
    evidence = _evidence([("a", 3), ("a", 7)])
    evidence.gap(GapRecord(0, 1, 2, "retention"))
    evidence.gap(GapRecord(0, 4, 5, "jump"))
    verdict = evidence.verdict()
    assert verdict.epochs[0].positions == Span(1, 7)
    assert verdict.epochs[0].missing_spans == (Span(6, 6),)


def test_gap_over_a_delivered_position_is_false() -> None:
    """P7: no gap is recorded for what was delivered."""
    evidence = _evidence([("a", 1), ("a", 2), ("a", 4)])
    evidence.gap(GapRecord(0, 2, 3, "jump"))
    assert _faults(evidence.verdict()) == {"false_gaps": 1}


def test_gap_without_positions_is_reported_only() -> None:
    """Opaque positions: nothing to count."""
    evidence = _evidence([("a", 1)])
    evidence.gap(GapRecord(0, None, None, "no_resume"))
    verdict = evidence.verdict()
    assert verdict.held
    assert len(verdict.gaps) == 1


def test_gap_that_ends_before_it_begins_is_malformed() -> None:
    """Nobody can read such a record."""
    evidence = _evidence([("a", 1)])
    evidence.gap(GapRecord(0, 5, 4, "jump"))
    assert _faults(evidence.verdict()) == {"malformed": 1}


def test_epochs_are_judged_apart_and_ordered() -> None:
    """After a reset the same positions are other events; an old epoch's event after a new one's is out of order."""
    evidence = _evidence([("a", 1), ("a", 2)])
    evidence.event("events", 0, b"a", 1, 1)
    assert evidence.verdict().held
    evidence.event("events", 0, b"a", 0, 3)
    assert _faults(evidence.verdict()) == {"out_of_order": 1}


def test_key_in_two_partitions_has_no_order() -> None:
    """The partitioner or the number of partitions changed."""
    evidence = _evidence([("a", 1)])
    evidence.event("events", 1, b"a", 0, 2)
    evidence.event("agents", 1, b"a", 0, 3)  # a topic of its own
    assert _faults(evidence.verdict()) == {"split_keys": 1}


def test_beyond_the_checkpoint_nothing_is_called_missing() -> None:
    """Of a live stream, partitions are read up to different instants."""
    evidence = _evidence([("a", 1), ("a", 2), ("a", 4)])
    evidence.checkpoint = Point(0, 2)
    verdict = evidence.verdict()
    assert verdict.held
    assert verdict.beyond_checkpoint == 1


def test_checkpoint_beyond_the_last_record_is_a_loss() -> None:
    """The position was committed, the events were not."""
    evidence = _evidence([("a", 1), ("a", 2)])
    evidence.checkpoint = Point(0, 5)
    verdict = evidence.verdict()
    assert verdict.epochs[0].missing_spans == (Span(3, 5),)
    assert verdict.beyond_checkpoint == 0


def test_checkpoint_before_the_first_record_calls_nothing_missing() -> None:
    """A stream that starts at a snapshot's position commits that first."""
    evidence = _evidence([("a", 11), ("a", 13)])
    evidence.checkpoint = Point(0, 10)
    verdict = evidence.verdict()
    assert verdict.held
    assert verdict.beyond_checkpoint == 2


def test_platform_that_leaves_numbers_out_misses_nothing() -> None:
    """But its duplicates are seen all the same."""
    assert _faults(_evidence([("a", 1), ("a", 9), ("a", 9)], contiguous=False).verdict()) == {"duplicated": 1}


def test_far_apart_positions_cost_no_memory() -> None:
    """Only pages with events exist."""
    verdict = _evidence([("a", 1), ("a", 10**15)]).verdict()
    assert verdict.missing == 10**15 - 2


_POSITIONS = st.integers(1, 40) | st.integers(240, 280) | st.integers(1000, 1010)
_SPANS = st.tuples(_POSITIONS, st.integers(0, 600)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))


@given(st.lists(_POSITIONS), _SPANS)
def test_position_counts_count_like_a_counter(positions: list[int], span: Span) -> None:
    """Pages, their edges and the holes between them."""
    counts = PositionCounts()
    for position in positions:
        counts.add(position)
    truth = Counter(positions)
    assert counts.again == len(positions) - len(truth)
    assert counts.extent() == (Span(min(truth), max(truth)) if truth else None)
    assert counts.within(span) == sum(span.first <= position <= span.last for position in truth)
    assert _members(counts.repeated()) == {position for position, times in truth.items() if times > 1}
    assert _members(counts.absent(span)) == set(range(span.first, span.last + 1)) - truth.keys()


@given(st.lists(_SPANS, max_size=5), st.lists(_SPANS, max_size=5))
def test_spans_subtract_like_sets(spans: list[Span], holes: list[Span]) -> None:
    """Joined and subtracted spans hold the same positions as sets do, once each."""
    left = list(without(joined(sorted(spans)), list(joined(sorted(holes)))))
    assert _members(left) == _members(spans) - _members(holes)
    assert sum(map(len, left)) == len(_members(left))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 12)), max_size=30), st.sets(st.integers(1, 12)))
def test_verdict_is_that_of_an_obvious_judge(events: Events, letters: set[int]) -> None:
    """Any events in any order, any dead letters: the same counts as with sets and lists."""
    evidence = _evidence(events)
    for position in letters:
        evidence.dead_letter(_letter(position))
    verdict = evidence.verdict()

    delivered = [position for _, position in events] + list(letters)
    covered = set(delivered)
    out_of_order = 0
    highest: dict[str, int] = {}
    for key, position in events:
        out_of_order += position < highest.get(key, 0)
        highest[key] = max(position, highest.get(key, 0))
    assert verdict.missing == (max(covered) - min(covered) + 1 - len(covered) if covered else 0)
    assert verdict.duplicated == len(delivered) - len(covered)
    assert verdict.out_of_order == out_of_order
    assert verdict.events == len(events)


def _members(spans: Iterable[Span]) -> set[int]:
    return {position for span in spans for position in range(span.first, span.last + 1)}
