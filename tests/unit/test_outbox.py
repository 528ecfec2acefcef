"""What a stream has in hand, and when it may read: the cases worth a name."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from connector.model import Checkpoint, Entry
from connector.stream.buffer import ENTRY_OVERHEAD_BYTES
from connector.stream.outbox import Outbox
from tests.fakes.parts import STREAM, FakeParts
from tests.fakes.sink import FakeSink


class Site:
    """An outbox with the lane and the worker's buffer behind it."""

    def __init__(self) -> None:
        self.sink = FakeSink()
        self.fake = FakeParts(self.sink)
        self.rooms = 0
        self.outbox = Outbox(self.fake.plan, self.fake.parts, self._room)

    def _room(self) -> None:
        self.rooms += 1

    def add(self, *positions: int) -> None:
        """Events of the present epoch."""
        for position in positions:
            self.outbox.add(entry(position))

    def handed(self) -> list[tuple[int, int]]:
        """Epoch and position of what the lane was given."""
        return [(batch.epoch, each.position) for batch in self.sink.batches for each in batch.entries]


def entry(position: int, ordinal: int = 0, value: bytes = b"12345678") -> Entry:
    """An entry."""
    return Entry(position, ordinal, "t", "k", value, [], 0, None, f"{ordinal:064x}" if ordinal else "")


@pytest.fixture
def site() -> Site:
    """A stream at position 0."""
    site = Site()
    site.outbox.start(Checkpoint(STREAM, position=0))
    return site


def test_one_submit_is_one_batch(site: Site) -> None:
    """Urgent where one of its entries is; nothing is submitted twice."""
    site.add(1, 2)
    site.outbox.add(entry(3), urgent=True)
    assert site.outbox.submit() == (3, 24)
    assert site.outbox.submit() == (0, 0)
    site.add(4)
    site.outbox.submit()
    assert [(len(b.entries), b.size_bytes, b.urgent) for b in site.sink.batches] == [(3, 24, True), (1, 8, False)]


def test_epoch_turns_between_batches(site: Site) -> None:
    """What was added before belongs to the former; all of it is counted by the next ``submit``."""
    site.add(7)
    site.outbox.turn_epoch(0)
    site.outbox.turn_epoch(1)
    site.add(1)
    assert site.outbox.submit() == (2, 16)
    assert site.handed() == [(0, 7), (1, 1)]


def test_start_is_a_batch_of_its_own(site: Site) -> None:
    """Without entries."""
    site.outbox.begin(Checkpoint(STREAM, position=9))
    (batch,) = site.sink.batches
    assert (batch.entries, batch.start) == ([], Checkpoint(STREAM, position=9))


def test_quiet_stream_has_a_batch_without_entries(site: Site) -> None:
    """Which says up to when nothing is missing."""
    site.outbox.complete(77)
    (batch,) = site.sink.batches
    assert (batch.entries, batch.complete_until_ms, batch.start) == ([], 77, None)


def test_stream_that_keeps_back_a_gap_is_not_complete(site: Site) -> None:
    """Nor one that has something to hand over."""
    site.outbox.raise_wall((0, 0))
    site.add(9)
    site.outbox.complete(77)
    site.outbox.submit()
    site.outbox.complete(77)
    assert site.sink.batches == []
    site.outbox.drop_wall()
    site.outbox.complete(78)
    assert [batch.complete_until_ms for batch in site.sink.batches] == [None, 78]


def test_wall_keeps_back_what_comes_after_it(site: Site) -> None:
    """What is before it passes; once all of that has passed, it is told, once, and nothing passes any more."""
    reached: list[int] = []
    site.outbox.raise_wall((0, 2), lambda: reached.append(1))
    site.add(1)
    site.outbox.submit()
    assert not reached
    site.add(2)
    site.outbox.add(entry(2, 1))
    site.add(3)
    site.outbox.submit()
    assert reached == [1]
    assert site.handed() == [(0, 1), (0, 2), (0, 2)]
    assert site.outbox.place == (0, 3)
    site.outbox.add(entry(3, 1))
    site.outbox.submit()
    site.outbox.drop_wall()
    assert reached == [1]
    assert site.handed()[3:] == [(0, 3), (0, 3)]
    assert site.outbox.place == site.outbox.handed == (0, 3)


