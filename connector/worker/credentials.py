"""Passwords, keys and certificates of Kafka and Redis, taken up while the worker runs.

Secrets expire more often than workers are restarted. Whoever holds a client of Kafka makes another when it suits: lanes
between two transactions, the others at once. A platform's are renewed by :mod:`connector.worker.platform_clients`.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from connector.kafka.administrator import Administrator
from connector.kafka.client import KafkaClient
from connector.settings import RedisSettings, Settings
from connector.worker import plans

_log = structlog.get_logger("connector.configuration")


class Credentials:
    """Those that are in use. Belongs to the event loop's thread."""

    def __init__(
        self,
        settings: Settings,
        client: KafkaClient,
        ask_by: Callable[[Administrator], None],
        redis: Callable[[RedisSettings], None],
    ) -> None:
        """``ask_by`` and ``redis`` hand on what lives as long as the worker."""
        self._client = client
        self._ask_by = ask_by
        self._to_redis = redis
        self._kafka, self._files, self._redis = settings.kafka, settings.kafka.files(), settings.redis

    def renew(self, settings: Settings) -> bool:
        """Take up what is new; returns whether something was."""
        renewed = []
        files = settings.kafka.files()
        if settings.kafka != self._kafka or files != self._files:
            self._client.renew(plans.kafka_client(settings).properties, files=files != self._files)
            self._kafka, self._files = settings.kafka, files
            self._ask_by(Administrator(self._client))
            renewed.append("kafka")
        if settings.redis is not None and settings.redis != self._redis:
            self._redis = settings.redis
            self._to_redis(settings.redis)
            renewed.append("redis")
        if renewed:
            _log.info("credentials renewed", of=renewed)
        return bool(renewed)
