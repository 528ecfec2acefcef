"""Writes notifications, best effort: what Kafka does not take at once is counted and let go, and nobody waits."""

from __future__ import annotations

import logging
import time

from confluent_kafka import KafkaException, Producer

from connector import telemetry
from connector.core.notification import Notification, Notifier
from connector.kafka.client import KafkaClient, describe

_log = logging.getLogger("connector.notifications")


class Announcer:
    """A producer of its own, made with the first notification. All methods belong to the event loop's thread."""

    def __init__(self, client: KafkaClient, notifier: Notifier) -> None:
        self._client = client
        self._notifier = notifier
        self._producer: Producer | None = None
        self._generation = client.generation

    def __call__(self, event: telemetry.Event) -> None:
        """Tell of an event that is worth it."""
        notification = self._notifier.notification(event, time.time_ns() // 1_000_000)
        if notification is not None:
            self._announce(notification)

    def _announce(self, notification: Notification) -> None:
        """Hand it to librdkafka, and let go of what became of earlier ones; it sends the last by itself."""
        try:
            if self._producer is None or self._generation != self._client.generation:
                self._generation = self._client.generation
                self._producer = Producer(self._client.notices())
            self._producer.produce(
                self._client.notifications_topic,
                notification.value,
                notification.stream,
                headers=notification.headers,
            )
            self._producer.poll(0)
        except (BufferError, KafkaException) as error:
            _log.info("a notification of stream %s is not told: %s", notification.stream, describe(error))
