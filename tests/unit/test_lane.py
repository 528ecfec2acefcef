"""What a lane has in hand: the cases worth a name (any interleaving is in ``tests/properties``)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connector.core.lane import Freed, InHand, Renounced, Rewound
from connector.model import Batch, Checkpoint, Entry, Mark, Move
from tests.fakes.sink import FakeLane, FakeLog

S = "wfm"


def _entry(position: int, ordinal: int = 0, records: int = 0, value: bytes = b"1234") -> Entry:
    return Entry(position, ordinal, "t", "k", value, [], 0, None, "", records)


def _batch(*entries: Entry, stream: str = S, epoch: int = 0, incarnation: int = 0, **more: Any) -> Batch:  # noqa: ANN401 - as Batch
    return Batch(stream, incarnation, epoch, list(entries), sum(len(e.value) for e in entries), **more)


def _events(first: int, last: int, **more: Any) -> Batch:  # noqa: ANN401 - as _batch
    return _batch(*(_entry(position) for position in range(first, last + 1)), **more)


def _start(position: int = 0) -> Batch:
    return _batch(start=Checkpoint(S, position=position))


def _positions(log: FakeLog) -> list[int]:
    return [entry.position for _, _, entry in log.records]


@pytest.fixture
def log() -> FakeLog:
    """An empty Kafka."""
    return FakeLog()


@pytest.fixture
def lane(log: FakeLog) -> FakeLane:
    """A lane whose stream stands at 0."""
    log.checkpoints[S] = Checkpoint(S, position=0)
    return FakeLane(log)


def test_commit_frees_what_was_written(lane: FakeLane) -> None:
    """Entries and bytes, with the checkpoint they led to."""
    lane.submit(_events(1, 3))
    (freed,) = lane.commit(lane.fill(10))
    assert (freed.entries, freed.size_bytes) == (3, 12)
    assert freed.checkpoint == lane.log.checkpoints[S]
    assert freed.checkpoint.position == 3


def test_batch_is_split_at_the_limit(lane: FakeLane) -> None:
    """Its bytes too; the quiet stream's word is kept for the end."""
    lane.submit(_events(1, 5, complete_until_ms=99))
    first, second, third = lane.fill(2, 2, 2)
    assert [len(b.entries) for b in (first, second, third)] == [2, 2, 1]
    assert [b.size_bytes for b in (first, second, third)] == [8, 8, 4]
    assert [b.complete_until_ms for b in (first, second, third)] == [None, None, 99]


def test_start_that_committed_unheard_is_told(lane: FakeLane, log: FakeLog) -> None:
    """The stream waits for its first commit: without the word it would wait for ever."""
    log.checkpoints.clear()
    lane = FakeLane(log)
    lane.submit(_start(7))
    lane.commit(lane.fill(1), told=False)
    lane.renew()
    assert lane.fill(1) == []
    assert lane.hand.dropped() == [Freed(Checkpoint(S, position=7), 0, 0)]


def test_start_that_did_not_commit_is_written_again(log: FakeLog) -> None:
    """It went back in front."""
    lane = FakeLane(log)
    lane.submit(_start(7))
    lane.fill(1)
    lane.renew()
    assert [freed.checkpoint.position for freed in lane.commit(lane.fill(1))] == [7]


def test_what_committed_unheard_is_dropped(lane: FakeLane, log: FakeLog) -> None:
    """Once, and its room is freed; the rest is written."""
    lane.submit(_events(1, 3))
    lane.commit(lane.fill(2), told=False)
    lane.renew()
    freed = lane.commit(lane.fill(10, 10))
    assert _positions(log) == [1, 2, 3]
    assert sum(f.entries for f in freed) == 3
    assert sum(f.size_bytes for f in freed) == 12


def test_overlapping_batches_are_written_once(lane: FakeLane, log: FakeLog) -> None:
    """A pipeline that began again from a commit hands over what is in hand already: in one transaction, or in two."""
    lane.submit(_events(1, 3))
    lane.submit(_events(2, 5))
    lane.commit(lane.fill(10, 10))
    lane.submit(_events(3, 5))
    lane.submit(_events(4, 6))
    lane.commit(lane.fill(10, 10))
    assert _positions(log) == [1, 2, 3, 4, 5, 6]


