"""A reader that follows topics while a test goes on: checkpoints as they are committed, or records as they are seen."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Collection
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

_POLL_S = 0.2
_APPEAR_S = 0.2


class Follower:
    """Reads topics from their beginning on a thread of its own, whatever happens to broker and topics meanwhile."""

    def __init__(self, bootstrap: str, topics: Collection[str], *, committed: bool = True) -> None:
        self._topics = set(topics)
        self._config: dict[str, str | bool | int] = {
            "bootstrap.servers": bootstrap,
            "group.id": "test-follower",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
        }
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def take(self, message: Message) -> None:
        """A record was read (on the follower's thread)."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        with Consumer(self._config) as consumer:
            self._await_topics(consumer)
            while not self._stopping.is_set():
                for message in consumer.consume(500, _POLL_S):
                    if message.error() is None:
                        self.take(message)

    def _await_topics(self, consumer: Consumer) -> None:
        while not self._stopping.wait(_APPEAR_S):
            with contextlib.suppress(KafkaException):
                known = consumer.list_topics(timeout=2.0).topics
                if self._topics <= known.keys():
                    at = [TopicPartition(t, p, OFFSET_BEGINNING) for t in self._topics for p in known[t].partitions]
                    consumer.assign(at)
                    return


class CheckpointFollower(Follower):
    """The latest committed checkpoint of each stream, as JSON bytes."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        super().__init__(bootstrap, [topic])
        self.latest: dict[str, bytes] = {}

    def take(self, message: Message) -> None:
        """See :meth:`Follower.take`."""
        key, value = message.key(), message.value()
        if isinstance(key, bytes) and isinstance(value, bytes):
            self.latest[key.decode()] = value


class SightFollower(Follower):
    """When each record was first seen: (topic, partition, offset) → monotonic seconds."""

    def __init__(self, bootstrap: str, topics: Collection[str], *, committed: bool) -> None:
        super().__init__(bootstrap, topics, committed=committed)
        self.seen: dict[tuple[str, int, int], float] = {}

    def take(self, message: Message) -> None:
        """See :meth:`Follower.take`."""
        place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
        self.seen.setdefault(place, time.monotonic())
