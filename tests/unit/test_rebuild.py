"""Snapshots in their place: the cases worth a name (any interleaving is in ``tests/properties/test_outbox.py``)."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from connector import telemetry
from connector.model import SOME_TIME, Checkpoint, DialFailure, FailureKind, Gap, GapReason
from connector.stream.outbox import Outbox
from connector.stream.rebuild import Rebuild
from tests.fakes.parts import STREAM, FakeParts
from tests.fakes.sink import FakeSink
from tests.fakes.source import FakeSnapshot

_NO = DialFailure(FailureKind.NETWORK, "no")


class Site:
    """A stream at position 10 whose snapshots the test gives."""

    def __init__(self, checkpoint: Checkpoint | None = None, *, partitions: int = 2) -> None:
        self.sink = FakeSink()
        self.fake = FakeParts(self.sink, partitions=partitions)
        self.outbox = Outbox(self.fake.plan, self.fake.parts, lambda: None)
        self.rebuild = Rebuild(self.fake.plan, self.fake.parts, self.outbox)
        self.outbox.start(checkpoint or Checkpoint(STREAM, position=10))
        self.fake.tokens.issue()

    def gap(self, first: int | None, last: int | None, epoch: int = 0) -> None:
        """A gap was found."""
        gap = Gap(epoch, first, last, None, None, GapReason.POSITION_RESET if epoch else GapReason.RETENTION)
        self.rebuild.gap(self.fake.envelope.gap(gap), gap)

    def events(self, *positions: int) -> None:
        """Events arrived."""
        for position in positions:
            self.outbox.add(self.fake.envelope.event(self.outbox.epoch, position, None, {}, b"{}")[0])
        self.outbox.submit()

    async def give(self, snapshot: FakeSnapshot | DialFailure | None) -> None:
        """The platform answers."""
        self.fake.source.snapshots.put_nowait(snapshot)
        await self.settle()

    async def settle(self) -> None:
        """Let everything happen that is due."""
        for _ in range(50):
            await asyncio.sleep(0)

    def commit(self) -> None:
        """Everything in the lane commits."""
        batch = self.sink.batches
        self.outbox.committed(sum(len(b.entries) for b in batch), sum(b.size_bytes for b in batch))
        self.rebuild.committed()

    def story(self) -> list[str]:
        """What the lane was given: positions, gaps with their outcome, snapshots."""
        told = []
        for batch in self.sink.batches:
            for entry in batch.entries:
                headers = dict(entry.headers)
                if entry.topic == "g.gaps":
                    fields = orjson.loads(entry.value)
                    told.append(f"gap {fields['from']}-{fields['to']} {fields['snapshot']}")
                elif "ce_snapshotid" in headers:
                    told.append(str(headers["ce_type"]).removeprefix("ccaas.snapshot").removeprefix(".") or "record")
                else:
                    told.append(str(entry.position))
        return told


def _snapshot(position: int, conversations: int = 1) -> FakeSnapshot:
    return FakeSnapshot(position, [b'{"id":"c"}'] * conversations, 1)


_WHOLE = ["begin", "begin", "record", "end", "end"]


async def test_snapshot_stands_behind_the_gap() -> None:
    """Gap record first, then the snapshot, then what was kept back; one id throughout, and the checkpoint's."""
    site = Site()
    site.gap(11, 19)
    site.events(20, 21)
    await site.settle()
    assert site.story() == []
    snapshot = _snapshot(19)
    await site.give(snapshot)
    assert site.story() == ["gap 11-19 done", *_WHOLE, "20", "21"]
    assert snapshot.closed
    ids = {b.snapshot_id for b in site.sink.batches[:-2]}
    assert len(ids) == 1
    assert [b.snapshot_id for b in site.sink.batches[-2:]] == [None, None]
    gap_record = orjson.loads(site.sink.entries[0].value)
    assert gap_record["snapshot_id"] == ids.pop() == dict(site.sink.entries[1].headers)["ce_snapshotid"]
    assert not site.rebuild.active
    assert any(isinstance(event, telemetry.SnapshotWritten) for event in site.fake.told)