def test_overlap_in_a_streams_first_transaction_is_written_once(log: FakeLog) -> None:
    """Nothing is known of it yet but what the transaction has already."""
    lane = FakeLane(log)
    for batch in (_start(), _events(1, 3), _events(2, 4)):
        lane.submit(batch)
    lane.commit(lane.fill(9, 9, 9))
    assert _positions(log) == [1, 2, 3, 4]


@pytest.mark.parametrize("suspended", [False, True])
def test_renounced_stream_begins_again(lane: FakeLane, log: FakeLog, *, suspended: bool) -> None:
    """What it handed over before does not count, wherever it lies; what another stream did, does."""
    lane.submit(_events(1, 2))
    lane.commit(lane.fill(9))
    lane.submit(_events(3, 5))
    if suspended:
        lane.hand.suspend(S)
    lane.submit(_events(6, 9))
    lane.submit(_batch(_entry(1), stream="other"))
    lane.hand.renounce(S)
    assert lane.hand.renounced() == [Renounced(S, log.checkpoints[S], 1)]
    assert lane.hand.renounced() == []
    lane.submit(_events(6, 9))  # it was on its way
    lane.submit(_batch(_entry(3), incarnation=1))
    if suspended:
        lane.hand.restore(S)
    assert [(b.stream, [e.position for e in b.entries]) for b in lane.fill(9, 9, 9)] == [("other", [1]), (S, [3])]


def test_checkpoint_has_the_offsets_of_its_own_stream(lane: FakeLane) -> None:
    """Beside those from before."""
    lane.submit(_events(1, 1))
    lane.submit(_batch(_entry(1), stream="other"))
    lane.fill(9, 9)
    written = lane.hand.checkpoints({S: {"t": {0: 7}}, "other": {"t": {1: 8}}})
    assert {checkpoint.stream: checkpoint.offsets for checkpoint in written} == {
        S: {"t": {0: 7}},
        "other": {"t": {1: 8}},
    }


def test_incarnations_count_up(lane: FakeLane) -> None:
    """One for each time that a stream begins again."""
    for incarnation in (1, 2, 3):
        lane.hand.renounce(S)
        assert [renounced.incarnation for renounced in lane.hand.renounced()] == [incarnation]


def test_refused_record_is_the_first_in_hand(lane: FakeLane) -> None:
    """Those behind it stay as they are."""
    lane.submit(_events(1, 3))
    letter = _entry(1, value=b"letter")
    assert lane.hand.replace_first(lambda _, entry: letter if entry.position == 1 else entry) == letter
    assert [entry.value for batch in lane.fill(9) for entry in batch.entries] == [b"letter", b"1234", b"1234"]


def test_stream_that_has_not_begun_can_be_renounced() -> None:
    """It begins where it would have begun."""
    lane = FakeLane(FakeLog())
    lane.submit(_start(7))
    lane.hand.renounce(S)
    assert lane.hand.renounced() == [Renounced(S, None, 1)]
    assert lane.fill(9) == []


def test_renounced_stream_waits_for_the_open_transaction(lane: FakeLane, log: FakeLog) -> None:
    """Which may commit: it begins behind that."""
    lane.submit(_events(1, 4))
    opened = lane.fill(2)
    lane.hand.renounce(S)
    assert lane.hand.renounced() == []
    lane.commit(opened)
    assert lane.hand.renounced() == [Renounced(S, log.checkpoints[S], 1)]
    assert log.checkpoints[S].position == 2
    assert not lane.hand.waiting()


def test_rewound_stream_begins_again(lane: FakeLane, log: FakeLog) -> None:
    """Kafka has less than it had: what was made before that no longer counts, whatever its position."""
    lane.submit(_events(1, 5))
    lane.commit(lane.fill(9))
    lane.submit(_events(6, 9))
    log.rewind(2, {S: Checkpoint(S, position=2)})
    assert lane.renew() == [Rewound(Checkpoint(S, position=2), 1, lost=True)]
    assert lane.fill(9) == []
    assert lane.hand.dropped() == []  # the stream, which begins again, has forgotten them
    lane.submit(_events(3, 4, incarnation=1))
    lane.commit(lane.fill(9))
    assert _positions(log) == [1, 2, 3, 4]


def test_what_was_dropped_before_a_rewind_tells_the_checkpoint_after_it(lane: FakeLane, log: FakeLog) -> None:
    """A checkpoint that was told never goes back, nor is one told that Kafka does not have."""
    lane.submit(_events(1, 3))
    lane.commit(lane.fill(9))
    lane.submit(_events(2, 3))
    assert lane.fill(9) == []
    log.rewind(1, {S: Checkpoint(S, position=1)})
    lane.renew()
    assert [f.checkpoint.position for f in lane.hand.dropped()] == [1]


