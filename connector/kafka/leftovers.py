"""What a lane's producer id left open in partitions of events, although Kafka knows no transaction of it any more."""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, IsolationLevel, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from connector.core.checkpoint import is_beyond
from connector.kafka.client import KafkaClient
from connector.kafka.offsets import end_offsets
from connector.model import Checkpoint

Place = tuple[str, int]
"""Topic and partition."""
_READ_S = 5.0
_POLL_S = 0.1


class Leftovers:
    """What stands beyond one lane's checkpoints. Methods raise ``KafkaException`` where Kafka does not answer."""

    def __init__(self, client: KafkaClient) -> None:
        self._client = client
        self._ended: dict[Place, int] = {}

    def ended(self, found: Mapping[Place, int]) -> None:
        """A transaction entered these partitions, and its end is the end of what was found there."""
        self._ended.update(found)

    def find(self, partitions: Mapping[str, int], committed: Mapping[str, Checkpoint]) -> dict[Place, int]:
        """Where (of topics → how many partitions) something of the lane may be open: the last such record's offset.

        A record is the lane's if its stream has a checkpoint there (before a stream has one, nothing of it is written).
        Behind what others have open, aborted ones look alike: :meth:`still_open` tells in time.
        """
        places = [(topic, partition) for topic, count in partitions.items() for partition in range(count)]
        admin = AdminClient(self._client.common())
        stable = end_offsets(admin, places, IsolationLevel.READ_COMMITTED)
        ends = end_offsets(admin, places, IsolationLevel.READ_UNCOMMITTED)
        begins = {at: max(offset, self._ended.get(at, -1) + 1) for at, offset in stable.items()}
        opened = {at: begin for at, begin in begins.items() if begin < ends[at]}
        return self._beyond(opened, ends, committed) if opened else {}

    def still_open(self, found: Mapping[Place, int]) -> dict[Place, int]:
        """Those that no end has reached yet."""
        stable = end_offsets(AdminClient(self._client.common()), found, IsolationLevel.READ_COMMITTED)
        return {at: offset for at, offset in found.items() if stable[at] <= offset}

    def _beyond(
        self, begins: Mapping[Place, int], ends: Mapping[Place, int], committed: Mapping[str, Checkpoint]
    ) -> dict[Place, int]:
        found: dict[Place, int] = {}
        consumer = Consumer({**self._client.reader(), "isolation.level": "read_uncommitted"})
        try:
            left = dict(begins)
            consumer.assign([TopicPartition(*at, offset) for at, offset in begins.items()])
            deadline = time.monotonic() + _READ_S
            while left and time.monotonic() < deadline:
                for message in consumer.consume(1000, _POLL_S):
                    place, stream = (str(message.topic()), message.partition() or 0), self._stream(message)
                    offset = message.offset() or 0
                    if message.error() is None and is_beyond(committed, stream, *place, offset):
                        found[place] = offset
                for at in consumer.position([TopicPartition(*place) for place in left]):
                    if at.offset >= ends[at.topic, at.partition]:
                        del left[at.topic, at.partition]
        finally:
            consumer.close()
        return found

    def _stream(self, message: Message) -> str:
        """Whose record it is; empty where it is not this group's."""
        if message.topic() in (self._client.gaps_topic, self._client.dead_letter_topic):
            return _text(message.key())
        _, ours, rest = _text(dict(message.headers() or ()).get("ce_source")).partition(f"/ccaas/{self._client.group}/")
        return rest.rpartition("/")[2] if ours else ""


def _text(value: str | bytes | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
