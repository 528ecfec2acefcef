"""Prerequisites in Kafka. Everything blocks; what is asked for is described, nothing is made or changed.

One transaction is begun and aborted, under a transactional.id of its own that fences nobody; where the dead-letter
topic is there, it holds one record, which no read_committed reader ever sees.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from enum import Enum
from typing import Any

from confluent_kafka import KafkaException, Producer, TopicCollection
from confluent_kafka.admin import ConfigResource, ResourceType, TopicDescription

from connector.core.finding import Finding, State, fails, ok
from connector.core.topic_rules import TopicSpec, judge_dead_letters, judge_permissions, judge_settings
from connector.core.transaction import cure
from connector.errors import LaneMismatchError
from connector.kafka.administrator import Administrator
from connector.kafka.client import TRANSACTION_TIMEOUT_S, KafkaClient, describe, error_name
from connector.kafka.topics import TopicPlan, Topics

_REQUEST_S = 10.0
_TRANSACTION_S = 15.0
_COORDINATOR_S = 15.0
_AGAIN_S = 0.5
_PASSING = ("COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS")
_REACH = "check kafka.bootstrap_servers, firewall, and TLS and SASL in kafka.client"

_Allowed = frozenset[str] | None


@dataclass(slots=True)
class ClusterFindings:
    """What was found. ``in_service``: whether the group has members, so that a bridge runs; None: it cannot be told."""

    findings: list[Finding]
    in_service: bool | None = None
    lanes_differ: bool = False


class ClusterCheck:
    """Looks at one cluster with the bridge's own client properties."""

    def __init__(self, client: KafkaClient, lanes: int, plan: TopicPlan, event_topics: list[str]) -> None:
        self._client = client
        self._plan = plan
        self._admin = Administrator(client)
        self._topics = Topics(client, self._admin, lanes, plan)
        self._event_topics = event_topics
        self._wanted = self._topics.wanted(event_topics)

    def run(self) -> ClusterFindings:
        """Every prerequisite in the order in which they depend on each other."""
        found = ClusterFindings([])
        try:
            asked = self._admin.describe_cluster(include_authorized_operations=True, request_timeout=_REQUEST_S)
            cluster = _answer(asked)
        except KafkaException as error:
            found.findings.append(fails("kafka: reachable", self._admin.why(error), _REACH))
            return found
        found.findings.append(ok("kafka: reachable", f"cluster {cluster.cluster_id}, {len(cluster.nodes)} brokers"))
        there = self._describe_topics()
        configs = self._configs([name for name, topic in there.items() if isinstance(topic, TopicDescription)])
        may_create = "CREATE" in (_names(cluster.authorized_operations) or {"CREATE"})
        for spec in self._wanted:
            found.findings += self._topic(spec, there[spec.name], configs.get(spec.name, {}), may_create=may_create)
        found.findings += self._dead_letters(configs)
        self._lanes(there[self._client.checkpoints_topic], found)
        self._group(found)
        dead_letters = isinstance(there[self._client.dead_letter_topic], TopicDescription)
        found.findings.append(self._transaction(with_record=dead_letters))
        return found

    # ------------------------------------------------------------------ topics

    def _dead_letters(self, configs: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
        """Only of a topic that is there: one that is to be made is made right."""
        topic = self._client.dead_letter_topic
        if topic in configs:
            (spec,) = (spec for spec in self._wanted if spec.name == topic)
            events = [configs[name] for name in self._event_topics if name in configs]
            yield judge_dead_letters(spec, configs[topic], events)

    def _describe_topics(self) -> dict[str, TopicDescription | KafkaException]:
        names = [spec.name for spec in self._wanted]
        asked = self._admin.describe_topics(
            TopicCollection(names), include_authorized_operations=True, request_timeout=_REQUEST_S
        )
        return {name: _outcome(answer) for name, answer in asked.items()}

    def _configs(self, topics: list[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        asked = self._admin.describe_configs(resources, request_timeout=_REQUEST_S) if resources else {}
        found = {resource.name: _outcome(answer) for resource, answer in asked.items()}
        return {
            topic: {name: str(entry.value) for name, entry in config.items()}
            for topic, config in found.items()
            if not isinstance(config, KafkaException)
        }

    def _topic(
        self, spec: TopicSpec, topic: TopicDescription | KafkaException, config: dict[str, str], *, may_create: bool
    ) -> Iterator[Finding]:
        title = f"topic {spec.name}"
        if not isinstance(topic, KafkaException):
            yield ok(title, f"{len(topic.partitions)} partitions")
            yield judge_settings(spec, config)
            yield judge_permissions(spec, _names(topic.authorized_operations))
        elif error_name(topic) not in ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC"):
            mend = f"kafka-acls --add --allow-principal User:NAME --operation Describe --topic {spec.name}"
            yield fails(title, describe(topic), mend)
        elif not self._plan.create:
            yield fails(title, "missing, and topics.create is false", spec.how_to_create(self._plan.replication_factor))
        elif not may_create:
            yield Finding(
                title,
                State.WARNS,
                "missing; the bridge makes it at its first start only if an ACL on the topic itself allows Create",
                spec.how_to_create(self._plan.replication_factor),
            )
        else:
            yield ok(title, "missing; the bridge makes it at its first start")

    def _lanes(self, checkpoints: TopicDescription | KafkaException, found: ClusterFindings) -> None:
        if isinstance(checkpoints, KafkaException):
            return
        try:
            self._topics.check_lanes(len(checkpoints.partitions))
        except LaneMismatchError as error:
            found.lanes_differ = True
            found.findings.append(fails("lanes", str(error), "see the message"))
        except KafkaException as error:
            found.findings.append(fails("lanes", describe(error), "allow Read on the checkpoint topic"))
        else:
            found.findings.append(ok("lanes", f"{len(checkpoints.partitions)}, as configured"))

    # ------------------------------------------------------------------ group and transactions

    def _group(self, found: ClusterFindings) -> None:
        group = self._client.group
        described = self._describe_group()
        mend = f"kafka-acls --add --allow-principal User:NAME --operation Read --operation Describe --group {group}"
        if isinstance(described, KafkaException):
            if error_name(described) == "GROUP_ID_NOT_FOUND":
                found.in_service = False
                found.findings.append(ok("group", "has no members yet"))
            else:
                found.findings.append(fails("group", describe(described), mend))
            return
        found.in_service = bool(described.members)
        allowed = _names(described.authorized_operations)
        if allowed is not None and "READ" not in allowed:
            found.findings.append(fails("group", "no permission to join it (Read)", mend))
        else:
            found.findings.append(ok("group", f"{len(described.members)} workers"))

    def _describe_group(self) -> Any:  # noqa: ANN401 - a description, or the exception that it is
        """Asked again while the coordinator is not ready: a cluster's first group makes its topic."""
        deadline = time.monotonic() + _COORDINATOR_S
        while True:
            asked = self._admin.describe_consumer_groups(
                [self._client.group], include_authorized_operations=True, request_timeout=_REQUEST_S
            )
            described = _outcome(asked[self._client.group])
            passing = isinstance(described, KafkaException) and error_name(described) in _PASSING
            if not passing or time.monotonic() > deadline:
                return described
            time.sleep(_AGAIN_S)

    def _transaction(self, *, with_record: bool) -> Finding:
        title, transactional_id = "transactions", f"{self._client.group}-check-{secrets.token_hex(4)}"
        try:
            producer = Producer({**self._client.producer(0, ()), "transactional.id": transactional_id})
            producer.init_transactions(_TRANSACTION_S)
            producer.begin_transaction()
            if with_record:
                producer.produce(self._client.dead_letter_topic, b"", b"$check")
                producer.flush(_TRANSACTION_S)
            producer.abort_transaction(_TRANSACTION_S)
        except KafkaException as error:
            name = error_name(error)
            return fails(title, f"{describe(error)} ({cure(name)[1]})", self._mend_transaction(name))
        return ok(title, f"one was begun and aborted as {transactional_id}")

    def _mend_transaction(self, name: str) -> str:
        if name == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED":
            return (
                "kafka-acls --add --allow-principal User:NAME --operation Write --operation Describe "
                f"--resource-pattern-type prefixed --transactional-id {self._client.group}-"
            )
        if name == "INVALID_TRANSACTION_TIMEOUT":
            return f"set the brokers' transaction.max.timeout.ms to at least {TRANSACTION_TIMEOUT_S * 1000:.0f}"
        return "check __transaction_state: transaction.state.log.replication.factor needs so many brokers"


def _answer(asked: Future[Any]) -> Any:  # noqa: ANN401 - whatever was asked for
    try:
        return asked.result(2 * _REQUEST_S)
    except FutureTimeoutError as error:
        raise KafkaException(f"no answer within {2 * _REQUEST_S:g} s") from error


def _outcome(asked: Future[Any]) -> Any:  # noqa: ANN401 - whatever was asked for
    """The answer, or the exception that it is."""
    try:
        return _answer(asked)
    except KafkaException as error:
        return error


def _names(operations: Collection[Enum] | None) -> _Allowed:
    return frozenset(operation.name for operation in operations) if operations else None