@pytest.mark.parametrize(
    ("position", "story"),
    [
        (5, ["gap 11-19 done", *_WHOLE, "20", "21"]),
        (20, ["gap 11-19 done", "20", *_WHOLE, "21"]),
        (21, ["gap 11-19 done", "20", "21", *_WHOLE]),
        (22, ["gap 11-19 done", "20", "21"]),
    ],
)
async def test_snapshot_stands_where_its_position_says(position: int, story: list[str]) -> None:
    """Behind the events that it holds, which may still be to come; never before the gap."""
    site = Site()
    site.gap(11, 19)
    site.events(20, 21)
    await site.settle()
    await site.give(_snapshot(position))
    assert site.story() == story
    if position == 22:
        site.events(22, 23)
        await site.settle()
        assert site.story() == [*story, "22", *_WHOLE, "23"]


async def test_failed_snapshot_lets_the_stream_go_on() -> None:
    """Once patience is over; the gap record says so, and the checkpoint asks for no snapshot."""
    site = Site()
    site.gap(11, 19)
    site.events(20)
    await site.settle()
    for _ in range(20):
        await site.give(_NO)
        site.fake.clock.advance(31)
        await site.settle()
    assert site.story() == ["gap 11-19 failed", "20"]
    assert {b.snapshot_id for b in site.sink.batches} == {None}
    assert not site.rebuild.active


async def test_platform_without_snapshots_fails_at_once() -> None:
    """It says so itself."""
    site = Site()
    site.gap(11, 19)
    await site.settle()
    await site.give(None)
    assert site.story() == ["gap 11-19 failed"]


async def test_platform_that_never_answers_does_not_hold_the_stream_for_ever() -> None:
    """No token, or a body that drips: the whole wait is bounded."""
    site = Site()
    site.gap(11, 19)
    site.fake.clock.advance(400)
    await site.settle()
    await asyncio.sleep(0.01)
    assert site.story() == ["gap 11-19 failed"]


async def test_gap_behind_the_snapshots_position_wants_another() -> None:
    """Nothing is lost in between, and each gap record tells of its own."""
    site = Site()
    site.gap(11, 19)
    site.events(20)
    site.gap(21, 29)
    site.events(30)
    await site.settle()
    await site.give(_snapshot(20))
    assert site.story() == ["gap 11-19 done", "20", *_WHOLE]
    await site.give(_snapshot(30))
    assert site.story() == ["gap 11-19 done", "20", *_WHOLE, "gap 21-29 done", "30", *_WHOLE]


async def test_gap_before_the_snapshots_position_has_it() -> None:
    """Found while its events were still to come: it is handed over at once, and knows what follows."""
    site = Site()
    site.gap(11, 19)
    await site.settle()
    await site.give(_snapshot(40))
    site.events(20)
    site.gap(21, 29)
    site.events(*range(30, 42))
    await site.settle()
    expected = ["gap 11-19 done", "20", "gap 21-29 done", *map(str, range(30, 41)), *_WHOLE, "41"]
    assert site.story() == expected
    assert not site.rebuild.active


async def test_reset_while_a_snapshot_is_written_loses_nothing() -> None:
    """Its records keep their epoch; the new sequence comes behind, with a snapshot of its own."""
    site = Site()
    site.gap(11, 19)
    await site.settle()
    await site.give(_snapshot(50))
    site.gap(None, None, epoch=1)
    site.events(1)
    await site.settle()
    assert site.story() == ["gap 11-19 done", *_WHOLE]
    assert {b.epoch for b in site.sink.batches} == {0}
    await site.give(_snapshot(1))
    assert site.story()[6:] == ["gap None-None done", "1", *_WHOLE]
    marks = [e.mark(b.epoch) for b in site.sink.batches for e in b.entries]
    assert marks == sorted(set(marks))


async def test_snapshot_of_a_sequence_that_is_over_is_not_used() -> None:
    """It was asked for before the reset was seen: nobody can tell which sequence its position belongs to."""
    site = Site()
    site.gap(11, 19)
    await site.settle()
    site.gap(None, None, epoch=1)
    stale = _snapshot(5000)
    await site.give(stale)
    assert stale.closed
    assert site.story() == []
    await site.give(_snapshot(0))
    assert site.story() == ["gap 11-19 done", "gap None-None done", *_WHOLE]


