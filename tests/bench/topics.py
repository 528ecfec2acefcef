"""Reads topics for the benchmarks: how far the bridge has committed, what readers see when, and whether it is right."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import orjson
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, Message, TopicPartition

from tests.bench.rig import PARTITIONS
from tests.support.ledger import Headers

_POLL_S = 0.1
_REQUEST_S = 10.0
_SILENCE_S = 45.0  # longer than a transaction may stay open


def reader(bootstrap: str) -> Consumer:
    """A read_committed consumer to which partitions are assigned by hand."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "socket.nagle.disable": True,
        }
    )


class Checkpoints:
    """Follows a stream's checkpoints, one for each transaction."""

    def __init__(self, bootstrap: str, group: str, stream: str, lanes: int) -> None:
        self.positions: list[int] = []
        self._stream = stream.encode()
        self._consumer = reader(bootstrap)
        self._consumer.assign([TopicPartition(f"{group}.checkpoints", lane, OFFSET_BEGINNING) for lane in range(lanes)])

    def follow(self, position: int, timeout_s: float) -> float:
        """Wait until ``position`` is committed; returns the wall clock's time, in seconds, when that was seen."""
        deadline = time.monotonic() + timeout_s
        while not self.positions or self.positions[-1] < position:
            if time.monotonic() > deadline:
                raise TimeoutError(f"committed {self.positions[-1:] or 'nothing'} of {position} after {timeout_s:g} s")
            message = self._consumer.poll(_POLL_S)
            if message is None or message.error() is not None or message.key() != self._stream:
                continue
            self.positions.append(int(orjson.loads(message.value() or b"{}")["position"] or 0))
        return time.time()

    @property
    def transactions(self) -> list[int]:
        """How many events each transaction had."""
        before = 0
        sizes = []
        for position in self.positions:
            if position > before:
                sizes.append(position - before)
                before = position
        return sizes

    def close(self) -> None:
        """Let go of the consumer."""
        self._consumer.close()


@dataclass(frozen=True, slots=True)
class Sight:
    """An event as a reader saw it. Milliseconds since the epoch, on the machine's clock."""

    position: int
    emitted_ms: int
    seen_ms: float


class Watcher:
    """Reads new records of a topic on a thread as they become visible, and notes when."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.sights: list[Sight] = []
        self.highest = 0
        self._consumer = reader(bootstrap)
        self._consumer.assign([TopicPartition(topic, partition, OFFSET_END) for partition in range(PARTITIONS)])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        poll, note = self._consumer.poll, self.sights.append
        while not self._stop.is_set():
            message = poll(_POLL_S)
            if message is None or message.error() is not None:
                continue
            seen_ms = time.time() * 1000
            event = orjson.loads(message.value() or b"{}")
            note(Sight(event["sequenceId"], event["emittedAtMs"], seen_ms))
            self.highest = max(self.highest, event["sequenceId"])

    def stop(self) -> list[Sight]:
        """End, and return what was seen."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()
        return self.sights


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event record of a topic."""

    stream: str
    position: int
    key: bytes
    value: bytes
    headers: Headers
    timestamp_ms: int


def event_records(bootstrap: str, topic: str) -> Iterator[EventRecord]:
    """Every committed record of the topic, each partition in its order."""
    consumer = reader(bootstrap)
    try:
        every = [TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(PARTITIONS)]
        ends = {at.partition: consumer.get_watermark_offsets(at, _REQUEST_S)[1] for at in every}
        todo = [at for at in every if ends[at.partition]]
        consumer.assign(todo)
        silent_since_s = time.monotonic()
        while any(at.offset < ends[at.partition] for at in (consumer.position(todo) if todo else ())):
            messages = consumer.consume(10_000, _POLL_S)
            silent_since_s = time.monotonic() if messages else silent_since_s
            if time.monotonic() > silent_since_s + _SILENCE_S:
                raise TimeoutError(f"a transaction stays open in {topic}")
            for message in messages:
                yield _event_record(message)
    finally:
        consumer.close()


def _event_record(message: Message) -> EventRecord:
    error = message.error()
    if error is not None:
        raise KafkaException(error)
    headers: Headers = message.headers() or []  # type: ignore[assignment]  # its stubs allow dicts as well
    named = dict(headers)
    position = bytes(named["ce_position"] or b"")  # type: ignore[arg-type]  # a consumer's headers are bytes
    source = bytes(named["ce_source"] or b"")  # type: ignore[arg-type]
    return EventRecord(
        source.rpartition(b"/")[2].decode(),
        int(position),
        message.key() or b"",
        message.value() or b"",
        headers,
        message.timestamp()[1],
    )


class Judge:
    """Takes in event records and says what is wrong with them: each position 1 … N once, in order for each key."""

    def __init__(self) -> None:
        self.count = 0
        self._seen: dict[str, bytearray] = {}
        self._last: dict[tuple[str, bytes], int] = {}
        self._again = self._back = self._altered = 0

    def take(self, record: EventRecord) -> None:
        """One record, in the order of its partition."""
        self.count += 1
        seen = self._seen.setdefault(record.stream, bytearray())
        position = record.position
        if position >= len(seen):
            seen.extend(bytes(position + 65_536 - len(seen)))
        self._again += seen[position]
        seen[position] = 1
        key = (record.stream, record.key)
        self._back += self._last.get(key, 0) > position
        self._last[key] = position
        self._altered += b'"sequenceId":%d,' % position not in record.value

    def faults(self, expected: Collection[tuple[str, int]]) -> list[str]:
        """What is wrong; ``expected``: stream and the last position of which all must be there."""
        missing = sum(last - sum(self._seen.get(stream, b"")[: last + 1]) for stream, last in expected)
        invented = sum(sum(self._seen.get(stream, b"")[last + 1 :]) for stream, last in expected)
        found = {
            "missing": missing,
            "twice": self._again,
            "out of order": self._back,
            "with another position in the value": self._altered,
            "that the platform never sent": invented,
        }
        return [f"{count} events {what}" for what, count in found.items() if count]


def judge(bootstrap: str, topic: str, expected: Collection[tuple[str, int]]) -> list[str]:
    """What is wrong with a topic's events."""
    court = Judge()
    for record in event_records(bootstrap, topic):
        court.take(record)
    return court.faults(expected)