def test_dead_letter_at_the_wall_does_not_pass_once_it_is_reached(site: Site) -> None:
    """A snapshot is being written there: it comes behind it."""
    site.add(2)
    site.outbox.submit()
    site.outbox.raise_wall((0, 2), lambda: None)
    site.outbox.add(entry(2, 1))
    site.outbox.submit()
    assert site.handed() == [(0, 2)]
    site.outbox.drop_wall()
    assert site.handed() == [(0, 2), (0, 2)]


@pytest.mark.parametrize("wall", [(0, 0), (0, 5), (0, 3)])
def test_wall_at_or_behind_the_present_is_reached_at_once(site: Site, wall: tuple[int, int]) -> None:
    """Nothing is to come before it."""
    site.add(5)
    site.outbox.submit()
    reached: list[int] = []
    site.outbox.raise_wall(wall, lambda: reached.append(1))
    assert reached == [1]
    site.add(6)
    site.outbox.submit()
    assert site.handed() == [(0, 5)]


def test_new_sequence_ends_the_way_to_a_wall(site: Site) -> None:
    """The positions before it do not come any more."""
    reached: list[int] = []
    site.outbox.raise_wall((0, 100), lambda: reached.append(1))
    site.add(1)
    site.outbox.turn_epoch(1)
    site.add(1)
    site.outbox.submit()
    assert reached == [1]
    assert site.handed() == [(0, 1)]


def test_wall_without_anybody_to_tell(site: Site) -> None:
    """Until it is raised again, further on."""
    site.outbox.raise_wall((0, 0))
    site.add(1, 2)
    site.outbox.submit()
    site.outbox.rewrite(lambda each: replace(each, value=b"changed"))
    assert site.handed() == []
    site.outbox.raise_wall((0, 1))
    assert site.handed() == [(0, 1)]
    assert site.sink.entries[0].value == b"changed"


def test_snapshot_is_written_at_the_wall_in_its_own_epoch(site: Site) -> None:
    """Also where the sequence has been reset behind it; dead letters behind its position come after its records."""
    site.add(5)
    site.outbox.submit()
    site.outbox.raise_wall((0, 5), lambda: None)
    site.outbox.add(entry(5, 1))
    site.outbox.turn_epoch(1)
    site.add(1)
    site.outbox.submit()
    site.outbox.snapshot_id = "a"
    site.outbox.write(0, [replace(entry(5), snapshot_records=1), replace(entry(5), snapshot_records=2)])
    site.outbox.snapshot_id = None
    site.outbox.drop_wall()
    marks = [each.mark(batch.epoch) for batch in site.sink.batches for each in batch.entries]
    assert marks == [(0, 5, 0, 0), (0, 5, 1, 0), (0, 5, 2, 0), (0, 5, 2, 1), (1, 1, 0, 0)]
    assert [batch.snapshot_id for batch in site.sink.batches] == [None, "a", None, None]


def test_dead_letters_behind_a_former_snapshot_follow_it(site: Site) -> None:
    """After a restart too: the checkpoint tells how many records stand there."""
    site.outbox.start(Checkpoint(STREAM, position=5, snapshot_records=9))
    site.outbox.add(entry(5, 1))
    site.add(6)
    site.outbox.submit()
    assert [each.snapshot_records for each in site.sink.entries] == [9, 0]
    assert site.outbox.handed_records == 0


