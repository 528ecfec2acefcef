"""Delivery reports of one transaction: the offsets its checkpoint carries, and what failed (KAFKA.md 6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from confluent_kafka import KafkaError, Message

from connector.core.transaction import Cure, cure

Report = Callable[[KafkaError | None, Message], None]


class Failure(NamedTuple):
    """A record that was not delivered; ``stream`` is None for a checkpoint."""

    stream: str | None
    topic: str
    error: str


class DeliveryReports:
    """Collects the reports of one transaction. A failed report carries a bogus offset: it is never taken."""

    def __init__(self) -> None:
        self.offsets: dict[str, defaultdict[str, dict[int, int]]] = {}
        self.failures: list[Failure] = []

    def of(self, stream: str) -> Report:
        """The callback for a stream's records: keeps the last offset in each partition."""
        by_topic = self.offsets.get(stream)
        if by_topic is None:
            by_topic = self.offsets[stream] = defaultdict(dict)
        failures = self.failures

        def report(error: KafkaError | None, message: Message) -> None:
            topic, partition, offset = message.topic() or "", message.partition(), message.offset()
            if error is not None:
                failures.append(Failure(stream, topic, error.name()))
            elif partition is not None and offset is not None and offset > by_topic[topic].get(partition, -1):
                by_topic[topic][partition] = offset

        return report

    def own(self, error: KafkaError | None, message: Message) -> None:
        """The callback for checkpoints."""
        if error is not None:
            self.failures.append(Failure(None, message.topic() or "", error.name()))

    def telling(self) -> Failure | None:
        """A failure that tells the cause, if there is one: the others of a transaction say that they were not sent."""
        told = (failure for failure in self.failures if cure(failure.error)[0] is not Cure.RENEW)
        return next(told, self.failures[0] if self.failures else None)
