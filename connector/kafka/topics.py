"""Topics: making those that are missing, and what each accepts and keeps (CONTRACT.md "Topics", KAFKA.md 3, 4, 9)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, ClusterMetadata, ConfigResource, NewTopic, ResourceType

from connector.core.topic_rules import COMPACTED, DATED_BY_BROKER, KEPT, TopicSpec
from connector.core.transaction import Cure, cure
from connector.errors import LaneMismatchError, PrerequisiteError
from connector.kafka.checkpoints import read_lanes
from connector.kafka.client import KafkaClient, error_name
from connector.model import TopicLimits

_REQUEST_S = 5.0
_APPEAR_S = 0.05
_HOW_TO_CHANGE = (
    'Or begin a new group at the positions of this one: docs/when-things-go-wrong.md, "Changing the number of lanes"'
)


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What ``topics`` of the configuration says about topics that are missing."""

    create: bool = True
    partitions: int = -1
    replication_factor: int = -1


class Topics:
    """The bridge's view of the cluster's topics. Every method blocks: call it from a thread."""

    def __init__(self, client: KafkaClient, admin: AdminClient, lanes: int, plan: TopicPlan) -> None:
        self._client = client
        self._admin = admin
        self._lanes = lanes
        self._plan = plan

    def use(self, admin: AdminClient) -> None:
        """Ask by another client from now on."""
        self._admin = admin

    def wanted(self, event_topics: Iterable[str]) -> list[TopicSpec]:
        """Every topic the bridge writes to, as it would be made; the checkpoints first."""
        client = self._client
        return [
            TopicSpec(client.checkpoints_topic, self._lanes, COMPACTED, reads=True),
            TopicSpec(client.control_topic, 1, COMPACTED, reads=True),
            TopicSpec(client.gaps_topic, -1, KEPT),
            TopicSpec(client.dead_letter_topic, -1, DATED_BY_BROKER),
            TopicSpec(client.notifications_topic, -1, DATED_BY_BROKER),
            *(TopicSpec(topic, self._plan.partitions) for topic in event_topics),
        ]

    def ensure(self, event_topics: Iterable[str]) -> None:
        """Make what is missing.

        Raises ``LaneMismatchError`` where the checkpoint topic has another number of partitions than ``lanes``, or
        its ``$lanes`` record says another (a topic that was grown),
        ``PrerequisiteError`` where a topic the bridge cannot do without is missing and may not be made, and
        ``KafkaException`` where Kafka does not answer.
        """
        client = self._client
        there = self._partitions()
        missing = [topic for topic in self.wanted(event_topics) if topic.name not in there]
        made: set[str] = set()
        if missing and self._plan.create:
            made = self._create([topic for topic in missing if topic.name != client.dead_letter_topic])
            there = self._wait_for(made)
            made |= self._create(
                [
                    replace(topic, config={**topic.config, **self._as_long_as(event_topics)})
                    for topic in missing
                    if topic.name == client.dead_letter_topic
                ]
            )
        lanes = there.get(client.checkpoints_topic)
        if lanes is None and client.checkpoints_topic in made:
            raise PrerequisiteError(
                f"topic {client.checkpoints_topic} is there and cannot be seen; has the bridge authorization "
                "to describe, read and write it?"
            )
        if lanes is None:
            raise PrerequisiteError(self._how_to_create())
        self.check_lanes(lanes)

    def check_lanes(self, partitions: int) -> None:
        """Configuration, partitions and the ``$lanes`` record agree (rule 10); raises ``LaneMismatchError``."""
        topic, made_for = self._client.checkpoints_topic, read_lanes(self._client)
        if made_for not in (None, partitions):
            raise LaneMismatchError(
                f"topic {topic} was made for {made_for} lanes and has {partitions} partitions: the number of lanes is "
                f"fixed when the topic is made. {_HOW_TO_CHANGE}"
            )
        if partitions != self._lanes:
            raise LaneMismatchError(
                f"topic {topic} has {partitions} partitions, but the configuration says lanes: {self._lanes}. The "
                f"number of lanes is fixed when the topic is made: set lanes: {partitions}. {_HOW_TO_CHANGE}"
            )

    def limits(self, topics: Iterable[str]) -> dict[str, TopicLimits]:
        """What each existing topic accepts and keeps; topics that are missing are left out.

        Kafka's defaults stand for a topic that may not be described, and for all where no controller would answer.
        """
        cluster = self._admin.list_topics(timeout=_REQUEST_S)
        there = _partition_counts(cluster)
        present = [topic for topic in topics if topic in there]
        if not present:
            return {}
        if cluster.controller_id not in cluster.brokers:
            return {topic: TopicLimits(there[topic]) for topic in present}
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in present]
        limits = {}
        for resource, answer in self._admin.describe_configs(resources, request_timeout=_REQUEST_S).items():
            partitions = there[resource.name]
            try:
                config = {name: entry.value for name, entry in answer.result(2 * _REQUEST_S).items()}
            except (KafkaException, FutureTimeoutError):  # no permission to describe: Kafka's defaults
                limits[resource.name] = TopicLimits(partitions)
                continue
            by_time = "delete" in config["cleanup.policy"] and int(config["retention.ms"]) >= 0
            limits[resource.name] = TopicLimits(
                partitions,
                max_message_bytes=int(config["max.message.bytes"]),
                retention_ms=int(config["retention.ms"]) if by_time else None,
            )
        return limits

    def partitions(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions each existing topic has. Raises ``KafkaException`` where Kafka does not answer."""
        there = self._partitions()
        return {topic: there[topic] for topic in topics if topic in there}

    def unwritable(self, topic: str) -> str | None:
        """Why a topic cannot be written, as far as its description tells; None where it tells nothing.

        Raises ``KafkaException`` where Kafka does not answer.
        """
        asked = self._admin.describe_topics(
            TopicCollection([topic]), include_authorized_operations=True, request_timeout=_REQUEST_S
        )
        try:
            allowed = asked[topic].result(2 * _REQUEST_S).authorized_operations
        except KafkaException as error:
            if cure(error_name(error))[0] is Cure.TOPIC:
                return cure(error_name(error))[1]
            raise
        except FutureTimeoutError as error:
            raise KafkaException(f"topic {topic} was not described within {2 * _REQUEST_S:g} s") from error
        return "no permission to write to the topic" if allowed and AclOperation.WRITE not in allowed else None

    def _partitions(self) -> dict[str, int]:
        return _partition_counts(self._admin.list_topics(timeout=_REQUEST_S))

    def _as_long_as(self, event_topics: Iterable[str]) -> dict[str, str]:
        """The retention of the event topics that is longest: dead letters are kept as long as the events they were."""
        kept = [limits.retention_ms for limits in self.limits(event_topics).values()]
        longest = -1 if None in kept else max((ms for ms in kept if ms is not None), default=None)
        return {} if longest is None else {"retention.ms": str(longest)}

    def _create(self, specs: list[TopicSpec]) -> set[str]:
        """Make topics; returns those that now exist. Event topics that may not be made suspend their streams later."""
        made = set()
        new = [
            NewTopic(
                spec.name,
                num_partitions=spec.partitions,
                replication_factor=self._plan.replication_factor,
                config=dict(spec.config),
            )
            for spec in specs
        ]
        asked = self._admin.create_topics(new, request_timeout=_REQUEST_S) if new else {}
        for topic, answer in asked.items():
            try:
                answer.result(2 * _REQUEST_S)
            except KafkaException as error:
                code = error.args[0].code()
                if topic == self._client.checkpoints_topic and code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    raise PrerequisiteError(self._how_to_create()) from error
                if code in {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}:
                    continue
                if code != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
            except FutureTimeoutError as error:
                raise KafkaException(f"topic {topic} was not made within {2 * _REQUEST_S:g} s") from error
            made.add(topic)
        return made

    def _wait_for(self, topics: set[str]) -> dict[str, int]:
        """Partition counts once these topics are among them: a broker hears of a new topic a little later.

        Not longer than a moment: one that may not be described never appears.
        """
        deadline = time.monotonic() + _REQUEST_S
        while not topics <= (there := self._partitions()).keys() and time.monotonic() < deadline:
            time.sleep(_APPEAR_S)
        return there

    def _how_to_create(self) -> str:
        checkpoints = self.wanted(())[0]
        return (
            f"topic {checkpoints.name} is missing and may not be made by the bridge; make it: "
            f"{checkpoints.how_to_create()}"
        )


def _partition_counts(cluster: ClusterMetadata) -> dict[str, int]:
    return {name: len(topic.partitions) for name, topic in cluster.topics.items() if topic.error is None}
