"""Finds the broker that integration tests share: a cluster that is already there, a container, or Kafka from Maven.

In this order: the cluster that ``KAFKA_BOOTSTRAP_SERVERS`` names; a container, if an engine runs and has the image; a
Kafka of our own from Maven's jars (JDK >= 17); a container whose image must be fetched first. Where none works the
tests fail and say why; they are never skipped.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from typing import TYPE_CHECKING, Final

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from tests.support.finder import find_engine, first_that_works
from tests.support.maven_broker import BrokerUnavailableError, MavenBroker, require_kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_IMAGE: Final = "confluentinc/cp-kafka:7.9.0"
_ADMIN_TIMEOUT_S: Final = 60.0
_CHECK_TIMEOUT_S: Final = 15.0
_HELP: Final = (
    "These tests need a Kafka broker. Install a JDK >= 17 and Maven (apt-get install openjdk-17-jre-headless maven), "
    f"or have a container engine with the image {_IMAGE}, "
    "or name a cluster: KAFKA_BOOTSTRAP_SERVERS=host:port."
)


@contextlib.contextmanager
def broker_elsewhere() -> Iterator[str]:
    """The bootstrap servers of a cluster that is named, or of a container; empty where there is a Kafka of our own."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        _check(given)
        yield given
        return
    with contextlib.ExitStack() as stack:
        yield _find(stack)


def own_broker(directory: Path, *, proxied: bool, settings: dict[str, str]) -> MavenBroker:
    """A broker to be killed and frozen, started; it can only be Maven's."""
    broker: MavenBroker | None = None
    try:
        broker = MavenBroker(directory, proxied=proxied, settings=settings)
        broker.start()
    except BrokerUnavailableError as exc:
        failure = str(exc)
    else:
        return broker
    if broker is not None:
        broker.close()
    return pytest.fail(f"This test kills and freezes a broker of its own, from Maven's jars: {failure}", pytrace=False)


def create_topic(bootstrap: str, name: str, partitions: int = 4, **config: str) -> None:
    """Create a topic and wait for it; configuration names with ``_`` for ``.``."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    settings = {key.replace("_", "."): value for key, value in config.items()}
    topic = NewTopic(name, num_partitions=partitions, replication_factor=-1, config=settings)
    admin.create_topics([topic], operation_timeout=_ADMIN_TIMEOUT_S)[name].result(_ADMIN_TIMEOUT_S)
    deadline = time.monotonic() + _ADMIN_TIMEOUT_S
    while name not in admin.list_topics(timeout=_ADMIN_TIMEOUT_S).topics:  # the broker hears of it a little later
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} is not there")
        time.sleep(0.02)


def delete_topics(bootstrap: str) -> None:
    """Delete every topic but Kafka's own: a broker that is killed has all the more to recover."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = [name for name in admin.list_topics(timeout=_ADMIN_TIMEOUT_S).topics if not name.startswith("__")]
    for deleted in admin.delete_topics(names).values() if names else ():
        deleted.result(_ADMIN_TIMEOUT_S)


def fresh_name(prefix: str) -> str:
    """A name that no other test and no other run uses: clusters may be shared."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def _find(stack: contextlib.ExitStack) -> str:
    attempts: dict[str, Callable[[], str]] = {
        "container": lambda: _container(stack, fetch=False),
        "Maven": _ours,
        "container, its image fetched": lambda: _container(stack, fetch=True),
    }
    return first_that_works(_HELP, attempts)


def _ours() -> str:
    require_kafka()
    return ""


def _container(stack: contextlib.ExitStack, *, fetch: bool) -> str:
    find_engine(_IMAGE, fetch=fetch)
    from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415  # it looks for an engine on import

    container = KafkaContainer(_IMAGE).with_kraft()
    for name, value in {
        "KAFKA_NUM_PARTITIONS": "4",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    }.items():
        container.with_env(name, value)
    try:
        stack.callback(container.stop)
        container.start()
    except Exception as exc:  # whatever its HTTP, Docker and wait libraries raise, another way may work
        raise BrokerUnavailableError(f"it did not start: {exc}") from exc
    return str(container.get_bootstrap_server())


def _check(bootstrap: str) -> None:
    try:
        AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=_CHECK_TIMEOUT_S)
    except KafkaException as exc:
        pytest.fail(f"KAFKA_BOOTSTRAP_SERVERS={bootstrap} does not answer: {exc}\n{_HELP}", pytrace=False)
