"""The records of a snapshot (CONTRACT.md "Snapshot records"): begin, one a conversation, end.

They go to the stream's own topic, keyed like events; begin and end go to every partition of it. A reader ignores what
came since a begin without an end; keys that are absent between the two have ended. Where the topic has a schema, begin
and end have no value: they are not events, and their headers say all.
"""

from __future__ import annotations

import orjson
from msgspec.structs import replace

from connector.core.envelope import Envelope
from connector.core.instants import read_time
from connector.model import Entry, Headers


class SnapshotRecords:
    """Builds the records of one snapshot, in order."""

    def __init__(
        self, envelope: Envelope, topic: str, snapshot_id: str, as_of_ms: int | None, now_ms: int, written: int = 0
    ) -> None:
        """``written``: so many records of former snapshots stand behind the position; these follow them."""
        self._envelope = envelope
        self._topic = topic
        self._id = snapshot_id
        self._as_of = read_time(as_of_ms)
        self._now_ms = now_ms
        self._written = written

    def begin(self, place: tuple[int, int], partitions: int) -> list[Entry]:
        """The beginning, in every partition; ``place``: epoch and position that the snapshot stands behind."""
        return self._marks("begin", place, partitions)

    def conversation(self, place: tuple[int, int], raw: bytes) -> Entry:
        """One conversation, as REST gave it; under the stream's name where it cannot be parsed."""
        try:
            key = self._envelope.key(orjson.loads(raw))
        except orjson.JSONDecodeError:
            key = self._envelope.identity.stream
        entry = self._entry("", place, key, raw)
        _, _, redaction, serialise = self._envelope.router.default
        if redaction is not None:
            headers = list(entry.headers)
            raw = self._envelope.redact(raw, redaction, headers)
            entry = replace(entry, value=raw, headers=headers)
        return entry if serialise is None else self._envelope.serialised(entry, raw, serialise)

    def end(self, place: tuple[int, int], partitions: int) -> list[Entry]:
        """The end, in every partition."""
        return self._marks("end", place, partitions)

    def _marks(self, what: str, place: tuple[int, int], partitions: int) -> list[Entry]:
        value = orjson.dumps({"v": 1, "snapshot_id": self._id})
        null = self._envelope.router.default.serialise is not None
        stream = self._envelope.identity.stream
        return [
            replace(self._entry(f".{what}", place, stream, value), partition=partition, null=null)
            for partition in range(partitions)
        ]

    def _entry(self, suffix: str, place: tuple[int, int], key: str | bytes, value: bytes) -> Entry:
        epoch, position = place
        self._written += 1
        headers: Headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", f"{epoch}/{position}/snapshot/{self._id}/{self._written}"),
            ("ce_source", self._envelope.identity.source.encode()),
            ("ce_type", f"{self._envelope.type_prefix}ccaas.snapshot{suffix}"),
            ("ce_snapshotid", self._id),
            ("content-type", b"application/json"),
        ]
        if self._as_of is not None:
            headers.append(("ce_time", self._as_of[1]))
        return Entry(position, 0, self._topic, key, value, headers, self._now_ms, None, snapshot_records=self._written)
