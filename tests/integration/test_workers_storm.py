"""Everything at once, while tokens rotate; drawn from a seed, judged stream by stream.

Kills, freezes past the session, rolling restarts, a broker that restarts, dropped sockets, revoked tokens.

``CCAAS_TEST_STORM_S`` makes it longer, ``CCAAS_TEST_SEED`` repeats a run's choices.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from typing import TYPE_CHECKING

from tests.support.fleet import Fleet, say, streams
from tests.support.scenario import platform
from tests.support.seed import SEED, TOLD

if TYPE_CHECKING:
    from tests.support.bridge_process import BridgeProcess
    from tests.support.maven_broker import MavenBroker
    from tests.support.stage import Stage

STORM_S = float(os.environ.get("CCAAS_TEST_STORM_S", "40"))

_STREAMS = 16
_TOKEN_LIFE_S = 10.0
_REFRESH_EVERY_S = 7.0
"""The buffer of so short a token is 0.3 of its life."""
_SESSION_S = 6.0
_BLOWS = ("kill", "freeze", "roll", "drop", "revoke")


class Storm:
    """Two of three workers at most suffer at a time; which, how and when the seed says."""

    def __init__(self, it: Fleet, rng: random.Random, until_s: float) -> None:
        self._it = it
        self._rng = rng
        self._until_s = until_s
        self._began_s = time.monotonic()
        self._busy: set[int] = set()
        self.asked_anew = len(it.workers)
        """How often a worker had to ask for a token beside its schedule: starts, thaws, revocations."""

    async def rage(self) -> None:
        """Blow after blow, until time is over."""
        while time.monotonic() < self._until_s:
            await asyncio.sleep(self._rng.uniform(0.0, 3.0))
            kind = self._rng.choice(_BLOWS)
            free = sorted(set(range(len(self._it.workers))) - self._busy)
            i = self._rng.choice(free)
            self._busy.add(i)
            self._tell(kind if kind in {"drop", "revoke"} else f"{kind} worker {i}")
            try:
                await self._strike(kind, self._it.workers[i])
            finally:
                self._busy.discard(i)

    async def broker(self, broker: MavenBroker) -> None:
        """Kafka's restart, somewhere in the middle."""
        left_s = self._until_s - time.monotonic()
        await asyncio.sleep(self._rng.uniform(0.3, 0.6) * left_s)
        self._tell("broker")
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)
        self._tell("broker is back")

    async def _strike(self, kind: str, worker: BridgeProcess) -> None:
        match kind:
            case "kill":
                await asyncio.to_thread(worker.kill9)
                await asyncio.sleep(self._rng.uniform(0.0, 2.0))
                await asyncio.to_thread(worker.start)
                self.asked_anew += 1
            case "roll":
                assert await asyncio.to_thread(worker.stop) in (0, -signal.SIGTERM)  # the latter while it starts
                await asyncio.to_thread(worker.start)
                self.asked_anew += 1
            case "freeze":
                worker.freeze()
                await asyncio.sleep(_SESSION_S + self._rng.uniform(-3.0, 6.0))
                worker.thaw()
                self.asked_anew += 1
            case "drop":
                self._it.simulator.abort()
            case "revoke":
                self._it.simulator.expire_tokens()
                self.asked_anew += len(self._it.workers)

    def _tell(self, what: str) -> None:
        say(f"{time.monotonic() - self._began_s:6.1f} s  {what}")


async def test_storm(alone: Stage, lane_broker: MavenBroker) -> None:
    """Every event once and in order, no gap; no more tokens are asked for than starts and lifetimes explain."""
    rng = random.Random(SEED)
    protocol = rng.choice(("classic", "consumer"))
    settings = platform(rate=20, token_life_s=_TOKEN_LIFE_S, retention_s=600)
    async with Fleet(alone, settings, *streams(_STREAMS), membership={"protocol": protocol}) as it:
        it.note = f"{TOLD}, {protocol}"
        await it.settled()
        await it.ready()
        await it.all_flowing(10)
        began_s = time.monotonic()
        storm = Storm(it, rng, began_s + STORM_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(storm.rage())
            group.create_task(storm.rage())
            group.create_task(storm.broker(lane_broker))
        over_s = time.monotonic()
        await it.settled()
        await it.ready()
        await it.all_flowing(10)
        say(f"all streams back {it.reader.until_back(over_s):.1f} s after the storm")
        asked, lived_s = it.count("tokens"), time.monotonic() - began_s
        explained = storm.asked_anew + len(it.workers) * (lived_s / _REFRESH_EVERY_S + 2)
        say(f"tokens asked for: {asked}, explained: {explained:.0f}; {it.note}")
        assert asked <= explained
        await it.finish()
