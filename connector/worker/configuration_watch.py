"""The configuration while the worker runs: read again on SIGHUP or when a file is another, and taken up whole.

Kubernetes changes a mounted file by swapping a link; an editor writes it in place. So a file is looked at again and
again, and read once it has been the same twice: half of a file may be a valid configuration with half of the streams.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from connector.errors import ConfigurationError
from connector.settings import ConfigurationSource, Settings, refused
from connector.web.metrics import Metrics

_LOOK_S = 1.0

_log = structlog.get_logger("connector.configuration")


class ConfigurationWatch:
    """Watches one source. ``apply`` takes up what is new."""

    def __init__(
        self,
        source: ConfigurationSource,
        settings: Settings,
        apply: Callable[[Settings, Settings], Awaitable[None]],
        renew: Callable[[Settings], bool],
        metrics: Metrics,
    ) -> None:
        """``renew`` takes up credentials of Kafka and Redis; it returns whether there were other ones."""
        self._source = source
        self._settings = settings
        self._apply = apply
        self._renew = renew
        self._metrics = metrics
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
        read = seen = await asyncio.to_thread(self._source.fingerprint)
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _LOOK_S)
            before, seen = seen, await asyncio.to_thread(self._source.fingerprint)
            if self._asked.is_set() or (seen == before and seen != read):
                self._asked.clear()
                read = seen
                await self.read_again()

    async def read_again(self) -> None:
        """Take up what has changed; where something cannot be, nothing changes, and the log says why."""
        try:
            settings = await asyncio.to_thread(self._source.read)
        except ConfigurationError as error:
            self._refuse(str(error))
            return
        if fixed := refused(self._settings, settings):
            self._refuse(f"{', '.join(fixed)}: cannot change while a worker runs; restart it to use the new value")
            return
        former, self._settings = self._settings, settings
        renewed = self._renew(settings)
        if settings == former and not renewed:
            _log.info("configuration read again: nothing is new")
            self._count("unchanged")
            return
        if settings != former:
            await self._apply(former, settings)
        self._count("applied")

    def _refuse(self, why: str) -> None:
        _log.error("configuration refused: nothing has changed", detail=why)
        self._count("refused")

    def _count(self, outcome: str) -> None:
        self._metrics.configuration_reads.labels(outcome).inc()
        self._metrics.configuration_refused.set(outcome == "refused")
