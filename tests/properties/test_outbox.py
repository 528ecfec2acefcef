"""Any life of a stream's outbox and its snapshots: what Kafka has is the platform's history.

Events, dead letters, gaps and resets come as they like, snapshots when they like or not at all; transactions commit
anything; crashes spare nothing in memory. The history is a list, and so is what Kafka has: the same list, with whole
snapshots where they belong.

Outbox, Rebuild, lane and checkpoints are the real ones; the loop is stepped by hand.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connector.core.steps import Unreadable
from connector.model import SOME_TIME, Checkpoint, DialFailure, Entry, FailureKind, Gap, GapReason
from connector.stream.anchor import DUE
from connector.stream.outbox import Outbox
from connector.stream.rebuild import Rebuild
from tests.fakes.parts import STREAM, FakeParts
from tests.fakes.sink import FakeLane, FakeLog
from tests.fakes.source import FakeSnapshot

PARTITIONS, PATIENCE_S = 2, 300.0
ENDS = ["crash", "fault", "fault, then commit", "fault, then doubt", "fault, then abort"]
Item = tuple[str, int, int, int]
"""What, epoch, position, ordinal. Items of one history rise by the last three."""


def _after(item: Item, what: str) -> Item:
    _, epoch, position, ordinal = item
    return {
        "event": ("event", epoch, position + 1, 0),
        "dead": ("dead", epoch, position, ordinal + 1),
        "gap": ("gap", epoch, position + 5, 0),
        "reset": ("gap", epoch + 1, 0, 0),
        "reset_later": ("gap", epoch + 1, 3, 0),
    }[what]


class StreamLife(RuleBasedStateMachine):
    """One stream, from crash to crash."""

    @initialize(start_with_snapshot=st.booleans(), has_snapshots=st.sampled_from([True, True, True, False]))
    def begin(self, *, start_with_snapshot: bool, has_snapshots: bool) -> None:
        """A new stream, at position 0."""
        self.has_snapshots = has_snapshots
        self.loop = asyncio.new_event_loop()
        self.log = FakeLog(PARTITIONS)
        self.items: list[Item] = [("start", 0, 0, 0)]
        self.crashed_at: set[int] = set()
        self.up = False
        due = DUE if start_with_snapshot else None
        self.log.checkpoints[STREAM] = Checkpoint(STREAM, position=0, snapshot_id=due)
        self.restart()

    # ------------------------------------------------------------------ the worker

    def restart(self, incarnation: int | None = None) -> None:
        """Go on from the checkpoint: in a new process, or beside a lane that knows the incarnations before."""
        if incarnation is None:
            self.lane = FakeLane(self.log)
        made = FakeParts(self.lane, partitions=PARTITIONS)
        self.clock, self.source, self.tokens, self.envelope = made.clock, made.source, made.tokens, made.envelope
        self.outbox = Outbox(made.plan, made.parts, lambda: None)
        self.rebuild = Rebuild(made.plan, made.parts, self.outbox)
        checkpoint = self.log.checkpoints[STREAM]
        self.outbox.start(checkpoint)
        self.outbox.incarnation = incarnation or 0
        mark = checkpoint.mark
        self.next = sum(item[1:] <= (mark.epoch, mark.position, mark.ordinal) for item in self.items)
        self.up = True
        self._step(self.tokens.issue)
        if checkpoint.snapshot_id is not None:
            self._step(lambda: self.rebuild.resume(SOME_TIME))

    @precondition(lambda self: self.up)
    @rule(how=st.sampled_from(ENDS))
    def end(self, how: str) -> None:
        """A crash: everything in memory is lost. A fault: the lane lives on, maybe with a transaction open."""
        self._step(self.rebuild.stop)
        incarnation = None if how == "crash" else self._fault(how)
        self.crashed_at.add(len(self.log.records))
        self.restart(incarnation)
        self._step(self._deliver)

    def _fault(self, how: str) -> int:
        hand = self.lane.hand
        self.outbox.forget()
        under_way = [] if how == "fault" else self.lane.fill(2)
        hand.renounce(STREAM)
        if under_way:
            assert hand.renounced() == [], "its transaction is open"
        if how == "fault, then commit":
            self.lane.commit(under_way)
        elif how == "fault, then doubt":
            self.lane.commit(under_way, told=False)
            self.lane.renew()
        elif how == "fault, then abort":
            self.lane.renew()
        (renounced,) = hand.renounced()
        assert renounced.checkpoint == self.log.checkpoints[STREAM]
        return renounced.incarnation

    # ------------------------------------------------------------------ the stream

    @rule(
        what=st.lists(st.sampled_from([*["event"] * 3, "dead", "gap", "reset", "reset_later"]), min_size=1, max_size=5)
    )
    def read(self, what: list[str]) -> None:
        """Items arrive, all at once."""
        self._read(what)
        self._step(self.outbox.submit)

    def _read(self, what: list[str]) -> None:
        for each in what:
            self.items.append(_after(self.items[-1], each))
        self._step(self._deliver)

    def _deliver(self) -> None:
        while self.next < len(self.items):
            what, epoch, position, ordinal = self.items[self.next]
            first = self.items[self.next - 1][2] + 1 if self.items[self.next - 1][1] == epoch else 1
            self.next += 1
            if what == "gap":
                reset = epoch != self.items[self.next - 2][1]
                reason = GapReason.POSITION_RESET if reset else GapReason.JUMP
                ends = (first, position) if position else (None, None)
                gap = Gap(epoch, ends[0], ends[1], None, None, reason)
                self.rebuild.gap(self.envelope.gap(gap), gap)
            elif what == "dead":
                step: Unreadable[object] = Unreadable(position, ordinal, None, f"{ordinal:064x}", None)
                self.outbox.add(self.envelope.dead_letter(self.outbox.epoch, step, b"junk", "not_json"))
            else:
                self.outbox.add(self.envelope.event(epoch, position, None, {}, b"{}")[0])

    # ------------------------------------------------------------------ the platform's snapshots

    @precondition(lambda self: self.up and self.source.waiting_for_snapshot)
    @rule(beyond=st.integers(-8, 8), conversations=st.integers(0, 4))
    def snapshot_comes(self, beyond: int, conversations: int) -> None:
        """The snapshot that is being asked for arrives, at some position, also an odd one; or none ever."""
        position = max(0, self.items[-1][2] + beyond)
        content = [b'{"k": "c%d"}' % n for n in range(conversations)]
        self._answer(FakeSnapshot(position, content, 1_772_352_930_000) if self.has_snapshots else None)

    @precondition(lambda self: self.up and self.source.waiting_for_snapshot)
    @rule(
        kind=st.sampled_from([FailureKind.NETWORK, FailureKind.UNAUTHORIZED, FailureKind.REJECTED]),
        seconds=st.sampled_from([40.0, 40.0, PATIENCE_S + 60]),
    )
    def snapshot_fails(self, kind: FailureKind, seconds: float) -> None:
        """The request fails; it is repeated, unless patience has run out."""
        self._answer(DialFailure(kind, "no"))
        self._step(lambda: self.clock.advance(seconds))

    @precondition(lambda self: self.up and self.has_snapshots)
    @rule(
        before=st.sampled_from([[], ["dead"], ["event"]]),
        limits=st.lists(st.integers(1, 3), min_size=1, max_size=3),
        after=st.sampled_from([[], ["dead"], ["event", "reset"], ["gap"]]),
        how=st.sampled_from([*ENDS, None]),
    )
    def snapshot_is_cut_short(self, before: list[str], limits: list[int], after: list[str], how: str | None) -> None:
        """A gap, and a snapshot of which only a part commits before the worker ends."""
        self.read([*before, "gap"])
        if self.source.waiting_for_snapshot:
            self.snapshot_comes(0, 2)
        self.commit(limits)
        if after:
            self.read(after)
        if how is not None:
            self.end(how)
            if self.source.waiting_for_snapshot:
                self.snapshot_comes(0, 2)

    @precondition(lambda self: self.up and self.source.waiting_for_snapshot)
    @rule(after=st.lists(st.sampled_from(["event", "dead", "gap", "reset"]), min_size=1, max_size=3))
    def snapshot_is_late(self, after: list[str]) -> None:
        """It was taken before what is found while it is under way."""
        position = self.items[-1][2]
        self.read(after)
        if self.source.waiting_for_snapshot:
            self.snapshot_comes(position - self.items[-1][2], 1)

    def _answer(self, answer: FakeSnapshot | DialFailure | None) -> None:
        self._step(lambda: self.source.snapshots.put_nowait(answer))

    # ------------------------------------------------------------------ the lane

    @precondition(lambda self: self.up and self.lane.hand.waiting())
    @rule(limits=st.lists(st.integers(1, 6), min_size=1, max_size=5))
    def commit_some(self, limits: list[int]) -> None:
        """A transaction commits."""
        self.commit(limits)

    @precondition(lambda self: self.up and self.lane.hand.waiting())
    @rule()
    def commit_all(self) -> None:
        """All that is in hand commits."""
        self._drain()

    def commit(self, limits: list[int]) -> None:
        """Write so much of each batch, in one transaction."""
        for freed in self.lane.commit(self.lane.fill(*limits)):
            self.outbox.committed(freed.entries, freed.size_bytes)
            assert not freed.entries or freed.checkpoint.mark == self.log.checkpoints[STREAM].mark
        self._step(self.rebuild.committed)

    def _drain(self) -> None:
        while self.lane.hand.waiting():
            self.commit([50])

    def _step(self, call: object) -> None:
        """Call from inside the loop, and let tasks run until nothing moves."""

        async def run() -> None:
            assert callable(call)
            call()
            for _ in range(30):
                await asyncio.sleep(0)

        self.loop.run_until_complete(run())

    # ------------------------------------------------------------------ what must hold

    @invariant()
    def log_is_the_history(self) -> None:
        """Each item once and in order; snapshots whole and alone; the checkpoint knows what is due."""
        if not self.up:
            return
        marks = [entry.mark(epoch) for _, epoch, entry in self.log.records]
        assert all(before < after for before, after in pairwise(marks))
        items, due, promised = _Reader(self.log, self.crashed_at).read()
        assert items == self.items[1 : len(items) + 1]
        checkpoint = self.log.checkpoints[STREAM]
        assert checkpoint.snapshot_id is not None or not (due or promised)
        assert not self.lane.hand.dropped() or self.crashed_at, "an entry was taken for one that Kafka has"

    def teardown(self) -> None:
        """At last snapshots come and everything is committed."""
        if not self.up:
            return
        self._step(self._deliver)
        self._step(self.outbox.submit)
        for _ in range(200):
            self._drain()
            if not self.rebuild.active and not self.lane.hand.waiting():
                break
            if self.source.waiting_for_snapshot:
                self.snapshot_comes(0, 3)
            self._step(lambda: self.clock.advance(40.0))
            self.read(["event"])
        self.log_is_the_history()
        items, due, promised = _Reader(self.log, self.crashed_at).read()
        assert items == self.items[1:]
        assert due is None
        assert not promised
        assert self.log.checkpoints[STREAM].snapshot_id is None or not self.has_snapshots
        assert self.outbox.in_hand_events == 0
        self.loop.close()


class _Reader:
    """Reads the log as a consumer would, and judges snapshots."""

    def __init__(self, log: FakeLog, crashed_at: set[int]) -> None:
        self._log = log
        self._crashed_at = crashed_at
        self._open: str | None = None
        self._seen: dict[str, list[int]] = {"begin": [], "end": []}
        self._promised: set[str] = set()

    def read(self) -> tuple[list[Item], str | None, set[str]]:
        """The items; the snapshot that is begun and not ended; what gap records promise and is not there."""
        items: list[Item] = []
        crashed = False
        for index, (_, epoch, entry) in enumerate(self._log.records):
            crashed = crashed or index in self._crashed_at
            snapshot_id = dict(entry.headers).get("ce_snapshotid")
            if snapshot_id is not None:
                crashed = self._snapshot(str(snapshot_id), entry, crashed=crashed)
                continue
            assert self._open is None or crashed, "something stands inside a snapshot"
            what = "gap" if entry.topic == "g.gaps" else "dead" if entry.ordinal else "event"
            if what == "gap":
                self._gap(orjson.loads(entry.value))
            items.append((what, epoch, entry.position, entry.ordinal))
        return items, self._open, self._promised

    def _gap(self, record: dict[str, object]) -> None:
        assert record["snapshot"] in ("done", "failed"), "a gap record that does not know of its snapshot"
        if record["snapshot"] == "done":
            self._promised.add(str(record["snapshot_id"]))

    def _snapshot(self, snapshot_id: str, entry: Entry, *, crashed: bool) -> bool:
        what = str(dict(entry.headers)["ce_type"]).removeprefix("ccaas.snapshot").removeprefix(".")
        if what == "begin" and snapshot_id != self._open:
            assert self._open is None or crashed, "a snapshot begins inside another one"
            self._open, self._seen = snapshot_id, {"begin": [], "end": []}
            crashed = False
        assert snapshot_id == self._open, "a record outside its snapshot"
        assert not crashed, "a snapshot goes on after a crash"
        if what:
            self._seen[what].append(self._log.partition_of(entry))
        else:
            assert self._seen["begin"] == list(range(PARTITIONS))
            assert not self._seen["end"]
        if self._seen["end"] == list(range(PARTITIONS)):
            self._open = None
            self._promised.clear()  # what a crash has cut short is made good by a later one
        return crashed


TestStreamLife = StreamLife.TestCase
TestStreamLife.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
