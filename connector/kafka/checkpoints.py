"""Reading a lane's checkpoints: to the high watermark, read_committed (KAFKA.md 8)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from connector.core.checkpoint import LANES_KEY, decode
from connector.kafka.client import KafkaClient
from connector.model import Checkpoint

_POLL_S = 0.1
_REQUEST_S = 5.0


class LaneCheckpoints:
    """The checkpoints of one lane, read again and again; each time only what is new is read."""

    def __init__(self, client: KafkaClient, lane: int) -> None:
        self._client = client
        self._partition = TopicPartition(client.checkpoints_topic, lane)
        self._next_offset = 0
        self._streams: dict[str, Checkpoint] = {}
        self.lanes_record: bytes | None = None

    @property
    def next_offset(self) -> int:
        """The offset behind the last record read."""
        return self._next_offset

    def read(self, blocked: Callable[[], None]) -> dict[str, Checkpoint]:
        """Every stream's last checkpoint. ``blocked`` is called again and again while a foreign transaction is open.

        The end is the high watermark at the call: a read_committed consumer's own end stops at the last stable
        offset, and would miss what is committed behind an open transaction. ``blocked`` may raise to give up.
        Raises ``KafkaException`` where Kafka does not answer, ``CheckpointVersionError`` for an unknown version.
        """
        end = self._high_watermark()
        if end < self._next_offset:  # the topic was made anew
            self._next_offset = 0
            self._streams.clear()
        if end == self._next_offset:
            return dict(self._streams)
        consumer = Consumer(self._client.reader())
        try:
            at = TopicPartition(self._partition.topic, self._partition.partition, self._next_offset)
            consumer.assign([at])
            while self._position(consumer) < end:
                messages = consumer.consume(1000, _POLL_S)
                for message in messages:
                    self._apply(message.key(), message.value(), message.error())
                if not messages:
                    blocked()
            self._next_offset = self._position(consumer)
        finally:
            consumer.close()
        return dict(self._streams)

    def _high_watermark(self) -> int:
        # a client that knew the partition before its leader moved gets FENCED_LEADER_EPOCH for half a minute
        admin = AdminClient(self._client.common())  # kept until the answer is here, which else never comes
        offsets = admin.list_offsets(
            {self._partition: OffsetSpec.latest()},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=_REQUEST_S,
        )
        try:
            return int(offsets[self._partition].result(2 * _REQUEST_S).offset)
        except FutureTimeoutError as error:
            raise KafkaException(f"no offsets of {self._partition.topic} within {2 * _REQUEST_S:g} s") from error

    def _position(self, consumer: Consumer) -> int:
        position = consumer.position([self._partition])[0].offset
        return position if position >= 0 else self._next_offset

    def _apply(self, key: bytes | None, value: bytes | None, error: object) -> None:
        if error is not None or key is None:
            return
        name = key.decode()
        if name == LANES_KEY:
            self.lanes_record = value
        elif value is None:
            self._streams.pop(name, None)
        else:
            self._streams[name] = decode(value)
