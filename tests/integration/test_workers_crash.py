"""Workers killed again and again at random instants, the broker once among them; under both protocols of the group.

``CCAAS_TEST_KILLS`` makes it longer (ten take four minutes), ``CCAAS_TEST_SEED`` repeats a run.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import Fleet, say, streams
from tests.support.scenario import platform
from tests.support.seed import SEED, TOLD

if TYPE_CHECKING:
    from tests.support.maven_broker import MavenBroker
    from tests.support.stage import Stage

KILLS = int(os.environ.get("CCAAS_TEST_KILLS", "2"))

_AGAIN_AFTER_S = 3.0
"""A worker needs about so long to start and to join: the next kill comes before, while or after it does."""


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_kills_at_random_instants(alone: Stage, lane_broker: MavenBroker, protocol: str) -> None:
    """One of three workers at a time: its streams go on elsewhere, every event comes once, in order."""
    rng = random.Random(SEED)
    settings = platform(rate=20, token_life_s=10, retention_s=600)
    async with Fleet(alone, settings, *streams(12), membership={"protocol": protocol}) as it:
        it.note = TOLD
        await it.settled()
        await it.ready()
        await it.all_flowing(10)
        for nth in range(1, KILLS + 1):
            await asyncio.sleep(rng.uniform(0.0, _AGAIN_AFTER_S))
            victim = it.workers[rng.randrange(len(it.workers))]
            since = time.monotonic()
            await asyncio.to_thread(victim.kill9)
            if nth == (KILLS + 1) // 2:
                await asyncio.sleep(rng.uniform(0.0, 1.0))
                await asyncio.to_thread(lane_broker.kill)
                await asyncio.to_thread(lane_broker.start)
            await it.all_flowing()
            say(f"kill {nth} ({protocol}): all streams back after {it.reader.until_back(since):.2f} s")
            await asyncio.to_thread(victim.start)
        await it.settled()
        await it.ready()
        await it.all_flowing()
        await it.finish()
