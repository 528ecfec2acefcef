"""From events to records: keys, headers, time stamps, dead letters, gaps."""

from __future__ import annotations

import hashlib

import orjson
import pytest

from connector.core import dead_letter
from connector.core.envelope import Envelope, StreamIdentity, settled
from connector.core.instants import read_time, rfc3339
from connector.core.routing import Route, Router
from connector.core.steps import Unreadable
from connector.model import Entry, Gap, GapReason, TopicLimits

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LIMITS = {"events": TopicLimits(1, retention_ms=8 * DAY_MS), "kept": TopicLimits(1, retention_ms=None)}


def envelope(*key: str, type_prefix: str = "") -> Envelope:
    """A stream's envelope, now."""
    router = Router("events", [Route("kept.*", "kept", urgent=True), Route("unlimited.*", "unlimited")])
    made = Envelope(
        StreamIdentity("g", "genesys", "wfm"), router, key=key, event_type="/eventType", type_prefix=type_prefix
    )
    made.at(NOW_MS, LIMITS)
    return made


def headers(entry: Entry) -> dict[str, str]:
    """Headers as text."""
    return {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in entry.headers}


def test_event_record_is_what_the_contract_says() -> None:
    """CloudEvents in headers, the value byte for byte."""
    document = {"eventType": "conversation.start", "conversationId": "c1"}
    moment = (NOW_MS, "2023-11-14T22:13:20Z")
    entry, urgent = envelope("/conversationId").event(3, 42, moment, document, b"raw")
    assert not urgent
    assert entry[:5] == (42, 0, "events", "c1", b"raw")
    assert (entry.timestamp_ms, entry.event_time_ms) == (NOW_MS, NOW_MS)
    assert headers(entry) == {
        "ce_specversion": "1.0",
        "ce_id": "3/42",
        "ce_source": "/ccaas/g/genesys/wfm",
        "ce_type": "conversation.start",
        "ce_sequence": "00000000000000000042",
        "ce_position": "42",
        "content-type": "application/json",
        "ce_time": "2023-11-14T22:13:20Z",
    }


def test_event_without_a_time() -> None:
    """No ``ce_time``; the record is dated now."""
    entry, _ = envelope().event(0, 1, None, {}, b"")
    assert "ce_time" not in headers(entry)
    assert (entry.timestamp_ms, entry.event_time_ms) == (NOW_MS, None)


@pytest.mark.parametrize(
    ("event_type", "ce_type"),
    [("a.b", "com.x.a.b"), ("", "ccaas.unknown"), (None, "ccaas.unknown"), (7, "ccaas.unknown")],
)
def test_type(event_type: object, ce_type: str) -> None:
    """With the configured prefix; what has none is unknown."""
    entry, _ = envelope(type_prefix="com.x.").event(0, 1, None, {"eventType": event_type}, b"")
    assert headers(entry)["ce_type"] == ce_type


def test_route_goes_by_the_platforms_own_type() -> None:
    """Not by the prefixed one."""
    entry, urgent = envelope(type_prefix="com.x.").event(0, 1, None, {"eventType": "kept.a"}, b"")
    assert (entry.topic, urgent) == ("kept", True)


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"conversationId": "c", "userId": "u"}, "c"),
        ({"conversationId": "", "userId": "u"}, "u"),
        ({"conversationId": None, "userId": "u"}, "u"),
        ({"userId": 7}, b"7"),
        ({"userId": {"b": 1, "a": 2}}, b'{"a":2,"b":1}'),
        ({"conversationId": False}, b"false"),
        ({}, "wfm"),
        ([], "wfm"),
    ],
)
def test_key_is_the_first_present_and_never_null(document: object, key: str | bytes) -> None:
    """At last the stream's name."""
    assert envelope("/conversationId", "/userId").key(document) == key
    assert envelope().key(document) == "wfm"