def test_events_of_another_worker_are_taken_for_ours(lane: FakeLane, log: FakeLog) -> None:
    """The lane was away and is back: what is there is dropped, and no socket is closed for it."""
    lane.submit(_events(1, 5))
    log.append([_events(1, 3)])
    log.checkpoints[S] = Checkpoint(S, position=3)
    assert lane.renew() == []
    lane.commit(lane.fill(9))
    assert _positions(log) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("in_hand", "theirs"),
    [
        (_events(4, 5), Checkpoint(S, position=3, snapshot_id="b", snapshot_records=2)),
        (_events(4, 5), Checkpoint(S, position=3, snapshot_id="due")),
        (_events(4, 5), Checkpoint(S, position=3, snapshot_records=5)),
        (_batch(_entry(3, records=1), snapshot_id="a"), Checkpoint(S, position=3)),
        (_batch(_entry(3, records=1)), Checkpoint(S, position=9)),
        (_batch(_entry(4), snapshot_id="due"), Checkpoint(S, position=4)),
    ],
)
def test_another_workers_snapshot_begins_the_stream_again(
    lane: FakeLane, log: FakeLog, in_hand: Batch, theirs: Checkpoint
) -> None:
    """Theirs and ours would mix into one that is neither."""
    lane.submit(in_hand)
    log.checkpoints[S] = theirs
    assert lane.renew() == [Rewound(theirs, 1, lost=False)]
    assert lane.fill(9) == []


@pytest.mark.parametrize("told", [True, False])
def test_own_snapshot_goes_on_after_a_doubt(lane: FakeLane, *, told: bool) -> None:
    """Whether we heard of its commit or not."""
    lane.submit(_batch(_entry(0, records=1), _entry(0, records=2), snapshot_id="a"))
    lane.submit(_batch(_entry(0, records=3)))
    lane.commit(lane.fill(1), told=told)
    assert lane.renew() == []
    lane.commit(lane.fill(9, 9))
    assert [entry.snapshot_records for _, _, entry in lane.log.records] == [1, 2, 3]
    assert lane.log.checkpoints[S].snapshot_id is None


@pytest.mark.parametrize(
    ("before", "batch_says", "head_says"),
    [(None, "due", "due"), ("a", None, "a"), ("due", "a", "a"), (None, None, None)],
)
@pytest.mark.parametrize("together", [True, False])
def test_half_a_batch_does_not_end_a_snapshot(
    lane: FakeLane, before: str | None, batch_says: str | None, head_says: str | None, *, together: bool
) -> None:
    """Due from the first record of a batch that says so; until the last of the batch that ends it."""
    lane.submit(_batch(_entry(1), snapshot_id=before))
    if not together:
        lane.commit(lane.fill(9))
    lane.submit(_batch(_entry(2), _entry(3), snapshot_id=batch_says))
    lane.commit(lane.fill(9, 1) if together else lane.fill(1))
    assert lane.log.checkpoints[S].snapshot_id == head_says
    lane.commit(lane.fill(9))
    assert lane.log.checkpoints[S].snapshot_id == batch_says


def test_suspended_stream_stands_aside(lane: FakeLane, log: FakeLog) -> None:
    """The others go on; restored, it goes on in its order."""
    lane.submit(_events(1, 2))
    lane.submit(_events(1, 1, stream="other"))
    lane.hand.suspend(S)
    lane.hand.suspend(S)
    lane.submit(_events(3, 3))
    assert lane.hand.suspended == {S}
    assert {batch.stream for batch in lane.fill(9, 9)} == {"other"}
    lane.hand.roll_back()
    lane.hand.restore(S)
    lane.hand.restore("never suspended")
    assert not lane.hand.suspended
    lane.commit(lane.fill(9, 9, 9))
    assert [e.position for stream, _, e in log.records if stream == S] == [1, 2, 3]


def test_replaced_is_the_first_entry(lane: FakeLane) -> None:
    """Behind what has none."""
    lane.submit(_batch(complete_until_ms=5))
    lane.submit(_events(1, 2))
    replaced = lane.hand.replace_first(lambda stream, entry: msgspec.structs.replace(entry, topic=f"dead of {stream}"))
    assert replaced is not None
    assert replaced.topic == "dead of wfm"
    lane.commit(lane.fill(9, 9))
    assert [entry.topic for _, _, entry in lane.log.records] == ["dead of wfm", "t"]


