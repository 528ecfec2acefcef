"""The independent ledger: reads a group's topics as any read_committed reader would, and judges its streams.

Shares no code with what writes the records; what it knows of them is CONTRACT.md. ``connector.core.verdict`` judges,
this file reads. Nothing is committed, no group is joined.

The end of the reading is the high watermark at its start, taken of the checkpoint topic first: whatever a checkpoint
that was read speaks of was written before the ends of the other topics were taken. A read_committed reader stops short
of the high watermark at a transaction that is still open; the audit waits for its end, for a bounded time, then tells
where it stopped and claims nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from connector.core.verdict import DeadLetter, GapRecord, Point, StreamEvidence, StreamVerdict

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from confluent_kafka import Message

_BATCH: Final = 10_000
_POLL_S: Final = 0.2
_REQUEST_TIMEOUT_S: Final = 15.0
_SOURCE_PARTS: Final = 5  # "", "ccaas", group, platform, stream
_READER: Final = {
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "allow.auto.create.topics": False,
    "fetch.wait.max.ms": 10,
    "queued.max.messages.kbytes": 32_768,
}

Ends = dict[tuple[str, int], int]
Headers = list[tuple[str, str | bytes | None]]  # what the client gives, though its stubs allow dicts as well


@dataclass(frozen=True, slots=True)
class Unread:
    """A partition that could not be read to its end: a transaction stayed open from ``position`` on."""

    topic: str
    partition: int
    position: int
    end: int


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The verdict over all streams that were found or asked for. ``foreign``: records of other sources and groups."""

    streams: tuple[StreamVerdict, ...]
    records: int
    foreign: int
    unread: tuple[Unread, ...]

    @property
    def held(self) -> bool:
        """Whether everything was read, something was found, and every stream held."""
        return not self.unread and bool(self.streams) and all(stream.held for stream in self.streams)


def audit(  # the last three have defaults and are given by name
    client: Mapping[str, str | float],
    group: str,
    topics: Collection[str],
    *,
    streams: Collection[str] | None = None,
    contiguous: bool = True,
    open_transaction_wait_s: float = 45.0,
) -> AuditReport:
    """Read the event topics and the group's internal ones from their beginning, and judge.

    ``client``: librdkafka properties that reach the cluster. ``streams``: names to judge (None: all of the group);
    one that has no record is judged too, as a stream without events. Topics that don't exist are read as empty.
    Blocks; raises KafkaException where the cluster cannot be read.
    """
    evidence = _Evidence(group, streams, contiguous=contiguous)
    wanted = [evidence.checkpoints, evidence.gaps, evidence.dead_letters, *topics]
    ends = _ends(client, wanted)
    records, unread = _read(client, ends, evidence, open_transaction_wait_s)
    verdicts = tuple(evidence.of_stream[name].verdict() for name in sorted(evidence.of_stream))
    return AuditReport(streams=verdicts, records=records, foreign=evidence.foreign, unread=unread)


class _Evidence:
    """Hands each record to the stream it belongs to."""

    def __init__(self, group: str, streams: Collection[str] | None, *, contiguous: bool) -> None:
        self.checkpoints = f"{group}.checkpoints"
        self.gaps = f"{group}.gaps"
        self.dead_letters = f"{group}.dead-letter"
        self.of_stream: dict[str, StreamEvidence] = {}
        self.foreign = 0
        self._group = group
        self._only = None if streams is None else frozenset(streams)
        self._contiguous = contiguous
        self._of_source: dict[bytes, StreamEvidence | None] = {}
        for name in streams or ():
            self._stream(name)

    def take(self, message: Message) -> None:
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
        if self._only is not None and name not in self._only:
            return None
        found = self.of_stream.get(name)
        if found is None:
            found = self.of_stream[name] = StreamEvidence(name, contiguous=self._contiguous)
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


def _ends(client: Mapping[str, str | float], topics: Collection[str]) -> Ends:
    """The high watermark of every partition of these topics, in this order."""
    admin = AdminClient({**client})
    known = admin.list_topics(timeout=_REQUEST_TIMEOUT_S).topics
    ends: Ends = {}
    for topic in dict.fromkeys(topics):
        if topic not in known:
            continue
        latest = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in known[topic].partitions}
        asked = admin.list_offsets(
            latest, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=_REQUEST_TIMEOUT_S
        )
        ends.update({(at.topic, at.partition): future.result().offset for at, future in asked.items()})
    return ends


def _read(
    client: Mapping[str, str | float], ends: Ends, evidence: _Evidence, wait_s: float
) -> tuple[int, tuple[Unread, ...]]:
    """Feed every record below ``ends`` to the evidence; gives up after ``wait_s`` without progress."""
    partitions = [TopicPartition(topic, partition, OFFSET_BEGINNING) for (topic, partition), end in ends.items() if end]
    records = 0
    with Consumer({"group.id": "ccaas-bridge-audit", **client, **_READER}) as consumer:
        consumer.assign(partitions)
        unread = _behind(consumer, partitions, ends)
        deadline = time.monotonic() + wait_s
        while unread and time.monotonic() < deadline:
            for message in consumer.consume(_BATCH, _POLL_S):
                records += _take(message, ends, evidence)
            before, unread = unread, _behind(consumer, partitions, ends)
            if unread != before:
                deadline = time.monotonic() + wait_s
    return records, unread


def _take(message: Message, ends: Ends, evidence: _Evidence) -> bool:
    error = message.error()
    if error is not None:
        raise KafkaException(error)
    if (message.offset() or 0) >= ends[message.topic() or "", message.partition() or 0]:
        return False
    evidence.take(message)
    return True


def _behind(consumer: Consumer, partitions: list[TopicPartition], ends: Ends) -> tuple[Unread, ...]:
    """The partitions whose position, which passes control records too, has not reached the end."""
    positions = consumer.position(partitions) if partitions else []
    return tuple(
        Unread(at.topic, at.partition, max(at.offset, 0), ends[at.topic, at.partition])
        for at in positions
        if at.offset < ends[at.topic, at.partition]
    )
