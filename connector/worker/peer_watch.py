"""Tells the group which configuration this worker runs with, and the operator which workers run with another."""

from __future__ import annotations

import asyncio

import structlog

from connector.core.peers import TELL_EVERY_S, WORKER_KEY, Peers, decode, encode
from connector.ports import Clock, Notices
from connector.settings import Settings, digest
from connector.web.metrics import Metrics

_SETTLED_S = 5.0
"""A change reaches workers one after the other: who differs no longer than that is not worth a word."""

_log = structlog.get_logger("connector.configuration")


class PeerWatch:
    """One worker's. All methods belong to the event loop's thread."""

    def __init__(self, worker: str, settings: Settings, notices: Notices, clock: Clock, metrics: Metrics) -> None:
        self._key = f"{WORKER_KEY}{worker}"
        self._own = digest(settings)
        self._notices = notices
        self._clock = clock
        self._metrics = metrics
        self._peers = Peers()
        self._told: list[str] = []
        notices.follow(WORKER_KEY, self._heard)

    async def run(self) -> None:
        """Tell and look, until cancelled."""
        while True:
            self._notices.publish(self._key, encode(self._own))
            await asyncio.sleep(_SETTLED_S)
            self._look()
            await asyncio.sleep(TELL_EVERY_S - _SETTLED_S)
            self._look()

    def leave(self) -> None:
        """This worker ends."""
        self._notices.publish(self._key, None)

    def changed(self, settings: Settings) -> None:
        """This worker runs with another configuration."""
        self._own = digest(settings)
        self._notices.publish(self._key, encode(self._own))

    def _heard(self, key: str, value: bytes | None) -> None:
        configuration = None if value is None else decode(value)
        self._peers.heard(key.removeprefix(WORKER_KEY), configuration, self._clock.now())

    def _look(self) -> None:
        differing = self._peers.differing(self._own, self._clock.now())
        self._metrics.configuration_differs.set(len(differing))
        if differing != self._told:
            self._told = differing
            if differing:
                _log.warning("workers of this group run with another configuration", workers=differing, own=self._own)
            else:
                _log.info("all workers of this group run with the same configuration", own=self._own)
