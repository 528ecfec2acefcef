"""One transactional producer, for one epoch: from its init to the first doubt.

A thin shell over ``confluent_kafka.Producer`` that knows the order of calls and turns every exception into
:class:`Doubt`. It is never repaired: the lane's writer discards it and makes another, whose init fences it
(KAFKA.md 1, 2). ``abort_transaction`` is never called: the next init aborts what is open, and no delayed abort of
ours can end a later transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from connector.core.transaction import Cure, cure
from connector.kafka.client import RETRY_BACKOFF_S, KafkaClient, describe, error_name, kafka_error
from connector.kafka.reports import Report
from connector.model import Entry, TopicLimits

SLOW_COMMIT_S = 0.8 * RETRY_BACKOFF_S
_MARKERS_S = 0.002
"""Kafka writes a commit's markers after it has answered; who adds a partition before that is told to come again, and
librdkafka waits 20 ms. So the next transaction's first record had better wait until ``ready_at``."""
_STEP_S = 0.5
_FLUSH_STEP_S = 0.05
_COMMIT_PATIENCE_S = 35.0
_INIT_STEP_S = 0.5
_OFFSETS_S = 10.0
_ENTER_S = 5.0
_ENTER_KEY = "$end"
"""Compacted topics want a key. Readers see the record, without a value, only where the transaction is committed."""


class Doubt(Exception):  # noqa: N818 - not an error: the normal end of a producer's life
    """The producer is of no further use; ``cure`` says what is due beside a new one; ``passing``: why, if so."""

    def __init__(self, during: str, cure: Cure, detail: str, *, passing: str | None = None) -> None:
        super().__init__(f"{during}: {detail}")
        self.during = during
        self.cure = cure
        self.passing = passing


class RecordRefusedError(Exception):
    """The client itself refused a record; the transaction goes on without it."""


