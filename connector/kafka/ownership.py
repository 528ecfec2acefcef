"""Ownership of lanes: membership of the consumer group, on a thread of its own (KAFKA.md 12-16).

The group's own assignment gives out the checkpoint topic's partitions, which are the lanes. No other thread touches
the consumer: others read the :class:`Membership` that the thread publishes.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connector.kafka.client import KafkaClient
from connector.ports import LaneOwner

REVOKE_DEADLINE_S = 1.5
"""How long a revoke waits for the lanes' last commits; then the group goes on without them (rule 14)."""
_POLL_S = 0.05
_RETRY_S = 1.0

_log = logging.getLogger("connector.ownership")


@dataclass(frozen=True, slots=True)
class Membership:
    """What the group says, as last seen. ``metadata`` is what a transaction proves ownership with (KIP-447)."""

    lanes: frozenset[int] = frozenset()
    metadata: object | None = None
    joined: bool = False


class GroupMember:
    """The worker's membership of the group."""

    def __init__(self, client: KafkaClient, owner: LaneOwner) -> None:
        self._client = client
        self._owner = owner
        self._lanes: set[int] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ownership", daemon=True)
        self.membership = Membership()

    def start(self) -> None:
        """Join the group."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Leave the group; lanes are revoked first. Blocks at most ``timeout_s``."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._join()
            except KafkaException:
                _log.exception("the group membership failed; joining again")
                self._on_lost()
                self._stopping.wait(_RETRY_S)

    def _join(self) -> None:
        generation, rebirths = self._client.generation, self._client.rebirths
        consumer = Consumer(self._client.member())
        try:
            consumer.subscribe(
                [self._client.checkpoints_topic],
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=lambda _consumer, _partitions: self._on_lost(),
            )
            while not self._stopping.is_set():
                message = consumer.poll(_POLL_S)
                self._publish(consumer)
                if rebirths != self._client.rebirths:
                    _log.info("certificates were renewed; joining again")
                    self._on_lost()  # lanes are held, and their streams stay open, until the group has given them out
                    return
                if generation != self._client.generation and (login := self._client.login) is not None:
                    generation = self._client.generation
                    consumer.set_sasl_credentials(*login)
                error = message.error() if message is not None else None
                if error is not None:
                    if error.fatal():
                        raise KafkaException(error)
                    _log.warning("group membership: %s", error.str())
        finally:
            consumer.close()
            self.membership = Membership()

    def _publish(self, consumer: Consumer) -> None:
        lanes = frozenset(self._lanes)
        self.membership = Membership(lanes, consumer.consumer_group_metadata(), joined=True)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        if partitions:
            consumer.pause(partitions)  # or every own checkpoint comes back (rule 15)
        self._lanes |= {p.partition for p in partitions}
        self._publish(consumer)
        self._owner.assigned(frozenset(self._lanes))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        lanes = self._lanes.intersection(p.partition for p in partitions)  # those that were lost are held already
        self._lanes -= lanes
        self._publish(consumer)
        if lanes:
            self._owner.revoked(frozenset(lanes), time.monotonic() + REVOKE_DEADLINE_S)
        consumer.incremental_unassign(partitions)

    def _on_lost(self) -> None:
        lanes = frozenset(self._lanes)
        self._lanes.clear()
        self.membership = Membership()
        if lanes:
            self._owner.lost(lanes)