def test_all_unfit_entries_are_replaced_in_their_places(lane: FakeLane) -> None:
    """Those that are known to be too large need no search; what comes later is not looked at."""
    lane.submit(_events(1, 3))
    lane.submit(_events(1, 2, stream="other"))

    def refuse(stream: str, entry: Entry) -> Entry:
        return msgspec.structs.replace(entry, topic=f"dead of {stream}")

    assert lane.hand.replace_where(lambda entry: entry.position == 2, refuse) == 2
    assert lane.hand.replace_where(lambda entry: entry.position == 9, refuse) == 0
    lane.commit(lane.fill(9, 9, 9))
    topics = [entry.topic for _, _, entry in lane.log.records]
    assert topics == ["t", "dead of wfm", "t", "t", "dead of other"]


def test_nothing_to_replace() -> None:
    """Where there is no entry."""
    hand = InHand()
    hand.arrive(_batch(complete_until_ms=5))
    assert hand.replace_first(lambda _stream, entry: entry) is None


def test_open_transaction_tells_what_is_in_it(lane: FakeLane) -> None:
    """Streams in order, topics, records; nothing is left of it after a roll-back."""
    lane.submit(_events(1, 2))
    lane.submit(_events(1, 1, stream="other"))
    lane.submit(_events(3, 3))
    lane.fill(9, 9, 9)
    assert lane.hand.records == 4
    assert lane.hand.streams() == [S, "other"]
    assert lane.hand.writes() == {(S, "t"), ("other", "t")}
    lane.hand.roll_back()
    assert (lane.hand.records, lane.hand.streams(), lane.hand.writes()) == (0, [], set())
    assert lane.hand.waiting()


def test_stream_without_a_start_is_written_all_the_same(log: FakeLog) -> None:
    """Its checkpoint begins with its first entries."""
    lane = FakeLane(log)
    lane.submit(_events(5, 6))
    lane.commit(lane.fill(9))
    assert log.checkpoints[S].position == 6


def test_batch_as_long_as_the_limit_is_not_cut(lane: FakeLane) -> None:
    """Nothing is left of it."""
    lane.submit(_events(1, 3))
    assert [len(batch.entries) for batch in lane.fill(3)] == [3]
    assert not lane.hand.waiting()


def test_two_doubts_in_a_row(lane: FakeLane, log: FakeLog) -> None:
    """The second before anything was taken up again."""
    lane.submit(_events(1, 3))
    lane.commit(lane.fill(2), told=False)
    lane.hand.roll_back()
    assert lane.renew() == []
    lane.commit(lane.fill(9, 9))
    assert _positions(log) == [1, 2, 3]


def test_half_of_a_batch_that_is_there_is_freed(lane: FakeLane, log: FakeLog) -> None:
    """Its entries and bytes, once; the other half has the rest."""
    log.checkpoints[S] = Checkpoint(S, position=2)
    lane.renew()
    lane.submit(_events(1, 5))
    (rest,) = lane.fill(9)
    assert (len(rest.entries), rest.size_bytes) == (3, 12)
    assert lane.hand.dropped() == [Freed(Checkpoint(S, position=2), 2, 8)]


def test_dropped_of_a_stream_that_nothing_is_known_of() -> None:
    """Batches that overlap in its first transaction: its room is freed all the same."""
    lane = FakeLane(FakeLog())
    lane.submit(_events(1, 2, stream="new"))
    lane.submit(_events(1, 2, stream="new"))
    lane.fill(9, 9)
    assert lane.hand.dropped() == [Freed(Checkpoint("new"), 2, 8)]


def test_start_that_comes_with_events_is_written_with_the_first(log: FakeLog) -> None:
    """Cut in two, the stream begins once."""
    lane = FakeLane(log)
    lane.submit(_events(8, 9, start=Checkpoint(S, position=7)))
    first, second = lane.fill(1, 1)
    assert (first.start, second.start) == (Checkpoint(S, position=7), None)


