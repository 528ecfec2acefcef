"""Records as CONTRACT.md has them, sentence by sentence; each against its published schema."""

from __future__ import annotations

import msgspec
import orjson
import pytest

from connector.core.envelope import Envelope, StreamIdentity, settled
from connector.core.instants import read_time, rfc3339
from connector.core.redaction import Redaction
from connector.core.routing import Route, Router
from connector.core.steps import Unreadable
from connector.model import Gap, GapReason, Serialise, TopicLimits, Unfit
from tests.validation import headers_as_mapping, validate

_NOW_MS = 1_772_352_930_123
_HOUR_MS = 3_600_000
_WEEK_MS = 604_800_000
_KEYS = ["/conversationId", "/userId", "/deep/id"]
_LIMITS = {
    "t": TopicLimits(3),
    "forever": TopicLimits(3, retention_ms=None),
    "short": TopicLimits(3, retention_ms=2000),
}


def _envelope(prefix: str = "", key: list[str] | None = None, topic: str = "t") -> Envelope:
    routes = [Route("agent.*", "forever", urgent=True), Route("queue.*", "short")]
    envelope = Envelope(
        StreamIdentity("wfm-bridge", "genesys", "wfm"),
        Router(topic, routes),
        key=_KEYS if key is None else key,
        event_type="/eventType",
        type_prefix=prefix,
    )
    envelope.at(_NOW_MS, _LIMITS)
    return envelope


def _headers(document: object, *, position: int = 7, time: object = None, prefix: str = "") -> dict[str, object]:
    entry, _ = _envelope(prefix).event(0, position, read_time(time), document, b"{}")
    validate("event-headers", entry.headers)
    return headers_as_mapping(entry.headers)


def test_redacted_event_keeps_everything_else() -> None:
    """Key, headers and the rest of the value are as they were; a header names what is gone, and it is counted."""
    router = Router("t", [Route("call.*", "calls", redaction=Redaction(whole=True))], Redaction(["/ani", "/nowhere"]))
    envelope = Envelope(StreamIdentity("g", "p", "s"), router, key=["/ani"], event_type="/eventType")
    envelope.at(_NOW_MS, {})
    for raw, value, redacted in (
        (b'{"ani":"tel:1", "n":1.0}', b'{"ani":null,"n":1.0}', b'["/ani"]'),
        (b'{ "n":1.0 }', b'{ "n":1.0 }', None),
        (b'{"eventType":"call.note","ani":"tel:1"}', b"null", b'[""]'),
    ):
        entry, _ = envelope.event(0, 7, None, orjson.loads(raw), raw)
        validate("event-headers", entry.headers)
        assert (entry.value, dict(entry.headers).get("redacted")) == (value, redacted)
        assert entry.position == 7
    assert envelope.counted() == (0, 2)
    assert envelope.counted() == (0, 0)


def test_event_in_full() -> None:
    """Every header, the value as it came, the key, the topic, the time."""
    raw = b'{"eventType":"x" , "conversationId":"c-1"}'
    entry, urgent = _envelope().event(2, 4711, read_time("2026-03-01T08:15:30.123Z"), orjson.loads(raw), raw)
    assert headers_as_mapping(entry.headers) == {
        "ce_specversion": "1.0",
        "ce_id": "2/4711",
        "ce_source": "/ccaas/wfm-bridge/genesys/wfm",
        "ce_type": "x",
        "ce_sequence": "00000000000000004711",
        "ce_position": "4711",
        "content-type": "application/json",
        "ce_time": "2026-03-01T08:15:30.123Z",
    }
    assert (entry.topic, entry.key, entry.value, urgent) == ("t", "c-1", raw, False)
    assert (entry.position, entry.ordinal, entry.timestamp_ms, entry.event_time_ms) == (4711, 0, _NOW_MS, _NOW_MS)


