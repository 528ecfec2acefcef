"""Dead letters of what Kafka does not take."""

from __future__ import annotations

import pytest

from connector.core.dead_letter import refused, sha256, shortened
from connector.core.envelope import Envelope, StreamIdentity
from connector.core.routing import Router
from connector.core.snapshot import SnapshotRecords
from tests.validation import headers_as_mapping, validate

_ENVELOPE = Envelope(StreamIdentity("g", "p", "wfm"), Router("t"), key=["/id"], event_type="/type")
_ENVELOPE.at(1_772_352_930_123, {})


def test_refused_event_counts_as_its_position() -> None:
    """In the dead-letter topic, with the hash of all of it, standing where the event stood."""
    raw = b"x" * 2_000_000
    event, _ = _ENVELOPE.event(2, 9, (5, "1970-01-01T00:00:00.005Z"), {"id": "c"}, raw)
    letter = refused(event, "wfm", "g.dead-letter", "MSG_SIZE_TOO_LARGE")
    validate("dead-letter-headers", letter.headers)
    assert headers_as_mapping(letter.headers) == {
        "reason": "MSG_SIZE_TOO_LARGE",
        "stream": "wfm",
        "epoch": "2",
        "after_position": "8",
        "ordinal": "1",
        "position": "9",
        "covers": "9",
        "sha256": sha256(raw),
        "truncated": "2000000",
        "content-type": "application/octet-stream",
    }
    assert (letter.topic, letter.key, len(letter.value)) == ("g.dead-letter", "wfm", 921_600)
    assert letter.mark(2) == event.mark(2)
    assert (letter.event_time_ms, letter.sha256) == (event.event_time_ms, "")


def test_refused_snapshot_record_is_no_position() -> None:
    """It stands behind one; and it goes to any partition, wherever it was to go."""
    records = SnapshotRecords(_ENVELOPE, "t", "s-1", None, 0)
    begin, second = records.begin((3, 40), 2)
    letter = refused(second, "wfm", "g.dead-letter", "INVALID_RECORD")
    validate("dead-letter-headers", letter.headers)
    headers = headers_as_mapping(letter.headers)
    assert "position" not in headers
    assert "covers" not in headers
    assert (headers["epoch"], headers["after_position"], headers["ordinal"]) == ("3", "40", "2")
    assert headers["ce_snapshotid"] == "s-1"
    assert letter.mark(3) == second.mark(3) > begin.mark(3)
    assert letter.partition == -1


@pytest.mark.parametrize("size", [1, 2, 1000, 2_000_000])
def test_refused_dead_letter_is_cut_until_nothing_is_left(size: int) -> None:
    """It says how long the item was, not how long the last cut was."""
    event, _ = _ENVELOPE.event(0, 1, None, {}, b"x" * size)
    letter = refused(event, "wfm", "d", "too large")
    cuts = 0
    while (cut := shortened(letter)) is not None:
        assert len(cut.value) == len(letter.value) // 2
        assert cut.mark(0) == event.mark(0)
        validate("dead-letter-headers", cut.headers)
        assert headers_as_mapping(cut.headers)["truncated"] == str(size)
        letter, cuts = cut, cuts + 1
    assert letter.value == b""
    assert cuts <= 20