@pytest.mark.parametrize(
    ("base", "known", "moves"),
    [
        (Mark(0, 5, 0, 0), Checkpoint(S, position=5), True),
        (Mark(0, 5, 0, 0), Checkpoint(S, position=6), False),
        (Mark(0, 5, 0, 0), Checkpoint(S, position=5, command_id="c-1"), False),
        (None, None, True),
        (None, Checkpoint(S, position=0), False),
    ],
)
def test_position_moves_once_and_only_on_its_base(base: Mark | None, known: Checkpoint | None, *, moves: bool) -> None:
    """A change that was decided on another checkpoint, or is made already, comes to nothing and says so."""
    log = FakeLog()
    if known is not None:
        log.checkpoints[S] = known
    lane = FakeLane(log)
    lane.submit(_batch(move=Move(base, Checkpoint(S, epoch=1, position=2, command_id="c-1"))))
    lane.commit(lane.fill(9)) if moves else lane.fill(9)
    assert (log.checkpoints.get(S) != known) is moves
    assert moves or lane.hand.dropped() == [Freed(known or Checkpoint(S), 0, 0)]


def test_position_does_not_move_beside_the_streams_own_entries(lane: FakeLane) -> None:
    """What the stream has read before is in the transaction already: it stands elsewhere."""
    lane.submit(_events(1, 2))
    lane.submit(_batch(move=Move(Mark(0, 0, 0, 0), Checkpoint(S, epoch=1, position=2, command_id="c-1"))))
    assert [batch.move for batch in lane.fill(9, 9)] == [None]


@pytest.mark.parametrize("aside", [True, False])
def test_a_strangers_snapshot_matters_to_its_stream_alone(lane: FakeLane, log: FakeLog, *, aside: bool) -> None:
    """Of two streams in hand the one whose snapshot another worker wrote begins again, suspended or not."""
    lane.submit(_events(4, 5))
    lane.submit(_events(4, 5, stream="other"))
    if aside:
        lane.hand.suspend(S)
    log.checkpoints |= {S: Checkpoint(S, position=3, snapshot_records=1), "other": Checkpoint("other", position=3)}
    assert [rewound.checkpoint.stream for rewound in lane.renew()] == [S]


def test_snapshot_of_a_stream_that_is_new_to_this_lane_is_no_strangers(log: FakeLog) -> None:
    """It has nothing in hand: nothing could mix."""
    lane = FakeLane(log)
    log.checkpoints[S] = Checkpoint(S, position=3, snapshot_id="b", snapshot_records=2)
    assert lane.renew() == []


def test_snapshot_is_told_from_the_streams_own_batches(lane: FakeLane) -> None:
    """Another stream's in the same transaction says nothing of it."""
    lane.submit(_batch(_entry(1), snapshot_id="a"))
    lane.submit(_events(1, 1, stream="other"))
    lane.submit(_events(2, 3))
    assert [batch.snapshot_id for batch in lane.fill(9, 9, 1)] == ["a", None, "a"]


def test_checkpoint_keeps_the_offsets_of_partitions_that_are_not_written_now(lane: FakeLane, log: FakeLog) -> None:
    """It is cumulative over every partition that the stream ever wrote."""
    for position, partition in ((1, 0), (2, 1)):
        lane.submit(_batch(msgspec.structs.replace(_entry(position), partition=partition)))
        lane.commit(lane.fill(9))
    assert log.checkpoints[S].offsets == {"t": {0: 0, 1: 0}}


def test_stream_that_is_rewound_twice(lane: FakeLane, log: FakeLog) -> None:
    """Each time another incarnation."""
    for incarnation in (1, 2):
        lane.submit(_events(1, 3, incarnation=incarnation - 1))
        lane.commit(lane.fill(9))
        log.rewind(0, {S: Checkpoint(S, position=0)})
        assert [rewound.incarnation for rewound in lane.renew()] == [incarnation]


def test_own_snapshot_set_aside_is_not_mixed_with_what_another_worker_wrote(lane: FakeLane, log: FakeLog) -> None:
    """The stream begins again; another stream, which has no snapshot in hand, does not."""
    lane.submit(_batch(_entry(3, records=1), snapshot_id="a"))
    lane.submit(_events(4, 5, stream="other"))
    lane.hand.suspend(S)
    log.checkpoints |= {S: Checkpoint(S, position=3), "other": Checkpoint("other", position=3)}
    assert [rewound.checkpoint.stream for rewound in lane.renew()] == [S]


def test_another_workers_snapshot_begins_a_stream_again_that_has_nothing_in_hand(lane: FakeLane, log: FakeLog) -> None:
    """What its sockets bring next would stand in the middle of that snapshot."""
    log.checkpoints[S] = theirs = Checkpoint(S, position=3, snapshot_id="b", snapshot_records=2)
    assert lane.renew() == [Rewound(theirs, 1, lost=False)]
