"""What commands that read Kafka share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException

from connector.errors import PrerequisiteError
from connector.kafka.client import describe
from connector.settings import Settings


def hush_clients() -> None:
    """No log lines of librdkafka: what a command tells of Kafka is its own output."""
    logging.getLogger("connector.kafka.librdkafka").addHandler(logging.NullHandler())


@contextmanager
def kafka_needed(settings: Settings) -> Iterator[None]:
    """What Kafka refuses within, or does not answer, is a missing prerequisite."""
    hush_clients()
    try:
        yield
    except KafkaException as error:
        raise PrerequisiteError(f"Kafka at {settings.kafka.bootstrap_servers}: {describe(error)}") from error