def test_last_entry_stops_the_stream(site: Site) -> None:
    """In its place: behind what was read before it, and behind a wall as well; the checkpoint keeps saying so."""
    site.outbox.raise_wall((0, 1))
    site.add(1, 2)
    site.outbox.stop_with(entry(9))
    assert site.handed() == [(0, 1)]
    site.outbox.drop_wall()
    site.outbox.write(0, [replace(entry(9), snapshot_records=1)])
    assert site.handed() == [(0, 1), (0, 2), (0, 9), (0, 9)]
    assert [batch.stopped for batch in site.sink.batches] == [False, False, True, True]
    site.outbox.start(Checkpoint(STREAM, position=9, stopped=True))
    site.add(10)
    site.outbox.submit()
    assert not site.sink.batches[-1].stopped


def test_forgotten_is_what_was_not_committed(site: Site) -> None:
    """Nothing is in hand any more, for the worker neither; what commits later frees nothing twice."""
    site.add(1, 2)
    site.outbox.submit()
    site.outbox.raise_wall((0, 0))
    site.add(3)
    site.outbox.submit()
    site.add(4)
    assert site.fake.worker.used_bytes == 3 * (8 + ENTRY_OVERHEAD_BYTES)
    site.outbox.forget()
    assert (site.outbox.in_hand_events, site.outbox.in_hand_bytes, site.fake.worker.used_bytes) == (0, 0, 0)
    site.outbox.committed(2, 16)
    assert (site.outbox.in_hand_events, site.outbox.in_hand_bytes, site.fake.worker.used_bytes) == (0, 0, 0)
    site.add(5)
    assert site.outbox.submit() == (1, 8)
    assert site.handed() == [(0, 1), (0, 2), (0, 5)]


def test_reading_stops_when_full_and_goes_on_at_half(site: Site) -> None:
    """By events: 40 of them."""
    assert site.outbox.may_read(reading=True)
    site.add(*range(1, 40))
    assert not site.outbox.at_limit
    site.add(40)
    assert site.outbox.at_limit
    site.outbox.submit()
    assert not site.outbox.may_read(reading=True)
    site.outbox.committed(19, 19 * 8)
    assert site.outbox.may_read(reading=True)
    site.outbox.committed(1, 8)
    assert not site.outbox.may_read(reading=False)
    site.outbox.committed(1, 8)
    assert site.outbox.may_read(reading=False)


def test_reading_stops_when_full_of_bytes(site: Site) -> None:
    """100,000 of them."""
    site.outbox.add(entry(1, value=b"x" * 50_000))
    site.outbox.submit()
    assert site.outbox.may_read(reading=True)
    assert not site.outbox.may_read(reading=False)
    site.outbox.add(entry(2, value=b"x" * 50_000))
    site.outbox.submit()
    assert not site.outbox.may_read(reading=True)


def test_full_worker_stops_who_has_something_in_hand_and_calls_back(site: Site) -> None:
    """Once, however often it was asked, when there is room."""
    site.fake.worker.add(1_000_000)
    assert site.outbox.may_read(reading=True)
    site.add(1)
    site.outbox.submit()
    assert not site.outbox.may_read(reading=True)
    assert not site.outbox.may_read(reading=False)
    site.fake.worker.add(-900_000)
    assert site.rooms == 1
    assert site.outbox.may_read(reading=False)
    site.fake.worker.add(900_000)
    assert not site.outbox.may_read(reading=True)
    site.fake.worker.add(-900_000)
    assert site.rooms == 2


@pytest.mark.parametrize(("events", "size", "room"), [(39, 8, True), (40, 8, False), (1, 99_999, False)])
def test_room_in_the_lane_does_not_count_what_is_kept_back(site: Site, events: int, size: int, *, room: bool) -> None:
    """Which cannot commit before the snapshot is written: to wait for it would be to wait for ever."""
    site.outbox.raise_wall((0, events))
    for position in range(1, events + 1):
        site.outbox.add(entry(position, value=b"x" * size))
    for position in range(events + 1, events + 100):
        site.outbox.add(entry(position))
    site.outbox.submit()
    assert site.outbox.in_hand_events == events + 99
    assert site.outbox.lane_has_room() is room
