"""Any life of a lane: whatever commits, is in doubt, taken over or lost, each mark is in Kafka once and in order.

The platform is a list of items for each stream. A *feed* plays the pipeline: it hands over what comes next, and starts
again from a checkpoint when it is told to. The log in memory plays Kafka.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count, pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connector.core.dead_letter import refused, shortened
from connector.core.lane import InHand, Rewound
from connector.core.transaction import Bisection
from connector.model import Batch, Checkpoint, DeadLetterId, Entry, Mark
from tests.fakes.sink import FakeLane, FakeLog

STREAMS = ("a", "b")
PARTITIONS = 2
_numbers = count(1)
Item = tuple[int, int, int]
"""Epoch, position, ordinal."""


@dataclass
class Platform:
    """What happens on one stream; the same for everybody who reads it."""

    items: list[Item] = field(default_factory=lambda: [(0, 1, 0)])

    def happen(self, what: str) -> None:
        """One more item."""
        epoch, position, ordinal = self.items[-1]
        after = {
            "event": (epoch, position + 1, 0),
            "gap": (epoch, position + 7, 0),
            "dead": (epoch, position, ordinal + 1),
            "reset": (epoch + 1, 0, 0),
        }
        self.items.append(after[what])


class Feed:
    """Plays the pipeline of one stream."""

    def __init__(self, stream: str, platform: Platform, lane: FakeLane) -> None:
        self.stream = stream
        self.platform = platform
        self.lane = lane
        self.incarnation = 0
        self.next = 0
        self.place = (0, 0)
        self.records = 0

    def begin(self) -> None:
        """The first commit of a stream."""
        self.lane.submit(Batch(self.stream, self.incarnation, 0, [], start=Checkpoint(self.stream, position=0)))

    def start(self, checkpoint: Checkpoint, incarnation: int = 0) -> None:
        """Go on from a checkpoint; a snapshot that is not complete begins anew."""
        mark = checkpoint.mark
        at = (mark.epoch, mark.position, mark.ordinal)
        self.incarnation = incarnation
        self.next = sum(item <= at for item in self.platform.items)
        self.place, self.records = (mark.epoch, mark.position), mark.snapshot_records
        if checkpoint.snapshot_id is not None:
            self.snapshot(2)

    def go_on(self, how_many: int, *, urgent: bool = False) -> None:
        """Hand over the next items, a batch for each epoch."""
        batches: list[Batch] = []
        for epoch, position, ordinal in self.platform.items[self.next : self.next + how_many]:
            if (epoch, position) != self.place:
                self.place, self.records = (epoch, position), 0
            if not batches or batches[-1].epoch != epoch:
                batches.append(Batch(self.stream, self.incarnation, epoch, [], urgent=urgent))
            batches[-1].entries.append(self._entry(epoch, position, ordinal))
        for batch in batches:
            self._submit(batch)
        self.next = min(len(self.platform.items), self.next + how_many)

    def snapshot(self, conversations: int) -> None:
        """Hand over a snapshot behind what was handed over."""
        name = f"{self.stream}{next(_numbers)}"
        begin = [self._record(name, b"begin", partition) for partition in range(PARTITIONS)]
        content = [self._record(name, b"content") for _ in range(conversations)]
        end = [self._record(name, b"end", partition) for partition in range(PARTITIONS)]
        for entries, snapshot_id in ((begin, name), (content, name), (end, None)):
            if entries:
                self._submit(Batch(self.stream, self.incarnation, self.place[0], entries, snapshot_id=snapshot_id))

    def _submit(self, batch: Batch) -> None:
        batch.size_bytes = sum(len(entry.value) for entry in batch.entries)
        self.lane.submit(batch)

    def _entry(self, epoch: int, position: int, ordinal: int) -> Entry:
        key, sha256 = str(position % 3), f"{epoch}/{position}/{ordinal}" if ordinal else ""
        headers: list[tuple[str, str | bytes | None]] = [("ce_id", f"{epoch}/{position}")]
        return Entry(position, ordinal, "t", key, b"item", headers, 0, position, sha256, self.records)

    def _record(self, name: str, what: bytes, partition: int = -1) -> Entry:
        self.records += 1
        epoch, position = self.place
        headers: list[tuple[str, str | bytes | None]] = [("ce_id", f"{epoch}/"), ("ce_snapshotid", name)]
        return Entry(position, 0, "t", "k", what, headers, 0, None, "", self.records, partition)


@dataclass
class Seen:
    """What a reader of the log makes of one stream."""

    items: list[Item] = field(default_factory=list)
    snapshot: str | None = None
    ends: int = 0
    records: int = 0
    marks: list[Mark] = field(default_factory=list)
    offsets: dict[str, dict[int, int]] = field(default_factory=dict)


def read(log: FakeLog, stream: str) -> Seen:
    """Judge the order of a stream's records, and tell what they amount to."""
    seen = Seen()
    ends: dict[tuple[str, int], int] = {}
    for of, epoch, entry in log.records:
        partition = log.partition_of(entry)
        offset = ends[entry.topic, partition] = ends.get((entry.topic, partition), -1) + 1
        if of != stream:
            continue
        seen.offsets.setdefault(entry.topic, {})[partition] = offset
        seen.marks.append(entry.mark(epoch))
        seen.records = entry.snapshot_records
        name = dict(entry.headers).get("ce_snapshotid")
        if name is None:
            assert seen.snapshot is None, "an item inside a snapshot"
            seen.items.append((epoch, entry.position, entry.ordinal))
        elif entry.value == b"begin":
            seen.snapshot, seen.ends = str(name), 0
        else:
            assert seen.snapshot == name, "a record outside its snapshot"
            seen.ends += entry.value == b"end"
            if seen.ends == PARTITIONS:
                seen.snapshot = None
    return seen


