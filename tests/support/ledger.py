"""What the platform sent against what a reader of the topics finds: lost, duplicated, out of order, altered.

The other ledger, ``connector.audit``, has only the records. This one has the truth as well, from the simulator.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, IsolationLevel, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

_REQUEST_TIMEOUT_S = 15.0
Headers = list[tuple[str, str | bytes | None]]  # what the client gives, though its stubs allow dicts as well


@dataclass(frozen=True, slots=True)
class Record:
    """A record as a reader gets it; a header without a value is left out."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    headers: dict[str, bytes]

    @property
    def position(self) -> int | None:
        """The position in ``ce_id``; None for what is not an event."""
        _, _, position = self.headers.get("ce_id", b"").rpartition(b"/")
        return int(position) if position.isdigit() and "ce_snapshotid" not in self.headers else None

    @property
    def stream(self) -> str:
        """The last part of ``ce_source``."""
        return self.headers.get("ce_source", b"").rpartition(b"/")[2].decode()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Positions by what happened to them. ``invented``: the platform never sent them."""

    events: int
    lost: tuple[int, ...]
    duplicated: tuple[int, ...]
    out_of_order: tuple[int, ...]
    altered: tuple[int, ...]
    invented: tuple[int, ...]

    @property
    def held(self) -> bool:
        """Whether the topics hold just what the platform sent."""
        return not (self.lost or self.duplicated or self.out_of_order or self.altered or self.invented)


def compare(truth: Iterable[tuple[int, bytes]], records: Iterable[Record], *, stream: str | None = None) -> Comparison:
    """Judge the event records of one stream (None: of all, where there is one) against ``(position, bytes)`` sent."""
    sent = dict(truth)
    seen: set[int] = set()
    last: dict[tuple[str, bytes | None], int] = {}
    duplicated: list[int] = []
    out_of_order: list[int] = []
    altered: list[int] = []
    for record in records:
        position = record.position
        if position is None or stream not in (None, record.stream):
            continue
        if position in seen:
            duplicated.append(position)
        seen.add(position)
        key = (record.topic, record.key)
        if last.get(key, position) > position:
            out_of_order.append(position)
        last[key] = max(position, last.get(key, position))
        if sent.get(position, record.value) != record.value:
            altered.append(position)
    return Comparison(
        events=len(seen),
        lost=tuple(sorted(sent.keys() - seen)),
        duplicated=tuple(duplicated),
        out_of_order=tuple(out_of_order),
        altered=tuple(altered),
        invented=tuple(sorted(seen - sent.keys())),
    )


def read(
    bootstrap: str, topics: Collection[str], *, committed: bool = True, timeout_s: float = 45.0
) -> tuple[Record, ...]:
    """Every record of these topics below the present high watermarks, each partition in its order.

    ``committed``: as a read_committed reader, which waits for open transactions; raises TimeoutError if it must wait
    longer than ``timeout_s``. Topics that don't exist are read as empty.
    """
    ends = _ends(bootstrap, topics)
    config: dict[str, str | bool | int] = {
        "bootstrap.servers": bootstrap,
        "group.id": "test-ledger",
        "isolation.level": "read_committed" if committed else "read_uncommitted",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 10,
    }
    found: list[Record] = []
    with Consumer(config) as consumer:
        todo = [TopicPartition(topic, partition, OFFSET_BEGINNING) for (topic, partition), end in ends.items() if end]
        consumer.assign(todo)
        deadline = time.monotonic() + timeout_s
        while any(at.offset < ends[at.topic, at.partition] for at in (consumer.position(todo) if todo else ())):
            if time.monotonic() > deadline:
                raise TimeoutError(f"a transaction stayed open in one of {sorted(topics)}")
            found += [_record(message) for message in consumer.consume(10_000, 0.1)]
    return tuple(record for record in found if record.offset < ends[record.topic, record.partition])


def unfinished(bootstrap: str, topics: Collection[str]) -> bool:
    """Whether a transaction is open in these topics: a read_committed reader must stop before their end."""
    return _ends(bootstrap, topics, IsolationLevel.READ_COMMITTED) != _ends(bootstrap, topics)


def end_of(bootstrap: str, topic: str) -> int:
    """The high watermarks of a topic's partitions, added up: how many records and markers were ever written."""
    return sum(_ends(bootstrap, [topic]).values())


def _ends(
    bootstrap: str, topics: Collection[str], isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED
) -> dict[tuple[str, int], int]:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    known = admin.list_topics(timeout=_REQUEST_TIMEOUT_S).topics
    latest = {
        TopicPartition(topic, partition): OffsetSpec.latest()
        for topic in topics
        if topic in known
        for partition in known[topic].partitions
    }
    if not latest:
        return {}
    asked = admin.list_offsets(latest, isolation_level=isolation)
    return {(at.topic, at.partition): future.result(_REQUEST_TIMEOUT_S).offset for at, future in asked.items()}


def _record(message: Message) -> Record:
    error = message.error()
    if error is not None:
        raise KafkaException(error)
    headers = {
        name: value.encode() if isinstance(value, str) else value
        for name, value in cast("Headers", message.headers() or [])
        if value is not None
    }
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value() or b"",
        headers=headers,
    )
