"""The control topic: what every stream is to do, and workers' notices (CONTRACT.md "Topics", KAFKA.md 17).

Followed to its end on a thread of its own. Requests are read-modify-write in a transaction under one transactional id:
its init fences whoever else is in the middle of one, then the topic is read to its end, and the commit succeeds only
if nobody began after us. So each request is granted on what the former left, and none is lost. Requests that come
while a transaction is under way share the next one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from connector.core.desired import BY_GAP, RESERVED, Place, Request, decode, encode, granted
from connector.core.transaction import Cure, cure
from connector.errors import BridgeError, ControlUnavailableError, NotStoppedError
from connector.kafka.client import KafkaClient, describe, error_name
from connector.kafka.offsets import end_offsets
from connector.model import DesiredState, PositionChange, Target

_POLL_S = 0.1
_REQUEST_S = 5.0
_PATIENCE_S = 15.0
_RETRY_S = 1.0
_ABSENT_S = 5.0
_LAST_NOTICES_S = 0.5

_log = logging.getLogger("connector.control")


def _go_on() -> None:
    return


@dataclass(eq=False, slots=True)
class _Asked:
    """A request that waits. It may be written twice: its ids are its own, so that the second time changes nothing."""

    stream: str
    request: Request
    outcome: DesiredState | BridgeError | None = None


class ControlLog:
    """Implements :class:`connector.ports.StreamControl` and :class:`connector.ports.Notices`."""

    def __init__(self, client: KafkaClient, post: Callable[..., object], told: Callable[[str], None]) -> None:
        """``post`` runs a call on the event loop's thread; ``told`` hears there of each stream with a new record."""
        self._client = client
        self._topic = client.control_topic
        self._post = post
        self._told = told
        self._desired: dict[str, DesiredState] = {}
        self._followers: list[tuple[str, Callable[[str, bytes | None], None]]] = []
        self._moved = threading.Condition()
        self._positions: dict[int, int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._one_write = asyncio.Lock()
        self._waiting: list[_Asked] = []
        self._notices: Producer | None = None
        self._generation = client.generation

    # ------------------------------------------------------------------ from the event loop

    def start(self) -> None:
        """Begin to follow the topic."""
        self._thread.start()

    def stop(self) -> None:
        """End; blocks for a moment."""
        self._stopping.set()
        if self._notices is not None:
            self._notices.flush(_LAST_NOTICES_S)
        if self._thread.is_alive():
            self._thread.join(_REQUEST_S)

    def desired(self, stream: str) -> DesiredState:
        """See :class:`connector.ports.StreamControl`."""
        return self._desired.get(stream) or DesiredState(stream)

    async def request(
        self,
        stream: str,
        *,
        by: str,
        target: Target | None = None,
        restart: bool = False,
        change: PositionChange | None = None,
    ) -> DesiredState:
        """See :class:`connector.ports.StreamControl`."""
        restart_id = str(uuid.uuid4()) if restart else None
        return await self._ask(stream, Request(by, target, restart_id, change))

    async def halted(self, stream: str, at: Place) -> None:
        """The stream met a gap there, and stops: tell it to all workers, however long Kafka is away."""
        while True:
            try:
                await self._ask(stream, Request(BY_GAP, Target.STOPPED, halted_at=at))
            except ControlUnavailableError as error:
                _log.warning("that stream %s stopped after a gap cannot be told yet: %s", stream, error)
                await asyncio.sleep(_ABSENT_S)
            else:
                return

    async def _ask(self, stream: str, request: Request) -> DesiredState:
        asked = _Asked(stream, request)
        self._waiting.append(asked)
        try:
            await asyncio.sleep(0)  # who asks for a thousand streams in one turn of the loop has one transaction
            async with self._one_write:
                if asked.outcome is None:
                    waiting = [each for each in self._waiting if each.outcome is None]
                    await asyncio.to_thread(self._write, waiting)
        finally:
            self._waiting.remove(asked)
        if isinstance(asked.outcome, BridgeError):
            raise asked.outcome
        return asked.outcome or self.desired(stream)

    def publish(self, key: str, value: bytes | None) -> None:
        """See :class:`connector.ports.Notices`."""
        if self._notices is None or self._generation != self._client.generation:
            self._generation = self._client.generation
            self._notices = Producer(self._client.notices())
        try:
            self._notices.produce(self._topic, value, key)
            self._notices.poll(0)
        except (BufferError, KafkaException) as error:
            _log.info("notice %s is not told: %s", key, describe(error))

    def follow(self, prefix: str, on_notice: Callable[[str, bytes | None], None]) -> None:
        """See :class:`connector.ports.Notices`."""
        self._followers.append((prefix, on_notice))

    # ------------------------------------------------------------------ requests

    def _write(self, waiting: Sequence[_Asked]) -> None:
        """Until it is done or time is over. Of a commit whose outcome is unknown the next try reads what came of it."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._try_to_write(waiting)
            except (KafkaException, SystemError) as error:
                if time.monotonic() > deadline or cure(error_name(error))[0] in (Cure.TOPIC, Cure.FORBIDDEN):
                    streams = f"stream {waiting[0].stream} is" if len(waiting) == 1 else f"{len(waiting)} streams are"
                    why = f"what {streams} to do cannot be written to {self._topic}: {describe(error)}"
                    for asked in waiting:
                        asked.outcome = ControlUnavailableError(why)
                    return
            else:
                return
            time.sleep(random.uniform(0, _POLL_S))  # noqa: S311 - so that two workers do not fence each other for ever

    def _try_to_write(self, waiting: Sequence[_Asked]) -> None:
        producer = Producer(self._client.control_writer())
        producer.init_transactions(_REQUEST_S)
        self.catch_up()
        former = {asked.stream: self.desired(asked.stream) for asked in waiting}
        desired = dict(former)
        outcomes: list[DesiredState | BridgeError] = []
        for asked in waiting:
            try:
                desired[asked.stream] = granted(desired[asked.stream], asked.request, time.time_ns() // 1_000_000)
                outcomes.append(desired[asked.stream])
            except NotStoppedError as error:
                outcomes.append(error)
        if changed := [now for now in desired.values() if now != former[now.stream]]:
            producer.begin_transaction()
            for now in changed:
                producer.produce(self._topic, encode(now), now.stream)
            producer.commit_transaction(_REQUEST_S)
            self.catch_up()
        for asked, outcome in zip(waiting, outcomes, strict=True):
            asked.outcome = outcome

    # ------------------------------------------------------------------ following

    def catch_up(self, still: Callable[[], None] = _go_on) -> None:
        """Return once everything that is committed by now has been read; from any thread but the loop's.

        ``still`` is called between waits; it raises to give up. A topic that is missing has nothing to be read.
        Raises ``KafkaException`` where Kafka does not answer.
        """
        deadline = time.monotonic() + 2 * _REQUEST_S
        end = self._end()
        while True:
            with self._moved:
                if all(self._positions.get(partition, 0) >= offset for partition, offset in end.items()):
                    return
                self._moved.wait(_POLL_S)
            still()
            if time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{self._topic} is not read to its end"))  # noqa: SLF001

    def _end(self) -> dict[int, int]:
        """Partition → the last stable offset: who acknowledged a request had it committed before."""
        admin = AdminClient(self._client.common())
        places = [(self._topic, number) for number in self._partitions(admin)]
        ends = end_offsets(admin, places, IsolationLevel.READ_COMMITTED)
        return {partition: offset for (_, partition), offset in ends.items()}

    def _partitions(self, admin: AdminClient) -> list[int]:
        topic = admin.list_topics(self._topic, timeout=_REQUEST_S).topics.get(self._topic)
        if topic is None or topic.error is not None:
            return []
        return list(topic.partitions)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except KafkaException as error:
                _log.warning("%s cannot be followed: %s", self._topic, describe(error))
                self._stopping.wait(_RETRY_S)

    def _follow(self) -> None:
        partitions = self._partitions(AdminClient(self._client.common()))
        if not partitions:
            _log.warning("%s is missing: streams run, and cannot be told otherwise", self._topic)
            self._stopping.wait(_ABSENT_S)
            return
        generation = self._client.generation
        consumer = Consumer(self._client.follower())
        try:
            consumer.assign([TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in partitions])
            while not self._stopping.is_set() and generation == self._client.generation:
                message = consumer.poll(_POLL_S)
                if message is not None:
                    self._read(message)
        finally:
            consumer.close()

    def _read(self, message: Message) -> None:
        error, partition, offset = message.error(), message.partition() or 0, message.offset() or 0
        if error is None:
            self._apply(message)
            offset += 1
        elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's public constant
            raise KafkaException(error)
        with self._moved:
            self._positions[partition] = offset
            self._moved.notify_all()

    def _apply(self, message: Message) -> None:
        """Take one record in. What is no record, or of another version, is told and skipped."""
        key, value = (message.key() or b"").decode(errors="replace"), message.value()
        if key.startswith(RESERVED):
            for prefix, on_notice in self._followers:
                if key.startswith(prefix):
                    self._post(on_notice, key, value)
            return
        try:
            self._desired[key] = DesiredState(key) if value is None else decode(key, value)
        except ValueError as error:
            where = f"{self._topic}, partition {message.partition()}, offset {message.offset()}"
            _log.error("the record for stream %r (%s) is skipped: %s", key, where, error)
            return
        self._post(self._told, key)
