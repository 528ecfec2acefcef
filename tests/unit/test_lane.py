"""What a lane has in hand, between arrival and commit, by example."""

from __future__ import annotations

from dataclasses import replace

from connector.core.lane import Freed, InHand, Rewound
from connector.model import Batch, Checkpoint, Entry


def entries(first: int, last: int) -> list[Entry]:
    """Events at these positions."""
    return [Entry(n, 0, f"topic-{n % 2}", "k", b"12345", [], 0, None) for n in range(first, last + 1)]


def batch(first: int, last: int, stream: str = "s", *, incarnation: int = 0, epoch: int = 0) -> Batch:
    """A batch of events."""
    events = entries(first, last)
    return Batch(stream, incarnation, epoch, events, 5 * len(events))


def in_hand(*batches: Batch, position: int = 0) -> InHand:
    """A lane that has read its checkpoints, and these batches."""
    hand = InHand()
    hand.reconcile({stream: Checkpoint(stream, position=position) for stream in ("r", "s")})
    for each in batches:
        hand.arrive(each)
    return hand


def positions(taken: Batch | None) -> list[int]:
    """Of a batch."""
    return [] if taken is None else [entry.position for entry in taken.entries]


def commit(hand: InHand) -> list[Freed]:
    """The open transaction commits."""
    hand.checkpoints({})
    return hand.committed()


def test_batch_is_committed() -> None:
    """Its stream's buffer is freed, and the checkpoint known."""
    hand = in_hand(batch(1, 3), batch(1, 2, "r"))
    assert hand.waiting()
    assert positions(hand.take(10)) == [1, 2, 3]
    assert positions(hand.take(10)) == [1, 2]
    assert hand.take(10) is None
    assert (hand.records, hand.streams()) == (5, ["s", "r"])
    assert hand.writes() == {(stream, topic) for stream in ("r", "s") for topic in ("topic-0", "topic-1")}
    made = hand.checkpoints({"s": {"topic-0": {0: 7}}})
    assert [(c.stream, c.position, c.offsets) for c in made] == [("s", 3, {"topic-0": {0: 7}}), ("r", 2, {})]
    assert [(f.checkpoint.position, f.entries, f.size_bytes) for f in hand.committed()] == [(3, 3, 15), (2, 2, 10)]
    assert (hand.records, hand.waiting(), hand.dropped()) == (0, False, [])


def test_batch_is_split_over_transactions() -> None:
    """What it says of a quiet stream goes with its last part."""
    hand = in_hand(replace(batch(1, 5), complete_until_ms=9, urgent=True))
    first = hand.take(2)
    assert first is not None
    assert (positions(first), first.size_bytes, first.complete_until_ms, first.urgent) == ([1, 2], 10, None, True)
    commit(hand)
    rest = hand.take(10)
    assert rest is not None
    assert (positions(rest), rest.size_bytes, rest.complete_until_ms) == ([3, 4, 5], 15, 9)


def test_rolled_back_batches_go_back_in_front() -> None:
    """In their order, before what came meanwhile."""
    hand = in_hand(batch(1, 3), batch(4, 5))
    hand.take(2)
    hand.take(2)
    hand.arrive(batch(6, 6))
    hand.roll_back()
    assert hand.records == 0
    assert [positions(hand.take(10)) for _ in range(4)] == [[1, 2], [3], [4, 5], [6]]


def test_unknown_outcome_that_was_a_commit() -> None:
    """What the checkpoint says is there is dropped, and freed."""
    hand = in_hand(batch(1, 5))
    hand.take(10)
    hand.checkpoints({})
    hand.roll_back()
    assert hand.reconcile({"s": Checkpoint("s", position=3)}) == []
    assert positions(hand.take(10)) == [4, 5]
    assert [(f.checkpoint.position, f.entries, f.size_bytes) for f in hand.dropped()] == [(3, 3, 15)]
    assert hand.dropped() == []


def test_batch_that_is_there_already_is_dropped_whole() -> None:
    """Another worker was faster."""
    hand = in_hand(batch(1, 5), position=7)
    assert hand.take(10) is None
    assert [f.entries for f in hand.dropped()] == [5]


def test_position_is_not_taken_twice_into_one_transaction() -> None:
    """Whatever a stream hands over."""
    hand = in_hand(batch(1, 4), batch(3, 6))
    assert [positions(hand.take(10)) for _ in range(2)] == [[1, 2, 3, 4], [5, 6]]


def test_rewound_stream_starts_again() -> None:
    """Kafka has less than was committed: what was in hand counts no more, a new incarnation's does."""
    hand = in_hand(batch(1, 5))
    hand.take(10)
    commit(hand)
    hand.arrive(batch(6, 7))
    read = Checkpoint("s", position=2)
    assert hand.reconcile({"s": read}) == [Rewound(read, 1, lost=True)]
    assert hand.take(10) is None
    hand.arrive(batch(3, 4, incarnation=1))
    assert positions(hand.take(10)) == [3, 4]