class Transactor:
    """A producer of one lane. All methods block, and belong to the lane's thread."""

    def __init__(
        self, client: KafkaClient, lane: int, limits: Collection[TopicLimits], still: Callable[[], None]
    ) -> None:
        """``limits`` are those of the topics it writes to, as far as they are known.

        ``still`` is called between waits; it raises to give up (held, or stopping beyond the deadline).
        """
        self._checkpoints = TopicPartition(client.checkpoints_topic, lane)
        self._still = still
        self.ready_at = 0.0
        self._client, self._generation = client, client.generation
        self._producer = Producer(client.producer(lane, limits))

    def initialise(self, still: Callable[[], None]) -> None:
        """Fence the former owner of the transactional id and end its open transaction (rule 5).

        ``still`` is called between waits instead of the constructor's: who need not open must not fence a successor.
        """
        while True:
            still()
            try:
                self._producer.init_transactions(_INIT_STEP_S)
            except (KafkaException, SystemError) as error:
                inner = kafka_error(error)
                if inner is None or inner.fatal() or not inner.retriable():
                    raise self._doubt("init", error) from error
            else:
                return

    def begin(self) -> None:
        """Open a transaction, unless the client's credentials are others by now."""
        if self._generation != self._client.generation:
            raise Doubt("begin", Cure.RENEW, "credentials were renewed", passing="credentials")
        try:
            self._producer.begin_transaction()
        except (KafkaException, SystemError) as error:
            raise self._doubt("begin", error) from error

    def produce(self, entry: Entry, report: Report) -> None:
        """Write one record; it is on its way when this returns. ``report`` gets its delivery."""
        while True:
            try:
                self._producer.produce(
                    entry.topic,
                    None if entry.null else entry.value,
                    entry.key,
                    entry.partition,
                    headers=entry.headers,
                    timestamp=entry.timestamp_ms,
                    on_delivery=report,
                )
            except BufferError:
                self._make_room()
            except KafkaException as error:
                if cure(error_name(error))[0] is Cure.SPLIT:
                    raise RecordRefusedError(error_name(error)) from error
                raise self._doubt("produce", error) from error
            except SystemError as error:
                raise self._doubt("produce", error) from error
            else:
                return

    def checkpoint(self, stream: str, value: bytes, report: Report) -> None:
        """Write a checkpoint to the lane's partition."""
        topic, partition = self._checkpoints.topic, self._checkpoints.partition
        while True:
            try:
                self._producer.produce(topic, value, stream, partition=partition, on_delivery=report)
            except BufferError:
                self._make_room()
            except (KafkaException, SystemError) as error:
                what = cure(error_name(error), of_checkpoint=True)[0]
                raise Doubt("checkpoint", what, f"{describe(error)} on {topic}") from error
            else:
                return

    def poll(self, timeout_s: float = 0.0) -> None:
        """Serve delivery reports."""
        try:
            self._producer.poll(timeout_s)
        except (KafkaException, SystemError) as error:
            raise self._doubt("poll", error) from error

    def flush(self) -> bool:
        """Wait a moment for reports; True once every record was reported (rule 6)."""
        try:
            return self._producer.flush(_FLUSH_STEP_S) == 0
        except (KafkaException, SystemError) as error:
            raise self._doubt("flush", error) from error

    def prove_ownership(self, offset: int, metadata: object) -> None:
        """Let the broker check that this worker is a member (rule 12, KIP-447), with one real offset."""
        at = TopicPartition(self._checkpoints.topic, self._checkpoints.partition, max(0, offset))
        try:
            self._producer.send_offsets_to_transaction([at], metadata, _OFFSETS_S)
        except (KafkaException, SystemError) as error:
            raise self._doubt("ownership", error) from error

    def commit(self) -> float:
        """Commit; returns how long the EndTxn took, in seconds. Only commit may be repeated (rule 2)."""
        started = time.monotonic()
        while True:
            try:
                self._producer.commit_transaction(_STEP_S)
            except KafkaException as error:
                inner = kafka_error(error)
                if inner is None or not inner.retriable() or time.monotonic() - started > _COMMIT_PATIENCE_S:
                    raise self._doubt("commit", error) from error
                self._still()
            except SystemError as error:
                raise self._doubt("commit", error) from error
            else:
                ended = time.monotonic()
                self.ready_at = ended + _MARKERS_S
                return ended - started

    def enter(self, partitions: Iterable[TopicPartition]) -> None:
        """Be in these partitions with a transaction; its end is the end of what else is open there of ours."""
        failures: list[str] = []

        def report(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failures.append(error.name())

        self.begin()
        try:
            for at in partitions:
                self._producer.produce(at.topic, None, _ENTER_KEY, partition=at.partition, on_delivery=report)
            left = self._producer.flush(_ENTER_S)
        except (BufferError, KafkaException, SystemError) as error:
            raise self._doubt("entering", error) from error
        if left or failures:
            raise Doubt("entering", Cure.RENEW, f"{left} records are not delivered {failures[:1]}")

    def cause(self) -> str:
        """Why the open transaction can only be aborted: reports of purged records do not say.

        librdkafka tells it to whoever asks for what it must then refuse; a second begin never succeeds.
        """
        try:
            self._producer.begin_transaction()
        except (KafkaException, SystemError) as error:
            return error_name(error)
        return "_STATE"

    def discard(self) -> None:
        """Let go of the producer without a word to the broker."""
        try:
            self._producer.purge(blocking=False)
        except (KafkaException, SystemError):
            return

    def _make_room(self) -> None:
        """The producer's queue is full: serve reports until it is not (rule 6)."""
        self._still()
        self.poll(_STEP_S / 5)

    def _doubt(self, during: str, error: BaseException) -> Doubt:
        name = error_name(error)
        if name == "_STATE":  # a record failed before, under way: what is called then only hears that it was too late
            name = self.cause()
            return Doubt(during, cure(name)[0], f"{name}: {cure(name)[1]}")
        return Doubt(during, cure(name)[0], describe(error))