@pytest.mark.parametrize("position", [1, 10, 2**53, 2**63, 2**64 - 1])
def test_sequences_sort_as_text(position: int) -> None:
    """Twenty digits, whatever the position."""
    assert _headers({}, position=position)["ce_sequence"] == str(position).rjust(20, "0")
    assert _headers({}, position=position)["ce_position"] == str(position)


@pytest.mark.parametrize(
    ("document", "prefix", "ce_type"),
    [
        ({"eventType": "call.start"}, "", "call.start"), ({"eventType": "call.start"}, "com.x.", "com.x.call.start"),
        ({"eventType": "é"}, "", "é"), ({"eventType": ""}, "com.x.", "ccaas.unknown"), ({}, "com.x.", "ccaas.unknown"),
        ({"eventType": None}, "", "ccaas.unknown"), ({"eventType": 5}, "", "ccaas.unknown"),
        ({"eventType": ["a"]}, "", "ccaas.unknown"), ({"eventType": True}, "", "ccaas.unknown"),
    ],
)  # fmt: skip
def test_type_has_the_prefix_or_is_unknown(document: object, prefix: str, ce_type: str) -> None:
    """Only text is a type."""
    assert _headers(document, prefix=prefix)["ce_type"] == ce_type


def test_routes_go_by_the_platforms_own_type() -> None:
    """Not by the one with the prefix."""
    envelope = _envelope(prefix="agent.")
    assert envelope.event(0, 1, None, {"eventType": "x"}, b"")[0].topic == "t"
    entry, urgent = envelope.event(0, 1, None, {"eventType": "agent.state"}, b"")
    assert (entry.topic, urgent) == ("forever", True)


@pytest.mark.parametrize("time", [None, "nonsense", 1.5, True, {}, 10**30])
def test_time_is_left_out_where_the_event_has_none(time: object) -> None:
    """The record is dated now, then, and the checkpoint keeps the time before."""
    assert "ce_time" not in _headers({}, time=time)
    entry, _ = _envelope().event(0, 1, read_time(time), {}, b"")
    assert (entry.timestamp_ms, entry.event_time_ms) == (_NOW_MS, None)


@pytest.mark.parametrize(
    ("event_type", "after_now_ms", "timestamp_after_now_ms", "clamped"),
    [
        ("x", 0, 0, 0), ("x", 55 * 60_000, 55 * 60_000, 0), ("x", 55 * 60_000 + 1, 55 * 60_000, 1),
        ("x", _HOUR_MS, 55 * 60_000, 1), ("x", -_WEEK_MS // 2, -_WEEK_MS // 2, 0),
        ("x", -_WEEK_MS // 2 - 1, -_WEEK_MS // 2, 1), ("x", -_NOW_MS, -_WEEK_MS // 2, 1),
        ("queue.x", -1001, -1000, 1), ("queue.x", -1000, -1000, 0), ("agent.x", -_NOW_MS, -_NOW_MS, 0),
        ("agent.x", -_NOW_MS - 1, -_NOW_MS, 1),
    ],
)  # fmt: skip
def test_timestamps_are_clamped_to_what_the_topic_keeps(
    event_type: str, after_now_ms: int, timestamp_after_now_ms: int, clamped: int
) -> None:
    """Half its retention ago to 55 minutes ahead; where nothing is deleted, to 1970. ``ce_time`` is the truth."""
    envelope = _envelope()
    moment = read_time(_NOW_MS + after_now_ms)
    entry, _ = envelope.event(0, 1, moment, {"eventType": event_type}, b"")
    assert entry.timestamp_ms == _NOW_MS + timestamp_after_now_ms
    assert headers_as_mapping(entry.headers)["ce_time"] == rfc3339(_NOW_MS + after_now_ms)
    assert entry.event_time_ms == _NOW_MS + after_now_ms
    assert envelope.clamped == clamped


def test_implausible_time_does_not_date_the_checkpoint() -> None:
    """An event dated next year, or the end of time, says nothing of how far the stream has come."""
    for time in (_NOW_MS + 24 * _HOUR_MS, "9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59-12:00"):
        entry, _ = _envelope().event(0, 1, read_time(time), {}, b"")
        assert entry.event_time_ms is None
        assert entry.timestamp_ms == _NOW_MS + 55 * 60_000


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"conversationId": "c", "userId": "u"}, "c"), ({"userId": "u"}, "u"), ({"deep": {"id": "d"}}, "d"),
        ({"conversationId": None, "userId": "u"}, "u"), ({"conversationId": "", "userId": "u"}, "u"),
        ({"conversationId": 12}, b"12"), ({"conversationId": 0}, b"0"), ({"conversationId": False}, b"false"),
        ({"conversationId": {"b": 1, "a": 2}}, b'{"a":2,"b":1}'), ({"conversationId": [1]}, b"[1]"),
        ({"conversationId": {}}, b"{}"), ({"conversationId": "é\u0000"}, "é\u0000"), ({}, "wfm"), ([], "wfm"),
        ({" ": "c"}, "wfm"), ({"userId": ""}, "wfm"), ({"conversationId": 1.5}, b"1.5"),
    ],
)  # fmt: skip
def test_key_is_the_first_pointer_present_never_empty(document: object, key: str | bytes) -> None:
    """Else the stream's name: without a key there is no order."""
    assert _envelope().key(document) == key