def _refuse(stream: str, entry: Entry) -> Entry:
    """As a lane does: a dead letter that is refused itself is cut, until nothing is left to cut."""
    return (shortened(entry) or entry) if entry.ordinal else refused(entry, stream, "dead", "too large")


class LaneLife(RuleBasedStateMachine):
    """One lane with two streams."""

    @initialize()
    def open_the_lane(self) -> None:
        """Nothing has happened."""
        self.log = FakeLog(PARTITIONS)
        self.lane = FakeLane(self.log)
        self.platforms = {stream: Platform() for stream in STREAMS}
        self.feeds = {stream: Feed(stream, self.platforms[stream], self.lane) for stream in STREAMS}
        self.open: list[Batch] = []
        self.history: list[tuple[int, dict[str, Checkpoint]]] = []
        self.bisection = Bisection()
        for feed in self.feeds.values():
            feed.begin()

    # ------------------------------------------------------------------ streams

    @rule(
        stream=st.sampled_from(STREAMS),
        what=st.lists(st.sampled_from(["event", "event", "dead", "gap", "reset"]), min_size=1, max_size=6),
        again=st.integers(0, 3),
    )
    def arrive(self, stream: str, what: list[str], again: int) -> None:
        """The platform goes on; some of it is handed over twice (a pipeline that began again from a commit)."""
        for each in what:
            self.platforms[stream].happen(each)
        feed = self.feeds[stream]
        feed.go_on(len(what) + 1)
        if not feed.records:
            feed.next = max(0, feed.next - again)
            feed.go_on(again)

    @rule(stream=st.sampled_from(STREAMS), conversations=st.integers(0, 4))
    def arrive_snapshot(self, stream: str, conversations: int) -> None:
        """A snapshot comes in hand."""
        self.feeds[stream].snapshot(conversations)

    @rule(stream=st.sampled_from(STREAMS), until_ms=st.integers(0, 50))
    def arrive_quiet(self, stream: str, until_ms: int) -> None:
        """A quiet stream says that it is complete."""
        feed = self.feeds[stream]
        self.lane.submit(Batch(stream, feed.incarnation, 0, [], complete_until_ms=until_ms))

    @rule(stream=st.sampled_from(STREAMS))
    def suspend_or_restore(self, stream: str) -> None:
        """A topic goes away, or comes back."""
        if stream in self.lane.hand.suspended:
            self.lane.hand.restore(stream)
        elif not self.open:
            self.lane.hand.suspend(stream)

    # ------------------------------------------------------------------ transactions

    @precondition(lambda self: not self.open and self.lane.hand.waiting())
    @rule(limits=st.lists(st.integers(1, 5), min_size=1, max_size=4))
    def take(self, limits: list[int]) -> None:
        """Fill a transaction."""
        limit = self.bisection.limit or 99
        for each in limits:
            if limit > 0 and (batch := self.lane.hand.take(min(each, limit))) is not None:
                self.open.append(batch)
                limit -= len(batch.entries)
        assert self.lane.hand.records == sum(len(batch.entries) for batch in self.open)

    @precondition(lambda self: not self.open and self.lane.hand.waiting())
    @rule(limits=st.lists(st.integers(1, 3), min_size=1, max_size=4))
    def take_and_commit(self, limits: list[int]) -> None:
        """A whole transaction."""
        self.take(limits)
        if self.open:
            self.commit()

    @precondition(lambda self: self.open)
    @rule()
    def commit(self) -> None:
        """It commits, and we hear so."""
        records = self.lane.hand.records
        told = self.lane.commit(self.open)
        self.bisection.committed(records)
        for freed in told:
            stream = freed.checkpoint.stream  # one that has not begun may hear of room too, at nothing
            assert freed.checkpoint.mark <= self.log.checkpoints.get(stream, Checkpoint(stream)).mark
        self._wrote()

    @precondition(lambda self: self.open)
    @rule(reached_kafka=st.booleans())
    def doubt(self, *, reached_kafka: bool) -> None:
        """The outcome is unknown."""
        if reached_kafka:
            self.lane.commit(self.open, told=False)
            self._wrote()
        else:
            self.lane.hand.checkpoints({})
        self._renew()

    @precondition(lambda self: self.open)
    @rule()
    def refuse(self) -> None:
        """Kafka does not take one of the records."""
        only = self.bisection.failed(self.lane.hand.records)
        self.lane.hand.roll_back()
        if only:
            self.lane.hand.replace_first(_refuse)
        self._renew()

    @rule()
    def lose_and_regain(self) -> None:
        """A new producer, without a reason."""
        self._renew()

    # ------------------------------------------------------------------ others

    @precondition(lambda self: self.log.checkpoints)
    @rule(data=st.data(), in_doubt=st.booleans())
    def another_worker(self, data: st.DataObject, *, in_doubt: bool) -> None:
        """The lane is another worker's for a while, and then ours again."""
        if in_doubt and self.open:
            self.lane.commit(self.open, told=False)
            self._wrote()
        other = FakeLane(self.log)
        for stream, checkpoint in list(self.log.checkpoints.items()):
            feed = Feed(stream, self.platforms[stream], other)
            feed.start(checkpoint)
            feed.go_on(data.draw(st.integers(0, 4)))
            if data.draw(st.booleans()):
                feed.snapshot(data.draw(st.integers(0, 3)))
        batches = other.fill(*data.draw(st.lists(st.integers(1, 4), max_size=6)))
        if batches:
            other.commit(batches)
            self._wrote()
        self._renew()

    @precondition(lambda self: len(self.history) > 1)
    @rule(data=st.data())
    def kafka_loses(self, data: st.DataObject) -> None:
        """Kafka has less than it had (an unclean leader, a restored disk)."""
        at = data.draw(st.integers(0, len(self.history) - 1))
        length, checkpoints = self.history[at]
        if checkpoints.keys() == self.log.checkpoints.keys():
            del self.history[at + 1 :]
            self.log.rewind(length, checkpoints)
            self._renew()

    def _wrote(self) -> None:
        self.open = []
        self.history.append((len(self.log.records), dict(self.log.checkpoints)))

    def _renew(self) -> None:
        self.open = []
        rewound: list[Rewound] = self.lane.renew()
        for each in rewound:
            self.feeds[each.checkpoint.stream].start(each.checkpoint, each.incarnation)

    # ------------------------------------------------------------------ what must hold

    @invariant()
    def log_is_the_platform(self) -> None:
        """Each item once and in order, snapshots whole, marks rising, and the checkpoint says just that."""
        for stream in STREAMS if hasattr(self, "log") else ():
            seen, checkpoint = read(self.log, stream), self.log.checkpoints.get(stream)
            assert seen.items == self.platforms[stream].items[: len(seen.items)]
            assert all(before < after for before, after in pairwise(seen.marks))
            if checkpoint is None:
                assert not seen.marks
                continue
            epoch, position, _ = seen.items[-1] if seen.items else (0, 0, 0)
            dead = tuple(DeadLetterId(n, f"{e}/{p}/{n}") for e, p, n in seen.items if n and (e, p) == (epoch, position))
            assert (checkpoint.epoch, checkpoint.position) == (epoch, position)
            assert checkpoint.dead_letters == dead
            assert checkpoint.snapshot_records == seen.records
            assert checkpoint.snapshot_id == seen.snapshot
            assert checkpoint.offsets == seen.offsets

    def teardown(self) -> None:
        """Everything in hand is committed at last."""
        if not hasattr(self, "log"):
            return
        self._renew()
        for stream in STREAMS:
            self.lane.hand.restore(stream)
            self.feeds[stream].go_on(len(self.platforms[stream].items))
        while self.lane.hand.waiting():
            if batches := self.lane.fill(50):
                self.lane.commit(batches)
                self._wrote()
        self.log_is_the_platform()
        for stream in STREAMS:
            assert read(self.log, stream).items == self.platforms[stream].items


TestLaneLife = LaneLife.TestCase
TestLaneLife.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_hand_is_empty_at_first() -> None:
    """Nothing waits, nothing is open."""
    hand = InHand()
    assert not hand.waiting()
    assert hand.take(1) is None
    assert hand.records == 0
