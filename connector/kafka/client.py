"""Configurations of the librdkafka clients, and their errors' names. The one place that sets Kafka properties."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from connector.model import TopicLimits

RETRY_BACKOFF_S = 0.25
"""librdkafka sends a request again no sooner; a commit that took nearly so long may have a straggler (rule 1)."""
TRANSACTION_TIMEOUT_S = 30.0
CONTROL_TIMEOUT_MS = 5000
"""A worker that dies in the middle of a request keeps its successors from reading further no longer than that."""

_MESSAGE_BYTES = (1000, 1_000_000_000)
"""What librdkafka accepts as message.max.bytes."""

_LOGIN = {"sasl.username", "sasl.password"}

Properties = dict[str, Any]

_log = logging.getLogger("connector.kafka.librdkafka")


@dataclass(slots=True)
class KafkaClient:
    """How to reach the cluster, and the worker's place in its group. :meth:`renew` alone changes it.

    ``generation`` counts renewals of any kind: who holds a client of an older one makes another when it suits. Of those
    that a new login is not enough for ``rebirths`` counts: only a new client reads certificates anew.
    """

    bootstrap_servers: str
    group: str
    properties: Mapping[str, object] = field(default_factory=dict, repr=False)
    session_timeout_s: float = 6.0
    heartbeat_s: float = 0.3
    group_protocol: str = "classic"
    worker: str = "ccaas-bridge"
    """The member's client.id: by it the group's description tells which worker has a lane."""
    generation: int = 0
    rebirths: int = 0

    def renew(self, properties: Mapping[str, object], *, files: bool) -> None:
        """Passwords, or what stands in ``files``, are others; clients made from now on use them."""
        changed = {
            name for name in {*properties, *self.properties} if properties.get(name) != self.properties.get(name)
        }
        self.properties = properties
        self.rebirths += files or not changed <= _LOGIN
        self.generation += 1

    @property
    def login(self) -> tuple[str, str] | None:
        """User and password of SASL PLAIN and SCRAM, which a client can be told while it runs."""
        user, password = (self.properties.get(name) for name in ("sasl.username", "sasl.password"))
        return None if user is None or password is None else (str(user), str(password))

    @property
    def checkpoints_topic(self) -> str:
        """The topic whose partitions are the lanes."""
        return f"{self.group}.checkpoints"

    @property
    def dead_letter_topic(self) -> str:
        """Where unreadable and refused items go."""
        return f"{self.group}.dead-letter"

    @property
    def gaps_topic(self) -> str:
        """Where gap records go."""
        return f"{self.group}.gaps"

    @property
    def control_topic(self) -> str:
        """What streams are to do, and workers' notices."""
        return f"{self.group}.control"

    @property
    def notifications_topic(self) -> str:
        """What pipelines are told beside the events."""
        return f"{self.group}.notifications"

    def transactional_id(self, lane: int) -> str:
        """The lane's, whoever owns it: its init fences the former owner."""
        return f"{self.group}-lane-{lane}"

    def common(self) -> Properties:
        """Properties of every client; the user's own come last but for those that the bridge decides."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": "ccaas-bridge",
            "socket.nagle.disable": True,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1000,
            "topic.metadata.propagation.max.ms": 5000,
            "log.connection.close": False,
            "logger": _log,
            **self.properties,
        }

    def producer(self, lane: int, limits: Collection[TopicLimits]) -> Properties:
        """A lane's transactional producer for topics with these limits (rules 1, 3, 5, 6, 7).

        A batch fits every topic; a single record may be as large as the most generous one, or a dead letter, needs.
        """
        allowed = [limit.max_message_bytes for limit in limits]
        usual = TopicLimits(1).max_message_bytes
        return {
            "linger.ms": 1,
            "queue.buffering.max.messages": 100_000,
            "queue.buffering.max.kbytes": 262_144,
            **self.common(),
            "transactional.id": self.transactional_id(lane),
            "transaction.timeout.ms": int(TRANSACTION_TIMEOUT_S * 1000),
            "message.timeout.ms": int(TRANSACTION_TIMEOUT_S * 1000),
            "enable.idempotence": True,
            "retry.backoff.ms": int(RETRY_BACKOFF_S * 1000),
            "partitioner": "murmur2_random",
            "message.max.bytes": _accepted(max([usual, *allowed])),
            "batch.size": _accepted(min(allowed, default=usual)),
        }

    def member(self) -> Properties:
        """The worker's membership of the group that owns the lanes (rules 12-16)."""
        properties: Properties = {
            "topic.metadata.refresh.interval.ms": 10_000,  # a grown checkpoint topic is noticed (rule 10)
            **self.common(),
            "client.id": self.worker,
            "group.id": self.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
            "max.poll.interval.ms": 15_000,
        }
        if self.group_protocol == "classic":
            return properties | {
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": int(self.session_timeout_s * 1000),
                "heartbeat.interval.ms": int(self.heartbeat_s * 1000),
            }
        return properties | {"group.protocol": self.group_protocol}

    def reader(self) -> Properties:
        """A consumer that reads a partition from an offset to its end, outside any group (rule 8)."""
        return {
            **self.common(),
            "group.id": f"{self.group}.reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,
        }

    def follower(self) -> Properties:
        """A consumer that follows the control topic for good; it hears of the end of each partition."""
        return {**self.reader(), "enable.partition.eof": True, "fetch.wait.max.ms": 500}

    def control_writer(self) -> Properties:
        """The producer of one request: its init fences every other request of the group (rule 17)."""
        return {
            **self.notices(),
            "transactional.id": f"{self.group}-control",
            "transaction.timeout.ms": CONTROL_TIMEOUT_MS,
            "message.timeout.ms": CONTROL_TIMEOUT_MS,
        }

    def notices(self) -> Properties:
        """The producer of workers' notices; keys are partitioned as by every producer of the bridge."""
        return {"linger.ms": 0, **self.common(), "enable.idempotence": True, "partitioner": "murmur2_random"}


def _accepted(size_bytes: int) -> int:
    least, most = _MESSAGE_BYTES
    return max(least, min(size_bytes, most))


def kafka_error(error: BaseException) -> KafkaError | None:
    """The KafkaError inside a KafkaException, if it is one."""
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        return error.args[0]
    return None


def error_name(error: BaseException) -> str:
    """The error's protocol or librdkafka name, as :mod:`connector.core.transaction` knows it."""
    inner = kafka_error(error)
    return inner.name() if inner is not None else type(error).__name__


def describe(error: BaseException) -> str:
    """A Kafka error in words."""
    inner = kafka_error(error)
    return f"{inner.name()}: {inner.str()}" if inner is not None else f"{type(error).__name__}: {error}"