def test_stream_without_pointers_is_keyed_by_its_name() -> None:
    """All of its events are in order, then."""
    assert _envelope(key=[]).key({" ": "x", "conversationId": "c"}) == "wfm"


def _unreadable(ordinal: int = 1, covers: int | None = None, sha256: str = "") -> Unreadable[object]:
    return Unreadable(7, ordinal, covers, sha256, None)


def test_dead_letter_in_full() -> None:
    """Key, bytes, where it stands, and in which sequence."""
    raw = b"\xff not json"
    entry = _envelope().dead_letter(3, _unreadable(2), raw, "not_json")
    validate("dead-letter-headers", entry.headers)
    headers = headers_as_mapping(entry.headers)
    assert len(str(headers.pop("sha256"))) == 64
    assert headers == {
        "reason": "not_json",
        "stream": "wfm",
        "epoch": "3",
        "after_position": "7",
        "ordinal": "2",
        "content-type": "application/octet-stream",
    }
    assert (entry.topic, entry.key, entry.value) == ("wfm-bridge.dead-letter", "wfm", raw)
    assert (entry.position, entry.ordinal, entry.event_time_ms) == (7, 2, None)
    assert entry.sha256 == headers_as_mapping(entry.headers)["sha256"]


def test_dead_letter_says_what_it_stands_for() -> None:
    """A position that it covers; a hash that is known already is not computed anew."""
    entry = _envelope().dead_letter(0, _unreadable(1, covers=8, sha256="ab" * 32), b"x", "no_position")
    validate("dead-letter-headers", entry.headers)
    assert headers_as_mapping(entry.headers)["covers"] == "8"
    assert entry.sha256 == "ab" * 32


@pytest.mark.parametrize(
    ("size", "truncated"), [(0, None), (921_600, None), (921_601, "921601"), (3_000_000, "3000000")]
)
def test_dead_letter_is_cut_at_900_kib(size: int, truncated: str | None) -> None:
    """And says how long it was."""
    entry = _envelope().dead_letter(0, _unreadable(), b"x" * size, "not_json")
    validate("dead-letter-headers", entry.headers)
    assert len(entry.value) == min(size, 921_600)
    assert headers_as_mapping(entry.headers).get("truncated") == truncated


