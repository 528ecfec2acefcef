"""What a lane does about a doubt, beside taking a new producer: halve, dead-letter, suspend, wait (KAFKA.md 3, 12)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet

from confluent_kafka import KafkaException

from connector.core.dead_letter import refused, shortened
from connector.core.lane import InHand
from connector.core.suspension import Suspensions
from connector.core.transaction import Bisection, Cure, cure
from connector.kafka.reports import Failure
from connector.kafka.services import LaneServices
from connector.kafka.transactor import Doubt
from connector.model import Entry

Writes = AbstractSet[tuple[str, str]]
"""Streams and their topics."""

_RETRY_MAX_S = 5.0
_HEAR_GROUP_S = 1.0
"""A thawed zombie learns from the group within a second that it lost its lanes; its init would fence the successor."""

_log = logging.getLogger("connector.lane")


class Remedies:
    """The memory of one lane's doubts. Belongs to the lane's thread."""

    def __init__(self, lane: int, services: LaneServices, hand: InHand) -> None:
        self._lane = lane
        self._services = services
        self._hand = hand
        self._bisection = Bisection()
        self._suspensions = Suspensions()
        self._setbacks = 0

    @property
    def limit(self) -> int | None:
        """How many records the next transaction may have while a record at fault is looked for; None: as usual."""
        return self._bisection.limit

    def committed(self, records: int) -> None:
        """A transaction of so many records committed."""
        self._bisection.committed(records)
        self._setbacks = 0

    def answer(self, doubt: Doubt, records: int, writes: Writes, failures: Sequence[Failure]) -> float:
        """Do what is due after a doubt about a transaction of so many records, which is rolled back already.

        ``writes``: its streams, each with its topics. Returns how long to wait before the next producer, in seconds.
        """
        if doubt.cure is Cure.SPLIT and records and self._split(doubt, records, writes):
            return 0.0
        if doubt.cure is Cure.CHECKPOINT:
            if len({stream for stream, _ in writes}) > 1 and not self._bisection.failed(records):
                return 0.0  # of several streams' checkpoints, together too large for one batch
            _log.error("lane %d cannot commit: raise max.message.bytes of the checkpoint topic: %s", self._lane, doubt)
        if doubt.cure is Cure.TOPIC and self._suspend(writes, failures):
            return 0.0
        self._setbacks += 1
        wait_s = min(_RETRY_MAX_S, 0.05 * 2.0 ** min(self._setbacks, 10))
        return max(wait_s, _HEAR_GROUP_S) if doubt.cure is Cure.FENCED else wait_s

    def _split(self, doubt: Doubt, records: int, writes: Writes) -> bool:
        """Records at fault give way to their dead letters, or fewer are sent at a time until the one is found.

        False where it is a dead letter that Kafka refuses too.
        """

        def refuse(stream: str, entry: Entry) -> Entry:
            return self.refuse(stream, entry, str(doubt))

        try:
            if self._hand.replace_where(self._too_large(writes), refuse):
                self._bisection.again(records)
            elif self._bisection.failed(records):
                self._hand.replace_first(refuse)
        except Doubt as stuck:
            _log.error("lane %d cannot go on: %s", self._lane, stuck)
            return False
        return True

    def _too_large(self, writes: Writes) -> Callable[[Entry], bool]:
        """Which records are larger than their topics allow at this moment: these need not be searched for."""
        try:
            limits = self._services.topics.limits({topic for _, topic in writes})
        except KafkaException:
            limits = {}
        return lambda entry: entry.topic in limits and len(entry.value) > limits[entry.topic].max_message_bytes

    def refuse(self, stream: str, entry: Entry, reason: str) -> Entry:
        """The dead letter of an entry that Kafka does not take; one that is refused itself is cut, or raises Doubt."""
        topic = self._services.client.dead_letter_topic
        if entry.topic == topic:
            cut = shortened(entry)
            if cut is not None:
                return cut
            raise Doubt("dead letter", Cure.TOPIC, f"{topic} does not take a dead letter: {reason}")
        _log.warning("lane %d: position %d of %s is refused by Kafka: %s", self._lane, entry.position, stream, reason)
        self._services.post(self._services.listener.refused_record, stream, entry.position)
        return refused(entry, stream, topic, reason)

    def restore_due(self) -> None:
        """Take suspended streams up again whose topic is there."""
        for stream, topic in self._suspensions.due(time.monotonic()):
            if self.unwritable({topic}) == {}:
                self._suspensions.lifted(stream, time.monotonic())
                self._hand.restore(stream)
                _log.warning("stream %s goes on: topic %s is there", stream, topic)
                self._services.post(self._services.listener.restored_stream, stream)

    def unwritable(self, topics: Iterable[str]) -> dict[str, str] | None:
        """Topics that cannot be written, with the reason; None where Kafka does not answer."""
        try:
            found = {topic: self._services.topics.unwritable(topic) for topic in sorted(topics)}
        except KafkaException:
            return None
        return {topic: reason for topic, reason in found.items() if reason is not None}

    def _suspend(self, writes: Writes, failures: Sequence[Failure]) -> bool:
        """Set the streams aside whose topics failed; True where there was one.

        A topic that could not be added to the transaction shows in no report: the records of all topics are purged
        alike. Then the topics are asked.
        """
        blamed = {f.topic: cure(f.error)[1] for f in failures if cure(f.error)[0] is Cure.TOPIC}
        blamed = blamed or self.unwritable({topic for _, topic in writes}) or {}
        found = sorted((stream, topic) for stream, topic in writes if topic in blamed)
        for stream, topic in found:
            if self._suspensions.add(stream, topic, time.monotonic()):
                self._hand.suspend(stream)
                _log.error("stream %s is suspended: topic %s: %s", stream, topic, blamed[topic])
                self._services.post(self._services.listener.suspended_stream, stream, topic, blamed[topic])
        return bool(found)