@pytest.mark.parametrize(
    ("topic", "time_ms", "timestamp_ms", "clamped"),
    [
        ("", NOW_MS, NOW_MS, 0),
        ("", NOW_MS - 4 * DAY_MS, NOW_MS - 4 * DAY_MS, 0),
        ("", NOW_MS - 4 * DAY_MS - 1, NOW_MS - 4 * DAY_MS, 1),
        ("", 0, NOW_MS - 4 * DAY_MS, 1),
        ("kept.", 0, 0, 0),
        ("unlimited.", 0, 0, 0),
        ("", NOW_MS + 50 * 60_000, NOW_MS + 50 * 60_000, 0),
        ("", NOW_MS + HOUR_MS, NOW_MS + 55 * 60_000, 1),
    ],
)
def test_timestamp_is_clamped_to_what_the_topic_keeps(
    topic: str, time_ms: int, timestamp_ms: int, clamped: int
) -> None:
    """``ce_time`` and the checkpoint's time are the truth; clamps are counted (KAFKA.md 4)."""
    made = envelope()
    entry, _ = made.event(0, 1, (time_ms, "T"), {"eventType": f"{topic}x"}, b"")
    assert (entry.timestamp_ms, entry.event_time_ms, made.clamped) == (timestamp_ms, time_ms, clamped)
    assert headers(entry)["ce_time"] == "T"


def test_event_dated_next_year_says_nothing_of_the_stream() -> None:
    """It is written, its header is the truth, and the checkpoint's time stays where it is."""
    entry, _ = envelope().event(0, 1, (NOW_MS + 365 * DAY_MS, "T"), {}, b"")
    assert (entry.event_time_ms, headers(entry)["ce_time"]) == (None, "T")


@pytest.mark.parametrize(("covers", "covered"), [(None, None), (8, "8")])
def test_dead_letter(covers: int | None, covered: str | None) -> None:
    """In its place in the order, with what it is known to stand for."""
    step = Unreadable(7, 2, covers, "", object())
    entry = envelope().dead_letter(1, step, b"\xff", "not_json")
    digest = hashlib.sha256(b"\xff").hexdigest()
    assert entry[:5] == (7, 2, "g.dead-letter", "wfm", b"\xff")
    assert entry.sha256 == digest
    assert headers(entry) == {
        "reason": "not_json",
        "stream": "wfm",
        "epoch": "1",
        "after_position": "7",
        "ordinal": "2",
        "sha256": digest,
        "content-type": "application/octet-stream",
        **({} if covered is None else {"covers": covered}),
    }


def test_long_dead_letter_is_cut() -> None:
    """With a header that says so; the hash is of all of it."""
    raw = b"x" * (dead_letter.MAX_BYTES + 1)
    entry = envelope().dead_letter(0, Unreadable(0, 1, None, "abc", object()), raw, "not_json")
    assert len(entry.value) == dead_letter.MAX_BYTES
    assert (headers(entry)["truncated"], entry.sha256) == (str(len(raw)), "abc")


def test_refused_event_is_a_dead_letter_that_counts_as_its_position() -> None:
    """It keeps its place and its time."""
    event, _ = envelope("/c").event(2, 9, (5, "T"), {"c": "k"}, b"big")
    letter = dead_letter.refused(event, "wfm", "g.dead-letter", "too large")
    assert (letter.position, letter.ordinal, letter.topic, letter.key) == (9, 0, "g.dead-letter", "wfm")
    assert (letter.event_time_ms, letter.mark(2)) == (5, event.mark(2))
    found = headers(letter)
    assert (found["position"], found["covers"], found["after_position"], found["epoch"]) == ("9", "9", "8", "2")


def test_refused_record_of_a_snapshot_stands_for_no_position() -> None:
    """It stands behind one."""
    record = Entry(9, 0, "events", "k", b"big", [("ce_snapshotid", "s1")], 0, None, snapshot_records=4)
    letter = dead_letter.refused(record, "wfm", "g.dead-letter", "too large")
    assert letter.mark(0) == record.mark(0)
    assert "covers" not in headers(letter)
    assert headers(letter)["ce_snapshotid"] == "s1"


