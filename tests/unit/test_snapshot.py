"""The records of a snapshot, each against its schema."""

from __future__ import annotations

import orjson
import pytest

from connector.core.envelope import Envelope, StreamIdentity
from connector.core.routing import Router
from connector.core.snapshot import SnapshotRecords
from connector.model import Entry
from tests.validation import headers_as_mapping, validate_snapshot_record

_PLACE = (1, 40)


def _records(as_of_ms: int | None = 1_772_352_930_123, written: int = 0) -> SnapshotRecords:
    envelope = Envelope(
        StreamIdentity("g", "p", "wfm"), Router("t"), key=["/conversationId"], event_type="/type", type_prefix="com.x."
    )
    return SnapshotRecords(envelope, "t", "s-1", as_of_ms, 77, written)


def _validate(entries: list[Entry]) -> list[dict[str, object]]:
    for entry in entries:
        validate_snapshot_record(entry.headers, entry.value)
    return [headers_as_mapping(entry.headers) for entry in entries]


def test_begin_and_end_go_to_every_partition() -> None:
    """With the snapshot's id as value and header, and numbers that rise."""
    records = _records()
    entries = [*records.begin(_PLACE, 3), *records.end(_PLACE, 3)]
    headers = _validate(entries)
    assert [entry.partition for entry in entries] == [0, 1, 2, 0, 1, 2]
    assert [h["ce_type"] for h in headers] == ["com.x.ccaas.snapshot.begin"] * 3 + ["com.x.ccaas.snapshot.end"] * 3
    assert {orjson.loads(entry.value)["snapshot_id"] for entry in entries} == {"s-1"}
    assert [entry.snapshot_records for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert len({str(h["ce_id"]) for h in headers}) == 6
    assert {entry.key for entry in entries} == {"wfm"}


def test_conversation_is_as_rest_gave_it() -> None:
    """Keyed like its events, in whatever partition the key has."""
    raw = b'{ "conversationId" : "c-1", "n": 1.0 }'
    entry = _records().conversation(_PLACE, raw)
    (headers,) = _validate([entry])
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": "1/40/snapshot/s-1/1",
        "ce_source": "/ccaas/g/p/wfm",
        "ce_type": "com.x.ccaas.snapshot",
        "ce_snapshotid": "s-1",
        "ce_time": "2026-03-01T08:15:30.123Z",
        "content-type": "application/json",
    }
    assert (entry.topic, entry.key, entry.value, entry.partition) == ("t", "c-1", raw, -1)
    assert (entry.position, entry.ordinal, entry.timestamp_ms, entry.event_time_ms) == (40, 0, 77, None)


@pytest.mark.parametrize("raw", [b'{"conversationId":"\\ud800"}', b"[1]", b'{"other":1}', b"{bad"])
def test_conversation_without_a_key_goes_under_the_stream(raw: bytes) -> None:
    """One that this parser does not read, too: a snapshot must not fail for it again and again."""
    assert _records().conversation(_PLACE, raw).key == "wfm"


@pytest.mark.parametrize("as_of_ms", [None, 10**18, -(10**18)])
def test_time_is_left_out_where_there_is_none(as_of_ms: int | None) -> None:
    """Or where the platform tells nonsense."""
    entries = _records(as_of_ms).begin(_PLACE, 1)
    assert "ce_time" not in _validate(entries)[0]


def test_records_follow_those_of_a_former_snapshot_behind_the_position() -> None:
    """Else what comes after a crash would be taken for what Kafka has."""
    assert [entry.snapshot_records for entry in _records(written=500).begin(_PLACE, 2)] == [501, 502]