@pytest.mark.parametrize("reason", GapReason)
def test_gap_record_in_full(reason: GapReason) -> None:
    """Everything in it, by the schema; written, it accounts for everything up to its end."""
    entry = _envelope().gap(Gap(1, 10, 19, 1_772_352_900_000, None, reason))
    validate("gap", entry.value)
    assert orjson.loads(entry.value) == {
        "v": 1,
        "stream": "wfm",
        "epoch": 1,
        "from": 10,
        "to": 19,
        "from_time": "2026-03-01T08:15:00.000Z",
        "to_time": None,
        "reason": str(reason),
        "detected_at": rfc3339(_NOW_MS),
        "snapshot": "none",
        "snapshot_id": None,
    }
    assert (entry.topic, entry.key, entry.position, entry.ordinal) == ("wfm-bridge.gaps", "wfm", 19, 0)


def test_gap_without_positions() -> None:
    """Nobody knows what is missing: the new sequence begins at 0."""
    entry = _envelope().gap(Gap(4, None, None, None, 5, GapReason.NO_RESUME))
    validate("gap", entry.value)
    fields = orjson.loads(entry.value)
    assert (fields["from"], fields["to"], fields["to_time"]) == (None, None, "1970-01-01T00:00:00.005Z")
    assert entry.position == 0


@pytest.mark.parametrize(("snapshot", "snapshot_id"), [("done", "s-1"), ("failed", None)])
def test_gap_record_learns_of_its_snapshot(snapshot: str, snapshot_id: str | None) -> None:
    """Nothing else in it changes, the instant of its detection least of all."""
    envelope = _envelope()
    record = envelope.gap(Gap(1, 10, 19, None, None, GapReason.JUMP))
    envelope.at(_NOW_MS + 1000, _LIMITS)
    changed = settled(record, snapshot, snapshot_id)
    validate("gap", changed.value)
    assert orjson.loads(changed.value) == {
        **orjson.loads(record.value),
        "snapshot": snapshot,
        "snapshot_id": snapshot_id,
    }
    assert msgspec.structs.replace(changed, value=record.value) == record


def _with_schema(serialise: Serialise, redaction: Redaction | None = None) -> Envelope:
    router = Router("t", [Route("free.*", "raw")], redaction, {"t": serialise})
    envelope = Envelope(StreamIdentity("g", "p", "s"), router, key=["/id"], event_type="/eventType")
    envelope.at(_NOW_MS, {})
    return envelope


def test_topic_with_a_schema_gets_what_its_serialiser_makes_of_the_redacted_value() -> None:
    """Key, headers and time are as without one; other topics keep the platform's bytes."""
    raw = b'{"id":"c1","ani":"tel:1"}'
    envelope = _with_schema(lambda value: b"\x00" + value, Redaction(["/ani"]))
    entry, _ = envelope.event(3, 7, None, orjson.loads(raw), raw)
    validate("event-headers", entry.headers)
    assert (entry.topic, entry.key, entry.value) == ("t", "c1", b'\x00{"id":"c1","ani":null}')
    free = b'{"eventType":"free.x"}'
    assert envelope.event(3, 8, None, orjson.loads(free), free)[0].value == free
    assert envelope.unfit() == []


def test_event_that_does_not_fit_is_a_dead_letter_in_its_place() -> None:
    """It counts as its position there; its bytes are those that would have been written; the reason is named."""
    raw = b'{"ani":"tel:1"}'
    envelope = _with_schema(lambda _value: Unfit("id is missing"), Redaction(["/ani"]))
    entry, _ = envelope.event(3, 7, None, orjson.loads(raw), raw)
    validate("dead-letter-headers", entry.headers)
    headers = headers_as_mapping(entry.headers)
    assert (entry.topic, entry.key, entry.value, entry.position) == ("g.dead-letter", "s", b'{"ani":null}', 7)
    assert (headers["reason"], headers["detail"], headers["covers"], headers["epoch"]) == (
        "schema",
        "id is missing",
        "7",
        "3",
    )
    assert (envelope.unfit(), envelope.unfit()) == ([6], [])


def test_null_has_no_value_where_the_topic_has_a_schema() -> None:
    """As readers with deserializers want it."""
    entry, _ = _with_schema(lambda _value: None).event(0, 1, None, {}, b"null")
    assert (entry.value, entry.null) == (b"", True)
