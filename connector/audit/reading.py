"""Reads topics from their beginning to the high watermark, read_committed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, IsolationLevel, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

_BATCH: Final = 10_000
_POLL_S: Final = 0.2
_REQUEST_TIMEOUT_S: Final = 15.0
_READER: Final = {
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "allow.auto.create.topics": False,
    "fetch.wait.max.ms": 10,
    "queued.max.messages.kbytes": 32_768,
}

Partition = tuple[str, int]
"""Topic and number."""
Progress = Callable[[int, int], None]
"""Told so many offsets of so many are passed, again and again."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A partition that could not be read to its end: a transaction stayed open from ``position`` on."""

    topic: str
    partition: int
    position: int
    end: int


def no_progress(_done: int, _total: int) -> None:
    """Nobody looks on."""


class Reading:
    """Reads topics and hands every record to ``take``; ``unread`` and ``expired`` say what could not be had."""

    def __init__(
        self, client: Mapping[str, object], take: Callable[[Message], None], wait_s: float, progress: Progress
    ) -> None:
        """``wait_s``: how long to wait for the end of a transaction, without progress."""
        self.records = 0
        self.unread: list[Unread] = []
        self.expired: set[Partition] = set()
        self._client: dict[str, Any] = {**client}
        self._take = take
        self._wait_s = wait_s
        self._progress = progress

    def read(self, topics: Collection[str]) -> None:
        """Every record below the high watermark at the call; topics that don't exist are left out."""
        begins, ends = self._bounds(topics)
        self.expired |= {at for at, begin in begins.items() if begin > 0}
        partitions = [TopicPartition(*at, OFFSET_BEGINNING) for at, end in ends.items() if end > begins[at]]
        total = sum(end - begins[at] for at, end in ends.items())
        with Consumer({"group.id": "ccaas-bridge-audit", **self._client, **_READER}) as consumer:
            consumer.assign(partitions)
            unread = _behind(consumer, partitions, ends)
            deadline = time.monotonic() + self._wait_s
            while unread and time.monotonic() < deadline:
                for message in consumer.consume(_BATCH, _POLL_S):
                    self._take_below(ends, message)
                before, unread = unread, _behind(consumer, partitions, ends)
                if unread != before:
                    deadline = time.monotonic() + self._wait_s
                    left = sum(at.end - max(at.position, begins[at.topic, at.partition]) for at in unread)
                    self._progress(total - left, total)
        self.unread += unread

    def _bounds(self, topics: Collection[str]) -> tuple[dict[Partition, int], dict[Partition, int]]:
        """The first offset that is kept of every partition, and its high watermark."""
        admin = AdminClient(self._client)
        known = admin.list_topics(timeout=_REQUEST_TIMEOUT_S).topics
        there = [topic for topic in dict.fromkeys(topics) if topic in known]
        partitions = [(topic, number) for topic in there for number in known[topic].partitions]
        return _offsets(admin, partitions, OffsetSpec.earliest()), _offsets(admin, partitions, OffsetSpec.latest())

    def _take_below(self, ends: dict[Partition, int], message: Message) -> None:
        error = message.error()
        if error is not None:
            raise KafkaException(error)
        if (message.offset() or 0) < ends[message.topic() or "", message.partition() or 0]:
            self.records += 1
            self._take(message)


def _offsets(admin: AdminClient, partitions: Collection[Partition], which: OffsetSpec) -> dict[Partition, int]:
    asked = (
        admin.list_offsets(
            {TopicPartition(*at): which for at in partitions},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=_REQUEST_TIMEOUT_S,
        )
        if partitions
        else {}
    )
    return {(at.topic, at.partition): int(future.result(2 * _REQUEST_TIMEOUT_S).offset) for at, future in asked.items()}


def _behind(consumer: Consumer, partitions: list[TopicPartition], ends: dict[Partition, int]) -> list[Unread]:
    """The partitions whose position, which passes control records too, has not reached the end."""
    positions = consumer.position(partitions) if partitions else []
    return [
        Unread(at.topic, at.partition, max(at.offset, 0), ends[at.topic, at.partition])
        for at in positions
        if at.offset < ends[at.topic, at.partition]
    ]
