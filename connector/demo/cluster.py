"""The Kafka of the demo: an embedded broker, or a real cluster on which it leaves as little as it may."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final, Protocol

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from connector.errors import PrerequisiteError

LANES: Final = 4  # what the embedded broker gives a topic, whatever one asks for
_REQUEST_S: Final = 5.0
_MOCK_HOST: Final = "127.0.0.1"

_QUIET: Final = {"log_level": 3, "logger": logging.getLogger("connector.demo")}  # 3: errors (syslog's numbers)


class Cluster(Protocol):
    """Where the demo's topics are."""

    bootstrap_servers: str
    label: str
    stays: bool
    """Whether it outlives the demo: then the bridge makes its topics there, and the demo removes them."""
    hides_aborted: bool
    """Whether a read_committed reader is spared the records of aborted transactions."""

    def prepare(self, topics: Iterable[str]) -> None:
        """Do what must be done before the bridge starts; raises ``PrerequisiteError``."""
        ...

    def close(self, group: str) -> str | None:
        """Remove every topic ``{group}.…`` and the group; returns what to tell the user. Idempotent."""
        ...


def open_cluster(kafka: str | None) -> Cluster:
    """An embedded broker, or the cluster at ``HOST:PORT``. Raises ``PrerequisiteError``."""
    return EmbeddedBroker() if kafka is None else RealCluster(kafka)


class EmbeddedBroker:
    """librdkafka's mock cluster: a broker on a thread of a client, which speaks Kafka's protocol on loopback.

    It has topics (4 partitions, made when one asks for them), groups and transactions; it has no controller, no topic
    configuration, and does not hide the records of aborted transactions. It is gone with its client.
    """

    stays = False
    hides_aborted = False

    def __init__(self) -> None:
        self._client: Producer | None = Producer({"test.mock.num.brokers": 1, **_QUIET})
        try:
            (broker,) = self._client.list_topics(timeout=_REQUEST_S).brokers.values()
        except (KafkaException, ValueError) as error:
            self._client.close()
            raise PrerequisiteError(f"the embedded broker does not start: {error}") from error
        self.bootstrap_servers = f"{_MOCK_HOST}:{broker.port}"
        self.label = f"embedded broker {self.bootstrap_servers}"

    def prepare(self, topics: Iterable[str]) -> None:
        """Ask for each topic's metadata, which makes it; a group that subscribed before would never be assigned."""
        if self._client is not None:
            for topic in topics:
                self._client.list_topics(topic, timeout=_REQUEST_S)

    def close(self, group: str) -> str | None:  # noqa: ARG002  # the broker itself goes
        """End the broker."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
        return None


class RealCluster:
    """A cluster that was there before and stays."""

    stays = True
    hides_aborted = True

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.label = f"Kafka at {bootstrap_servers}"
        self._used = False
        properties: dict[str, Any] = {"bootstrap.servers": bootstrap_servers, **_QUIET}
        self._admin = AdminClient(properties)
        try:
            self._admin.list_topics(timeout=_REQUEST_S)
        except KafkaException as error:
            raise PrerequisiteError(f"{self.label} does not answer: {error.args[0].str()}") from error

    def prepare(self, topics: Iterable[str]) -> None:  # noqa: ARG002  # the bridge makes them
        """From here on there may be something to remove."""
        self._used = True

    def close(self, group: str) -> str | None:
        """Delete what carries the group's name, and say what could not be deleted."""
        if not self._used:
            return None
        self._used = False
        try:
            found = self._admin.list_topics(timeout=_REQUEST_S).topics
        except KafkaException as error:
            return f"Left on {self.label}, which no longer answers ({error}): topics {group}.* and group {group}"
        topics = sorted(name for name in found if name.startswith(f"{group}."))
        failed = self._failures(topics, group)
        if not failed:
            return f"Deleted from {self.label}: {len(topics)} topics {group}.* and group {group}"
        return "\n".join([f"Left on {self.label}, since it may not be deleted:", *failed])

    def _failures(self, topics: list[str], group: str) -> list[str]:
        answers = dict(self._admin.delete_topics(topics, request_timeout=_REQUEST_S)) if topics else {}
        answers |= self._admin.delete_consumer_groups([group], request_timeout=_REQUEST_S)
        failed = []
        for name, answer in answers.items():
            try:
                answer.result(2 * _REQUEST_S)
            except KafkaException as error:
                if error.args[0].name() != "GROUP_ID_NOT_FOUND":
                    failed.append(f"  {'group' if name == group else 'topic'} {name}: {error.args[0].str()}")
            except TimeoutError:
                failed.append(f"  {name}: no answer")
        return failed
