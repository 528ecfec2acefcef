"""The records of a snapshot: begin and end in every partition, the conversations between, in one order."""

from __future__ import annotations

import orjson

from connector.core.envelope import Envelope, StreamIdentity
from connector.core.redaction import Redaction
from connector.core.routing import Router
from connector.core.snapshot import SnapshotRecords
from connector.model import Entry, Headers, Unfit

NOW_MS = 1_700_000_000_000
PLACE = (2, 40)


def records(as_of_ms: int | None = None, written: int = 0, redaction: Redaction | None = None) -> SnapshotRecords:
    """Those of a snapshot called x."""
    identity = StreamIdentity("g", "genesys", "wfm")
    router = Router("events", redaction=redaction)
    envelope = Envelope(identity, router, key=["/id"], event_type="/t", type_prefix="com.")
    return SnapshotRecords(envelope, "events", "x", as_of_ms, NOW_MS, written)


def header(entry: Entry, name: str) -> object:
    """One header's value."""
    headers: Headers = entry.headers
    return dict(headers).get(name)


def test_snapshot_is_begun_and_ended_in_every_partition() -> None:
    """Under the stream's name, with the snapshot's id."""
    made = records()
    begin, end = made.begin(PLACE, 3), made.end(PLACE, 3)
    assert [entry.partition for entry in begin] == [entry.partition for entry in end] == [0, 1, 2]
    assert {header(entry, "ce_type") for entry in begin} == {"com.ccaas.snapshot.begin"}
    assert {header(entry, "ce_type") for entry in end} == {"com.ccaas.snapshot.end"}
    assert {entry.key for entry in begin + end} == {"wfm"}
    assert orjson.loads(begin[0].value) == {"v": 1, "snapshot_id": "x"}


def test_conversation_is_redacted_like_an_event() -> None:
    """What must not reach Kafka does not come in by a snapshot; begin and end have nothing to lose."""
    made = records(redaction=Redaction(["/ani"]))
    entry = made.conversation(PLACE, b'{"id":"c1","ani":"tel:1"}')
    assert (entry.key, entry.value, header(entry, "redacted")) == ("c1", b'{"id":"c1","ani":null}', b'["/ani"]')
    assert header(made.begin(PLACE, 1)[0], "redacted") is None


def test_conversation_is_keyed_like_an_event() -> None:
    """Its bytes as REST gave them; under the stream's name where they cannot be read."""
    entry = records().conversation(PLACE, b' {"id": "c1"} ')
    assert (entry.key, entry.value, entry.topic) == ("c1", b' {"id": "c1"} ', "events")
    assert header(entry, "ce_snapshotid") == "x"
    assert records().conversation(PLACE, b"\xff").key == "wfm"


def test_records_stand_behind_the_position_in_order() -> None:
    """Each is a point of the stream's history; those of a later snapshot follow them."""
    made = records(written=5)
    entries = [*made.begin(PLACE, 2), made.conversation(PLACE, b"{}"), *made.end(PLACE, 2)]
    assert [entry.mark(2)[:3] for entry in entries] == [(2, 40, n) for n in range(6, 11)]
    assert len({header(entry, "ce_id") for entry in entries}) == 5


def test_snapshot_tells_its_time_if_it_has_one() -> None:
    """On the platform's clock."""
    assert header(records(NOW_MS).conversation(PLACE, b"{}"), "ce_time") == "2023-11-14T22:13:20.000Z"
    assert header(records().conversation(PLACE, b"{}"), "ce_time") is None


def test_snapshot_in_a_topic_with_a_schema() -> None:
    """Conversations are serialised like events, or dead letters in their place; begin and end have no value."""
    identity = StreamIdentity("g", "genesys", "wfm")

    def serialise(raw: bytes) -> bytes | Unfit:
        return b"\x00" + raw if b"c1" in raw else Unfit("another")

    envelope = Envelope(identity, Router("events", serialise={"events": serialise}), key=["/id"], event_type="/t")
    made = SnapshotRecords(envelope, "events", "x", None, NOW_MS, 0)
    assert all(entry.null for entry in [*made.begin(PLACE, 2), *made.end(PLACE, 2)])
    assert made.conversation(PLACE, b'{"id":"c1"}').value == b'\x00{"id":"c1"}'
    letter = made.conversation(PLACE, b'{"id":"c2"}')
    assert (letter.topic, letter.snapshot_records, header(letter, "reason")) == ("g.dead-letter", 6, "schema")
    assert (header(letter, "ce_snapshotid"), envelope.unfit()) == ("x", [40])
