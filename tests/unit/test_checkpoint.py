"""The checkpoint record, and what it becomes when entries are written."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from connector.core.checkpoint import advance, decode, encode
from connector.core.unreadables import REMEMBERED
from connector.errors import CheckpointVersionError
from connector.model import Batch, Checkpoint, DeadLetterId, Entry, Mark

START = Checkpoint("s", position=0)
FULL = Checkpoint(
    "s",
    epoch=2,
    position=41,
    event_time_ms=1_700_000_000_123,
    complete_until_ms=1_700_000_060_000,
    offsets={"events": {0: 7, 3: 9}, "agents": {1: 0}},
    dead_letters=(DeadLetterId(1, "aa"), DeadLetterId(2, "bb")),
    snapshot_id="snap",
    snapshot_records=3,
    stopped=True,
    command_id="c-1",
)


def event(position: int, time_ms: int | None = None) -> Entry:
    """An event's record."""
    return Entry(position, 0, "events", "k", b"{}", [], time_ms or 0, time_ms)


def letter(after: int, ordinal: int) -> Entry:
    """An unreadable item's record."""
    return Entry(after, ordinal, "dead", "s", b"?", [], 0, None, f"h{ordinal}")


def after(known: Checkpoint, *entries: Entry, epoch: int = 0) -> Checkpoint:
    """The checkpoint once one batch is written."""
    return advance(known, [Batch("s", 0, epoch, list(entries))], {})


@pytest.mark.parametrize("checkpoint", [FULL, START, Checkpoint("s"), Checkpoint("ü", position=2**70)])
def test_record_is_read_as_it_was_written(checkpoint: Checkpoint) -> None:
    """Milliseconds, partitions as numbers, positions of any size."""
    assert decode(encode(checkpoint, "w", 0)) == checkpoint


def test_record_is_what_the_contract_says() -> None:
    """Positions are text, times RFC 3339."""
    fields = orjson.loads(encode(FULL, "worker-1", 1_700_000_000_000))
    assert fields["v"] == 1
    assert fields["position"] == "41"
    assert fields["event_time"] == "2023-11-14T22:13:20.123Z"
    assert fields["offsets"] == {"events": {"0": 7, "3": 9}, "agents": {"1": 0}}
    assert fields["dead_letters_since"] == [{"ordinal": 1, "sha256": "aa"}, {"ordinal": 2, "sha256": "bb"}]
    assert (fields["worker"], fields["committed_at"]) == ("worker-1", "2023-11-14T22:13:20.000Z")
    assert orjson.loads(encode(Checkpoint("s"), "w", 0))["position"] is None


def test_older_and_newer_records_of_this_version_are_read() -> None:
    """Fields that are not known are ignored, fields that came later may be missing."""
    value = orjson.dumps({"v": 1, "stream": "s", "epoch": 1, "position": "5", "offsets": {}, "later": True})
    assert decode(value) == Checkpoint("s", epoch=1, position=5)


@pytest.mark.parametrize("version", [2, 0, None, "1"])
def test_unknown_version_is_refused(version: object) -> None:
    """With what to do about it."""
    with pytest.raises(CheckpointVersionError, match=r"stream 's' has version .* a newer one"):
        decode(orjson.dumps({"v": version, "stream": "s"}))


def test_position_and_time_are_of_the_last_event() -> None:
    """A dead letter has no time, an event may have none."""
    known = after(START, event(1, 100), event(2, 90), event(3))
    assert (known.position, known.event_time_ms, known.complete_until_ms) == (3, 90, 90)
    known = after(known, letter(3, 1))
    assert (known.position, known.event_time_ms) == (3, 90)


def test_complete_until_never_goes_back() -> None:
    """Whether events or quiet moved it."""
    known = advance(START, [Batch("s", 0, 0, [], complete_until_ms=500)], {})
    assert known.complete_until_ms == 500
    assert known.position == 0
    assert after(known, event(1, 300)).complete_until_ms == 500
    assert advance(known, [Batch("s", 0, 0, [], complete_until_ms=400)], {}).complete_until_ms == 500


@pytest.mark.parametrize(
    ("batches", "letters"),
    [
        ([[event(1), letter(1, 1), letter(1, 2)]], [1, 2]),
        ([[event(1), letter(1, 1)], [letter(1, 2)], [letter(1, 3)]], [1, 2, 3]),
        ([[event(1), letter(1, 1), event(2)]], []),
        ([[letter(0, 1), event(1)]], []),
        ([[letter(0, 1)], [letter(0, 2)]], [1, 2]),
        ([[event(1), letter(1, 1)], [event(2), letter(2, 1)]], [1]),
        ([[event(1), letter(1, 1)], [letter(1, 2), event(2)]], []),
    ],
)
@pytest.mark.parametrize("start", [START, Checkpoint("s")])
def test_dead_letters_since_the_position(batches: list[list[Entry]], letters: list[int], start: Checkpoint) -> None:
    """However they are cut into batches and transactions."""
    known = start
    for entries in batches:
        known = after(known, *entries)
    assert [d.ordinal for d in known.dead_letters] == letters
    assert known.mark == Mark(0, batches[-1][-1].position, 0, letters[-1] if letters else 0)
    assert advance(start, [Batch("s", 0, 0, entries) for entries in batches], {}) == known


def test_dead_letters_of_another_epoch_are_not_its_own() -> None:
    """Though the position has the same number."""
    known = after(replace(START, position=4, dead_letters=(DeadLetterId(1, "x"),)), letter(4, 1), epoch=1)
    assert [d.sha256 for d in known.dead_letters] == ["h1"]


def test_dead_letters_are_bounded() -> None:
    """A checkpoint is a small record; the numbers go on."""
    known = START
    for n in range(1, REMEMBERED + 11):
        known = after(known, letter(0, n))
    assert [d.ordinal for d in known.dead_letters] == list(range(11, REMEMBERED + 11))
    assert known.mark.ordinal == REMEMBERED + 10


def test_position_stays_unknown_until_the_first_event() -> None:
    """A ``latest`` start with an unreadable item first, or a break that cannot be named."""
    known = after(Checkpoint("s"), letter(0, 1))
    assert known.position is None
    assert after(known, event(0), epoch=1).position is None
    assert after(known, event(700)).position == 700


def test_offsets_are_cumulative() -> None:
    """Over every partition that the stream ever wrote."""
    known = advance(FULL, [Batch("s", 0, 2, [event(42)])], {"events": {3: 12, 4: 0}, "gaps": {0: 1}})
    assert known.offsets == {"events": {0: 7, 3: 12, 4: 0}, "agents": {1: 0}, "gaps": {0: 1}}
    assert FULL.offsets["events"] == {0: 7, 3: 9}


def test_start_is_the_first_checkpoint() -> None:
    """And what is in the same transaction counts from there."""
    batches = [Batch("s", 0, 0, [], start=replace(START, position=50)), Batch("s", 0, 0, [event(51)])]
    assert advance(Checkpoint("s"), batches, {}).position == 51


def test_snapshot_in_progress_is_remembered() -> None:
    """Until a batch says otherwise."""
    records = [event(5)._replace(snapshot_records=n) for n in (1, 2)]
    known = advance(START, [Batch("s", 0, 0, [event(5), *records], snapshot_id="x", stopped=True)], {})
    assert (known.snapshot_id, known.snapshot_records, known.stopped) == ("x", 2, True)
    known = after(known, event(6))
    assert (known.snapshot_id, known.snapshot_records, known.stopped) == (None, 0, False)
