"""What a record says: to which stream it belongs, and as what. All it knows is CONTRACT.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import orjson
from confluent_kafka import Message

from connector.core.evidence import StreamEvidence
from connector.core.positions import Span
from connector.core.verdict import DeadLetter, GapRecord, Point

_SOURCE_PARTS: Final = 5  # "", "ccaas", group, platform, stream

Headers = list[tuple[str, str | bytes | None]]  # what the client gives, though its stubs allow dicts as well


@dataclass(frozen=True, slots=True)
class Scope:
    """What is judged.

    ``streams``: names (None: all of the group); one that has no record is judged too, as a stream without events.
    ``contiguous``: whether the platform numbers without holes. ``within``: positions outside it are left out.
    """

    streams: frozenset[str] | None = None
    contiguous: bool = True
    within: Span | None = None


class Records:
    """Hands each record to the stream it belongs to."""

    def __init__(self, group: str, scope: Scope) -> None:
        self.checkpoints = f"{group}.checkpoints"
        self.gaps = f"{group}.gaps"
        self.dead_letters = f"{group}.dead-letter"
        self.of_stream: dict[str, StreamEvidence] = {}
        self.foreign = 0
        self._group = group
        self._scope = scope
        self._of_source: dict[bytes, StreamEvidence | None] = {}
        for name in scope.streams or ():
            self._stream(name)

    @property
    def written_topics(self) -> set[str]:
        """Topics that the streams have written to, by the checkpoints taken so far."""
        return {topic for stream in self.of_stream.values() for topic in stream.written}

    def take(self, message: Message) -> None:
        """One record of any of the topics; those of a partition in their order."""
        topic = message.topic()
        if topic == self.checkpoints:
            self._checkpoint(message)
        elif topic == self.gaps:
            self._gap(message)
        elif topic == self.dead_letters:
            self._dead_letter(message)
        else:
            self._event(message)

    def _stream(self, name: str) -> StreamEvidence | None:
        scope = self._scope
        if scope.streams is not None and name not in scope.streams:
            return None
        found = self.of_stream.get(name)
        if found is None:
            found = StreamEvidence(name, contiguous=scope.contiguous, within=scope.within)
            self.of_stream[name] = found
        return found

    def _event(self, message: Message) -> None:
        headers = _headers(message)
        source = headers.get("ce_source", b"")
        if source not in self._of_source:
            self._of_source[source] = self._stream_of(source)
        stream = self._of_source[source]
        if stream is None:
            self.foreign += 1
        elif "ce_snapshotid" in headers:
            stream.snapshot_records += 1
        else:
            key = message.key()
            numbers = headers.get("ce_id", b"").split(b"/")
            if key is not None and len(numbers) == 2 and numbers[0].isdigit() and numbers[1].isdigit():  # noqa: PLR2004  # epoch/position
                stream.event(message.topic() or "", message.partition() or 0, key, int(numbers[0]), int(numbers[1]))
            else:
                stream.malformed += 1

    def _stream_of(self, source: bytes) -> StreamEvidence | None:
        parts = source.decode(errors="replace").split("/", _SOURCE_PARTS - 1)
        if len(parts) != _SOURCE_PARTS or parts[:3] != ["", "ccaas", self._group]:
            return None
        return self._stream(parts[-1])

    def _dead_letter(self, message: Message) -> None:
        headers = _headers(message)
        stream = self._stream(headers.get("stream", message.key() or b"").decode(errors="replace"))
        if stream is not None:
            position = _number(headers.get("position"))
            stream.dead_letter(
                DeadLetter(
                    epoch=_number(headers.get("epoch")),
                    position=_number(headers.get("covers")) if position is None else position,
                    after_position=_number(headers.get("after_position")),
                    ordinal=_number(headers.get("ordinal")),
                    sha256=headers.get("sha256", b"").decode(errors="replace"),
                )
            )

    def _gap(self, message: Message) -> None:
        stream, record = self._json(message)
        if stream is None:
            return
        epoch = _number(record.get("epoch"))
        if epoch is None:
            stream.malformed += 1
            return
        first, last = _number(record.get("from")), _number(record.get("to"))
        stream.gap(GapRecord(epoch, first, last, str(record.get("reason"))))

    def _checkpoint(self, message: Message) -> None:
        stream, record = self._json(message)
        if stream is None:
            return
        epoch, position = _number(record.get("epoch")), _number(record.get("position"))
        stream.checkpoint = None if epoch is None or position is None else Point(epoch, position)
        stream.written = _written(record.get("offsets"))

    def _json(self, message: Message) -> tuple[StreamEvidence | None, dict[str, object]]:
        """The stream a JSON record belongs to, and the record; ({}: a tombstone). No stream: nothing to judge."""
        name = (message.key() or b"").decode(errors="replace")
        if name.startswith("$"):  # a record about the topic, as "$lanes"
            return None, {}
        stream = self._stream(name)
        value = message.value()
        if stream is None or value is None:
            return stream, {}
        try:
            record = orjson.loads(value)
        except orjson.JSONDecodeError:
            record = None
        if not isinstance(record, dict):
            stream.malformed += 1
            return None, {}
        return stream, record


def _written(offsets: object) -> dict[str, set[int]]:
    """A checkpoint's offsets as topic → partitions."""
    found = offsets if isinstance(offsets, dict) else {}
    return {topic: {int(number) for number in of} for topic, of in found.items() if isinstance(of, dict)}


def _headers(message: Message) -> dict[str, bytes]:
    return {
        name: value.encode() if isinstance(value, str) else value
        for name, value in cast("Headers", message.headers() or [])
        if value is not None
    }


def _number(value: object) -> int | None:
    """A position or epoch, written as a JSON number or as text; None for anything else."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
