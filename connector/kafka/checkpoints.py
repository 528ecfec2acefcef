"""Reading a lane's checkpoints: to the high watermark, read_committed (KAFKA.md 8)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import orjson
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from connector.core.checkpoint import LANES_KEY, NO_CHECKPOINT, decode
from connector.errors import CheckpointVersionError
from connector.kafka.client import KafkaClient
from connector.kafka.leftovers import Leftovers
from connector.kafka.offsets import end_offsets
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
        self.leftovers = Leftovers(client)
        self.made_for: int | None = None
        """The number of lanes by the record in lane 0, once one was read (rule 10)."""

    @property
    def next_offset(self) -> int:
        """The offset behind the last record read."""
        return self._next_offset

    def mismatch(self, lanes: int) -> str | None:
        """What is wrong where the topic was made for another number of lanes."""
        if self.made_for in (None, lanes):
            return None
        return f"its topic was made for {self.made_for} lanes, the configuration says {lanes}"

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
                    self._apply(message)
                self._next_offset = self._position(consumer)
                if not messages:
                    blocked()
        finally:
            consumer.close()
        return dict(self._streams)

    def undecided(self) -> list[Checkpoint]:
        """Checkpoints behind the last record read that stand in an open transaction; to be asked while blocked.

        A stranger's records, which are none, are no reason to refuse the lane: they may never be committed.
        """
        end, deadline = self._high_watermark(), time.monotonic() + _REQUEST_S
        found: list[Checkpoint] = []
        consumer = Consumer({**self._client.reader(), "isolation.level": "read_uncommitted"})
        try:
            consumer.assign([TopicPartition(self._partition.topic, self._partition.partition, self._next_offset)])
            while self._position(consumer) < end and time.monotonic() < deadline:
                for message in consumer.consume(1000, _POLL_S):
                    value = message.value()
                    if message.error() is None and value is not None and message.key() != LANES_KEY.encode():
                        with contextlib.suppress(*NO_CHECKPOINT):
                            found.append(decode(value))
        finally:
            consumer.close()
        return found

    @property
    def committed(self) -> dict[str, Checkpoint]:
        """Every stream's last checkpoint, as far as was read."""
        return dict(self._streams)

    def _high_watermark(self) -> int:
        at = (self._partition.topic, self._partition.partition)
        return end_offsets(AdminClient(self._client.common()), [at], IsolationLevel.READ_UNCOMMITTED)[at]

    def _position(self, consumer: Consumer) -> int:
        position = consumer.position([self._partition])[0].offset
        return position if position >= 0 else self._next_offset

    def _apply(self, message: Message) -> None:
        error, key, value = message.error(), message.key(), message.value()
        if error is not None:
            raise KafkaException(error)
        if key is None:
            return
        name = key.decode()
        if name == LANES_KEY and value is not None:
            self.made_for = _lanes(value)
        elif value is None:
            self._streams.pop(name, None)
        else:
            self._streams[name] = self._decode(value, message.offset())

    def _decode(self, value: bytes, offset: int | None) -> Checkpoint:
        try:
            return decode(value)
        except NO_CHECKPOINT as error:
            where = f"{self._partition.topic}, partition {self._partition.partition}, offset {offset}"
            raise CheckpointVersionError(f"the record at {where} is no checkpoint: {error!r}") from error


def lanes_record(lanes: int) -> bytes:
    """The value of the record that says how many lanes the topic was made for (rule 10)."""
    return orjson.dumps({"v": 1, "lanes": lanes})


def _lanes(record: bytes) -> int:
    return int(orjson.loads(record)["lanes"])


def read_lanes(client: KafkaClient) -> int | None:
    """The number of lanes by the record in lane 0; None where none is committed yet.

    Reads to the last stable offset and waits for nobody: the record is in the topic's first transaction.
    Raises ``KafkaException`` where Kafka does not answer.
    """
    deadline = time.monotonic() + 2 * _REQUEST_S
    consumer = Consumer({**client.reader(), "enable.partition.eof": True})
    try:
        consumer.assign([TopicPartition(client.checkpoints_topic, 0, OFFSET_BEGINNING)])
        while time.monotonic() < deadline:
            message = consumer.poll(_POLL_S)
            error = message.error() if message is not None else None
            if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's public constant
                return None
            if error is not None:
                raise KafkaException(error)
            value = message.value() if message is not None and message.key() == LANES_KEY.encode() else None
            if value is not None:
                return _lanes(value)
    finally:
        consumer.close()
    raise KafkaException(f"lane 0 of {client.checkpoints_topic} was not read within {2 * _REQUEST_S:g} s")