async def test_resumed_snapshot_holds_nothing_back() -> None:
    """Events pass while it is asked for, for as long as it takes; its records follow those that are there."""
    site = Site(Checkpoint(STREAM, position=10, snapshot_id="old", snapshot_records=500))
    site.rebuild.resume(SOME_TIME)
    await site.settle()
    for _ in range(20):
        await site.give(_NO)
        site.fake.clock.advance(31)
        await site.settle()
    assert site.rebuild.active
    await site.give(_snapshot(10))
    assert site.story() == _WHOLE
    assert [entry.snapshot_records for entry in site.sink.entries] == [501, 502, 503, 504, 505]
    assert dict(site.sink.entries[0].headers)["ce_snapshotid"] != "old"


async def test_gap_while_a_snapshot_is_resumed_has_one_that_was_asked_for_later() -> None:
    """The one that was under way may lack what is missing."""
    site = Site(Checkpoint(STREAM, position=10, snapshot_id="old"))
    site.rebuild.resume(SOME_TIME)
    await site.settle()
    site.events(11)
    site.gap(12, 19)
    site.events(20)
    await site.settle()
    assert site.story() == ["11"]
    await site.give(_snapshot(20))
    assert site.story() == ["11", "gap 12-19 done", "20", *_WHOLE]
    assert not site.rebuild.active


async def test_snapshot_that_is_owed_survives_a_gap_that_goes_without() -> None:
    """The gap record says failed; what the checkpoint promised before is still asked for."""
    site = Site(Checkpoint(STREAM, position=10, snapshot_id="old"))
    site.rebuild.resume(SOME_TIME)
    await site.settle()
    site.gap(11, 19)
    await site.settle()
    await site.give(_NO)
    site.fake.clock.advance(400)
    await site.settle()
    await site.give(_NO)
    assert site.story() == ["gap 11-19 failed"]
    assert site.sink.batches[-1].snapshot_id is not None
    site.fake.clock.advance(31)
    await site.settle()
    await site.give(_snapshot(19))
    assert site.story() == ["gap 11-19 failed", *_WHOLE]


async def test_large_snapshot_is_written_as_the_lane_commits() -> None:
    """Never more of it in hand than the buffer allows, however much is kept back behind it."""
    site = Site(partitions=1)
    site.gap(11, 19)
    site.events(*range(20, 120))
    await site.settle()
    await site.give(_snapshot(19, conversations=2200))
    written = len(site.sink.entries)
    assert 500 <= written < 1100
    for _ in range(10):
        site.commit()
        site.sink.batches.clear()
        await site.settle()
    assert not site.rebuild.active
    assert site.outbox.place == (0, 119)


async def test_large_conversations_make_small_chunks() -> None:
    """By bytes as well."""
    site = Site(partitions=1)
    site.gap(11, 19)
    await site.settle()
    await site.give(FakeSnapshot(19, [b'{"id":"%s"}' % (b"x" * 400_000)] * 9))
    assert [len(b.entries) for b in site.sink.batches] == [1, 1, 3]
    for _ in range(3):
        site.commit()
        site.sink.batches.clear()
        await site.settle()
    assert not site.rebuild.active


async def test_stop_gives_up_and_leaves_it_to_the_checkpoint() -> None:
    """At any moment: while it is asked for, and while the place is waited for."""
    for act in (_nothing, _given):
        site = Site()
        site.gap(11, 19)
        await site.settle()
        await act(site)
        handed = len(site.sink.batches)
        site.rebuild.stop()
        site.outbox.forget()
        await site.settle()
        assert not site.rebuild.active
        assert all(task.done() for task in site.fake.tasks)
        assert len(site.sink.batches) == handed


async def _nothing(_site: Site) -> None:
    return


async def _given(site: Site) -> None:
    await site.give(_snapshot(99))
    assert site.sink.batches[-1].snapshot_id is not None


async def test_fault_while_writing_closes_the_snapshot() -> None:
    """Its disk space is not kept."""
    site = Site()

    class Broken(FakeSnapshot):
        def __len__(self) -> int:
            raise OSError

    broken = Broken(19, [b"{}"])
    site.gap(11, 19)
    await site.settle()
    await site.give(broken)
    assert broken.closed
    (task,) = site.fake.tasks
    assert isinstance(task.exception(), OSError)
