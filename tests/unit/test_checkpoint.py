"""The checkpoint record: there and back, and what it becomes when entries are written."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from connector.core.checkpoint import advance, decode, encode, written_since
from connector.errors import CheckpointVersionError
from connector.model import Batch, Checkpoint, DeadLetterId, Entry, Move
from tests.validation import validate

_NOW_MS = 1_772_352_930_123
_FULL = Checkpoint(
    "wfm", 2, 4711, _NOW_MS, _NOW_MS + 1, {"t": {0: 5, 12: 0}, "u": {}}, (DeadLetterId(3, "ab" * 32),), "s-1", 7,
    stopped=True, command_id="c-9",
)  # fmt: skip


def _event(position: int, time_ms: int | None = None) -> Entry:
    return Entry(position, 0, "t", "k", b"v", [], 0, time_ms)


def _dead(position: int, ordinal: int, records: int = 0) -> Entry:
    return Entry(position, ordinal, "d", "wfm", b"v", [], 0, None, f"{ordinal:064x}", records)


def _record(position: int, number: int) -> Entry:
    return Entry(position, 0, "t", "k", b"v", [], 0, None, "", number)


def _batch(*entries: Entry, epoch: int = 0, **more: Any) -> Batch:  # noqa: ANN401 - as Batch
    return Batch("wfm", 0, epoch, list(entries), **more)


def _dead_letters(*ordinals: int) -> tuple[DeadLetterId, ...]:
    return tuple(DeadLetterId(ordinal, f"{ordinal:064x}") for ordinal in ordinals)


@pytest.mark.parametrize(
    "checkpoint", [_FULL, Checkpoint("s"), Checkpoint("é", position=0), Checkpoint("s", 0, 2**64 - 1)]
)
def test_there_and_back(checkpoint: Checkpoint) -> None:
    """Nothing is lost on the way; the record is what its schema says."""
    value = encode(checkpoint, "worker-1", _NOW_MS)
    validate("checkpoint", value)
    assert decode(value) == checkpoint
    assert orjson.loads(value)["committed_at"] == "2026-03-01T08:15:30.123Z"
    assert orjson.loads(value)["position"] == (None if checkpoint.position is None else str(checkpoint.position))


def test_record_of_a_bridge_without_snapshots_is_read() -> None:
    """As one that knows of none; and fields of the future are ignored."""
    fields = orjson.loads(encode(Checkpoint("s", 1, 5), "w", 0))
    for optional in ("snapshot", "stopped", "dead_letters_since", "command_id", "event_time", "complete_until"):
        del fields[optional]
    assert decode(orjson.dumps({**fields, "of_the_future": 1})) == Checkpoint("s", 1, 5)


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_unknown_version_is_refused(version: object) -> None:
    """With the stream and the version in the message."""
    fields = {**orjson.loads(encode(_FULL, "w", 0)), "v": version}
    with pytest.raises(CheckpointVersionError, match="'wfm' has version"):
        decode(orjson.dumps(fields))


@pytest.mark.parametrize(
    ("known", "batch", "position", "dead_letters", "records"),
    [
        (Checkpoint("wfm"), _batch(_event(5)), 5, (), 0),
        (Checkpoint("wfm"), _batch(_dead(0, 1), _dead(0, 2)), None, (1, 2), 0),
        (Checkpoint("wfm", position=0), _batch(_dead(0, 1)), 0, (1,), 0),
        (Checkpoint("wfm", position=4), _batch(_event(5), _dead(5, 1), _event(6)), 6, (), 0),
        (Checkpoint("wfm", position=4), _batch(_event(5), _dead(5, 1), _dead(5, 2)), 5, (1, 2), 0),
        (Checkpoint("wfm", position=5, dead_letters=_dead_letters(1)), _batch(_dead(5, 2)), 5, (1, 2), 0),
        (Checkpoint("wfm", position=4, dead_letters=_dead_letters(1)), _batch(_dead(5, 1)), 5, (1,), 0),
        (Checkpoint("wfm", position=5, dead_letters=_dead_letters(1)), _batch(_dead(5, 1), epoch=1), 5, (1,), 0),
        (Checkpoint("wfm", position=5, dead_letters=_dead_letters(1)), _batch(_record(5, 1)), 5, (1,), 1),
        (Checkpoint("wfm", position=5, snapshot_records=9), _batch(_dead(5, 1, 9)), 5, (1,), 9),
        (Checkpoint("wfm", position=5, snapshot_records=9), _batch(_event(6)), 6, (), 0),
        (Checkpoint("wfm", position=5, dead_letters=_dead_letters(1)), _batch(_event(6)), 6, (), 0),
    ],
)
def test_advances_over_entries(
    known: Checkpoint, batch: Batch, position: int | None, dead_letters: tuple[int, ...], records: int
) -> None:
    """To the last position; dead letters and a snapshot's records behind it are remembered, former ones forgotten."""
    found = advance(known, [batch], {})
    assert found.position == position
    assert found.dead_letters == _dead_letters(*dead_letters)
    assert found.snapshot_records == records
    assert found.epoch == batch.epoch
    last = batch.entries[-1].mark(batch.epoch)
    assert found.mark >= last
    assert found.mark[:3] == last[:3]