def test_new_epoch_is_ahead_of_every_position_of_the_former() -> None:
    """Its positions begin anew."""
    hand = in_hand(batch(1, 2, epoch=1), position=500)
    assert positions(hand.take(10)) == [1, 2]


def test_initial_checkpoint() -> None:
    """Once: a second one is dropped, and its stream hears where it stands."""
    hand = InHand()
    start = Batch("s", 0, 0, [], start=Checkpoint("s", position=50))
    hand.arrive(start)
    hand.take(10)
    assert [f.checkpoint.position for f in commit(hand)] == [50]
    hand.arrive(start)
    assert hand.take(10) is None
    assert [(f.checkpoint.position, f.entries) for f in hand.dropped()] == [(50, 0)]


def test_stream_without_a_checkpoint() -> None:
    """What it hands over is taken as it is; what is dropped of it is told with what is known: nothing."""
    hand = InHand()
    hand.arrive(batch(1, 2))
    assert positions(hand.take(10)) == [1, 2]


def test_quiet_stream_moves_its_checkpoint() -> None:
    """A batch without entries is never old."""
    hand = in_hand(Batch("s", 0, 0, [], complete_until_ms=9), position=7)
    assert hand.take(10) is not None
    (freed,) = commit(hand)
    assert (freed.checkpoint.position, freed.checkpoint.complete_until_ms, freed.entries) == (7, 9, 0)


def test_first_entry_is_replaced() -> None:
    """By its dead letter; batches without entries are passed over."""
    hand = in_hand(Batch("s", 0, 0, [], complete_until_ms=9), batch(1, 2))
    replaced = hand.replace_first(lambda stream, entry: entry._replace(topic=f"dead-{stream}"))
    assert replaced is not None
    assert replaced.topic == "dead-s"
    hand.take(10)
    taken = hand.take(10)
    assert taken is not None
    assert [entry.topic for entry in taken.entries] == ["dead-s", "topic-0"]
    assert hand.replace_first(lambda _, entry: entry) is None


def test_suspended_stream_is_set_aside() -> None:
    """With what arrives meanwhile, in order; the others go on."""
    hand = in_hand(batch(1, 2), batch(1, 1, "r"))
    hand.suspend("s")
    hand.arrive(batch(3, 3))
    assert hand.suspended == {"s"}
    assert positions(hand.take(10)) == [1]
    assert hand.take(10) is None
    hand.restore("s")
    hand.restore("nobody")
    assert hand.suspended == set()
    assert [positions(hand.take(10)) for _ in range(2)] == [[1, 2], [3]]


def test_snapshot_of_another_worker_is_not_mixed_with_ours() -> None:
    """The stream starts again from there; events alone need not."""
    ours = replace(batch(1, 2), snapshot_id="ours")
    read = Checkpoint("s", position=1)
    hand = in_hand(ours)
    assert hand.reconcile({"s": read}) == [Rewound(read, 1, lost=False)]
    hand = in_hand(batch(1, 2))
    assert hand.reconcile({"s": read}) == []
    theirs = replace(read, position=2, snapshot_id="theirs")
    assert hand.reconcile({"s": theirs}) == [Rewound(theirs, 1, lost=False)]


def test_own_snapshot_goes_on_after_a_doubt() -> None:
    """Whether the transaction in doubt committed or not."""
    records = [entry._replace(snapshot_records=n) for n, entry in enumerate([*entries(2, 2)] * 3, 1)]
    for committed, left in ((True, 1), (False, 5)):
        hand = in_hand(Batch("s", 0, 0, [*entries(1, 2), *records], 25, snapshot_id="x"))
        hand.take(4)
        (attempt,) = hand.checkpoints({})
        assert (attempt.snapshot_id, attempt.snapshot_records) == ("x", 2)
        hand.roll_back()
        assert hand.reconcile({"s": attempt if committed else Checkpoint("s", position=0)}) == []
        assert sum(len(positions(hand.take(10))) for _ in range(2)) == left


def test_snapshot_of_one_stream_is_not_anothers() -> None:
    """Though they share a transaction."""
    hand = in_hand(replace(batch(1, 1, "r"), snapshot_id="x"), batch(1, 4))
    hand.take(10)
    first = hand.take(2)
    assert first is not None
    assert (first.stream, first.snapshot_id) == ("s", None)


def test_part_of_a_snapshots_last_batch_still_belongs_to_it() -> None:
    """It ends with the last record, not before."""
    hand = in_hand(replace(batch(1, 1), snapshot_id="x"), batch(2, 5))
    hand.take(10)
    first = hand.take(2)
    assert first is not None
    assert first.snapshot_id == "x"
    commit(hand)
    middle = hand.take(1)
    assert middle is not None
    assert middle.snapshot_id == "x"
    commit(hand)
    last = hand.take(10)
    assert last is not None
    assert last.snapshot_id is None