def test_dead_letter_that_is_still_too_large_is_halved() -> None:
    """Until nothing is left; its first length is told."""
    event, _ = envelope().event(0, 1, None, {}, b"abcd")
    letter = dead_letter.refused(event, "wfm", "g.dead-letter", "too large")
    lengths = []
    shorter = dead_letter.shortened(letter)
    while shorter is not None:
        lengths.append(len(shorter.value))
        assert headers(shorter)["truncated"] == "4"
        shorter = dead_letter.shortened(shorter)
    assert lengths == [2, 1, 0]


def test_gap_record() -> None:
    """Positions and times around it; once written, everything up to its end is accounted for."""
    made = envelope()
    entry = made.gap(Gap(1, 5, 9, 1000, 2000, GapReason.RETENTION))
    assert entry[:4] == (9, 0, "g.gaps", "wfm")
    assert orjson.loads(entry.value) == {
        "v": 1,
        "stream": "wfm",
        "epoch": 1,
        "from": 5,
        "to": 9,
        "from_time": "1970-01-01T00:00:01.000Z",
        "to_time": "1970-01-01T00:00:02.000Z",
        "reason": "retention",
        "detected_at": rfc3339(NOW_MS),
        "snapshot": "none",
        "snapshot_id": None,
    }
    opaque = made.gap(Gap(1, None, None, None, None, GapReason.NO_RESUME))
    assert opaque.position == 0
    assert orjson.loads(opaque.value)["from_time"] is None


def test_gap_record_learns_what_became_of_its_snapshot() -> None:
    """Nothing else changes."""
    entry = envelope().gap(Gap(0, 5, 9, None, None, GapReason.JUMP))
    done = settled(entry, "done", "s1")
    assert done._replace(value=entry.value) == entry
    fields = orjson.loads(done.value)
    assert (fields["snapshot"], fields["snapshot_id"], fields["from"]) == ("done", "s1", 5)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2023-11-14T22:13:20Z", (NOW_MS, "2023-11-14T22:13:20Z")),
        ("2023-11-14T22:13:20.1Z", (NOW_MS + 100, "2023-11-14T22:13:20.1Z")),
        ("2023-11-14T22:13:20.123456789Z", (NOW_MS + 123, "2023-11-14T22:13:20.123456789Z")),
        ("2023-11-14T23:13:20+01:00", (NOW_MS, "2023-11-14T23:13:20+01:00")),
        ("2023-11-14t22:13:20z", (NOW_MS, "2023-11-14T22:13:20Z")),
        ("2023-11-14T22:13:20", (NOW_MS, "2023-11-14T22:13:20+00:00")),
        ("2023-11-14 22:13:20Z", (NOW_MS, "2023-11-14T22:13:20+00:00")),
        ("2023-11-14", (NOW_MS - 80_000_000, "2023-11-14T00:00:00+00:00")),
        ("2023-W46-2T22:13:20Z", (NOW_MS, "2023-11-14T22:13:20+00:00")),
        (NOW_MS, (NOW_MS, "2023-11-14T22:13:20.000Z")),
        (-1, (-1, "1969-12-31T23:59:59.999Z")),
        (NOW_MS * 1000, None),
        ("yesterday", None),
        ("Z", None),
        ("t", None),
        ("", None),
        (1.5, None),
        (True, None),
        (None, None),
    ],
)
def test_time(value: object, moment: tuple[int, str] | None) -> None:
    """RFC 3339 as the platform wrote it; whatever else is a time, as RFC 3339; else none."""
    assert read_time(value) == moment


@pytest.mark.parametrize(
    "value", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.9999999Z", "9999-12-31"]
)
def test_time_at_the_ends_of_the_calendar(value: str) -> None:
    """What "no time" looks like elsewhere can be written all the same."""
    moment = read_time(value)
    assert moment is not None
    assert read_time(rfc3339(moment[0])) is not None