def test_dead_letters_are_bounded() -> None:
    """A platform that sends nothing but junk must not make a checkpoint that Kafka refuses; the newest are kept."""
    known = Checkpoint("wfm", position=5)
    for start in range(1, 3001, 500):
        known = advance(known, [_batch(*(_dead(5, n) for n in range(start, start + 500)))], {})
    assert known.dead_letters == _dead_letters(*range(2001, 3001))
    assert len(encode(known, "w", 0)) < 150_000
    assert known.mark == (0, 5, 0, 3000)


@pytest.mark.parametrize(
    ("known_ms", "times_ms", "event_time_ms", "complete_until_ms"),
    [
        (None, [None], None, None), (None, [5], 5, 5), (7, [None], 7, 7), (7, [9, None], 9, 9), (7, [9, 8], 8, 8),
        (7, [3], 3, 7),
    ],
)  # fmt: skip
def test_time_is_that_of_the_last_event_that_has_one(
    known_ms: int | None, times_ms: list[int | None], event_time_ms: int | None, complete_until_ms: int | None
) -> None:
    """``complete_until`` never goes back."""
    known = Checkpoint("wfm", position=0, event_time_ms=known_ms, complete_until_ms=known_ms)
    found = advance(known, [_batch(*(_event(n, ms) for n, ms in enumerate(times_ms, start=1)))], {})
    assert (found.event_time_ms, found.complete_until_ms) == (event_time_ms, complete_until_ms)


def test_quiet_stream_advances_its_time_only() -> None:
    """And never back."""
    known = Checkpoint("wfm", position=5, event_time_ms=10, complete_until_ms=10)
    later = advance(known, [_batch(complete_until_ms=50), _batch(complete_until_ms=20)], {})
    assert later == Checkpoint("wfm", position=5, event_time_ms=10, complete_until_ms=50)
    assert advance(Checkpoint("wfm"), [_batch(complete_until_ms=3)], {}).complete_until_ms == 3


def test_start_is_what_it_says() -> None:
    """Whatever was known."""
    start = Checkpoint("wfm", position=9, snapshot_id="due")
    assert advance(Checkpoint("wfm"), [_batch(start=start)], {}) == start
    assert advance(Checkpoint("wfm"), [_batch(start=start), _batch(_event(10))], {}).position == 10


def test_offsets_are_cumulative() -> None:
    """Over every partition that the stream ever wrote; the former checkpoint is not changed."""
    known = Checkpoint("wfm", position=1, offsets={"t": {0: 1, 1: 7}, "u": {3: 3}})
    found = advance(known, [_batch(_event(2))], {"t": {0: 4, 2: 0}, "d": {0: 0}})
    assert found.offsets == {"t": {0: 4, 1: 7, 2: 0}, "u": {3: 3}, "d": {0: 0}}
    assert known.offsets == {"t": {0: 1, 1: 7}, "u": {3: 3}}
    assert advance(known, [_batch(_event(2))], {}).offsets == known.offsets


