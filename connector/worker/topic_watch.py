"""The topics before and while a worker serves: made or waited for, then watched for what they accept and keep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from confluent_kafka import KafkaException

from connector.errors import LaneMismatchError, PrerequisiteError
from connector.kafka.administrator import Administrator
from connector.kafka.topics import Topics
from connector.model import TopicLimits

_RETRY_S = 2.0
_LIMITS_EVERY_S = 60.0
_RENEW_S = 10.0

_log = structlog.get_logger("connector.app")


class TopicWatch:
    """What this worker knows of its topics. ``limits``: event topic → what it accepts and keeps, kept up to date."""

    def __init__(self, topics: Topics, event_topics: Sequence[str], why: Callable[[KafkaException], str]) -> None:
        """``why``: what lies behind an error, in words."""
        self.topics = topics
        self.limits: dict[str, TopicLimits] = {}
        self._event_topics = event_topics
        self._why = why

    def ask_by(self, admin: Administrator) -> None:
        """Ask by another client from now on."""
        self.topics.use(admin)
        self._why = admin.why

    async def prepare(self, stop: asyncio.Event) -> bool:
        """Topics are there and fit; asked again until they are. False where the worker is stopped before.

        Raises ``LaneMismatchError``: it cannot go on with this number of lanes.
        """
        while not stop.is_set():
            try:
                await asyncio.to_thread(self.topics.ensure, self._event_topics)
                await self._read_limits()
            except PrerequisiteError as error:
                _log.error("a prerequisite is missing", detail=str(error), retry_in_s=_RETRY_S)
            except KafkaException as error:
                _log.warning("Kafka cannot be reached", detail=self._why(error), retry_in_s=_RETRY_S)
            else:
                return True
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _RETRY_S)
        return False

    async def renew(self, event_topics: Sequence[str]) -> None:
        """Other event topics from now on; those that are missing are made, if Kafka answers soon."""
        self._event_topics = event_topics
        try:
            async with asyncio.timeout(_RENEW_S):
                await self.prepare(asyncio.Event())
        except (TimeoutError, LaneMismatchError) as error:
            _log.warning("new topics are not made yet", detail=str(error) or "Kafka does not answer")

    async def run(self) -> None:
        """Read the limits again and again, until cancelled."""
        while True:
            await asyncio.sleep(_LIMITS_EVERY_S)
            with suppress(KafkaException):
                await self._read_limits()

    async def _read_limits(self) -> None:
        found = await asyncio.to_thread(self.topics.limits, self._event_topics)
        for topic, limits in found.items():
            former = self.limits.get(topic)
            if former is not None and former.partitions != limits.partitions:
                _log.error(
                    "an event topic has other partitions: the order per key is broken across the change",
                    topic=topic,
                    before=former.partitions,
                    now=limits.partitions,
                )
        self.limits.update(found)