def test_command_snapshot_and_stop_are_the_batchs() -> None:
    """A command stays; what is due of a snapshot, and whether the stream has stopped, is said anew each time."""
    known = Checkpoint("wfm", position=1, command_id="c", snapshot_id="s-1", stopped=True)
    found = advance(known, [_batch(_event(2), snapshot_id="s-2")], {})
    assert (found.command_id, found.snapshot_id, found.stopped) == ("c", "s-2", False)
    assert advance(found, [_batch(_event(3), stopped=True)], {}).stopped
    assert advance(found, [_batch(complete_until_ms=5)], {}).snapshot_id == "s-2"


def test_records_that_came_with_an_undecided_checkpoint() -> None:
    """Those beyond the committed offsets of the same stream; a stream that never committed wrote them all."""
    committed = {"wfm": Checkpoint("wfm", offsets={"events": {0: 10, 1: 4}})}
    undecided = [
        Checkpoint("wfm", offsets={"events": {0: 10, 1: 6}, "gaps": {0: 0}}),
        Checkpoint("crm", offsets={"events": {1: 3}}),
    ]
    assert written_since(committed, undecided) == {("events", 1, 6), ("gaps", 0, 0), ("events", 1, 3)}


_FIRST_RELEASE = (
    *("v", "stream", "epoch", "position", "event_time", "complete_until", "offsets", "dead_letters_since", "snapshot"),
    *("stopped", "command_id", "committed_at", "worker"),
)


def _of_another_bridge(checkpoint: Checkpoint, *, newer: bool) -> bytes:
    """As the first release writes it, or one of the future: fewer fields, or more."""
    fields = orjson.loads(encode(checkpoint, "w", _NOW_MS))
    if newer:
        return orjson.dumps({**fields, "shard": {"of_the": "future"}})
    return orjson.dumps({name: fields[name] for name in _FIRST_RELEASE})


def test_an_older_and_a_newer_bridge_take_turns_on_a_lane() -> None:
    """Each goes on where the other was: positions, offsets, and which change of position is made already."""
    checkpoint = Checkpoint("wfm", 1, 10, command_id="c-1")
    for turn in range(1, 7):
        read = decode(_of_another_bridge(checkpoint, newer=turn % 2 == 0))
        assert read == checkpoint
        checkpoint = advance(read, [_batch(_event(10 + turn), epoch=1)], {"t": {turn % 3: turn}})
    assert (checkpoint.position, checkpoint.command_id) == (16, "c-1")
    assert checkpoint.offsets == {"t": {1: 4, 2: 5, 0: 6}}


def test_a_moved_position_is_the_checkpoint_and_keeps_where_records_are() -> None:
    """Offsets are cumulative; its reason stands until the next record, its id for good."""
    known = Checkpoint("wfm", 0, 10, _NOW_MS, _NOW_MS, {"t": {0: 5}}, stopped=True)
    to = Checkpoint("wfm", 1, 3, command_id="c-1", reason="replay")
    moved = advance(known, [_batch(epoch=1, move=Move(known.mark, to))], {})
    assert moved == Checkpoint("wfm", 1, 3, None, _NOW_MS, {"t": {0: 5}}, command_id="c-1", reason="replay")
    after = advance(moved, [_batch(_event(4), epoch=1)], {})
    assert (after.reason, after.command_id, after.position) == (None, "c-1", 4)


def test_a_stream_that_begins_anew_keeps_its_epoch_and_its_change() -> None:
    """Or the change would be made again, and ids of the first life would come back."""
    anew = Checkpoint("wfm", 2, None, offsets={"t": {0: 5}}, anew=True, command_id="c-2", reason="x")
    begun = advance(anew, [_batch(start=Checkpoint("wfm", position=0))], {})
    assert begun == Checkpoint("wfm", 2, 0, offsets={"t": {0: 5}}, command_id="c-2")
