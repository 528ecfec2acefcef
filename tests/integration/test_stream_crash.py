"""``kill -9`` of a real process on real Kafka: nothing is lost, nothing is written twice."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.support.scenario import Scenario, platform
from tests.support.seed import SEED, TOLD
from tests.support.stage import Stage

_LINGER_S = 0.2  # a transaction is open nearly all the time


@pytest.mark.parametrize("nth", range(5))
async def test_kill_in_the_middle_of_a_transaction(stage: Stage, nth: int) -> None:
    """Killed at random instants under load (twice by each of five): every event once, in order, byte for byte."""
    rng = random.Random(SEED + nth)
    settings = platform(rate=150, token_life_s=5, retention_s=600)
    streams = [{"name": "a"}, {"name": "b"}]
    async with Scenario(stage, settings, *streams, lanes=2, commit={"linger_seconds": _LINGER_S}) as it:
        it.note = TOLD
        halves = 0
        for _ in range(2):
            await it.ready()
            await it.flowing(100, "a")
            await asyncio.sleep(rng.uniform(0.0, 1.0))
            await it.kill9()
            halves += await it.in_transaction()
            await it.start()
        await it.ready()
        await it.flowing(100, "b")
        await it.finish()
        assert halves, "no transaction was open at the kills"


async def test_kill_during_the_start(stage: Stage) -> None:
    """Killed again and again while it starts, joins, fences and reads: nothing is lost, nothing is written twice."""
    rng = random.Random(SEED)
    async with Scenario(stage, platform(rate=150, token_life_s=5, retention_s=600, backlog=2000)) as it:
        it.note = TOLD
        await it.ready()
        for longest_s in (1.0, 2.0, 4.0):
            await it.kill9()
            await it.start()
            await it.until(lambda: it.story("starting"), "the start")
            await asyncio.sleep(rng.uniform(0.0, longest_s))
        await it.ready()
        await it.flowing(100)
        await it.finish()


async def test_two_kills_in_a_rotation(stage: Stage) -> None:
    """Killed while two sockets are open: the successor takes neither twice."""
    async with Scenario(stage, platform(rate=150, token_life_s=5, retention_s=600, open_delay_s=0.4)) as it:
        for _ in range(2):
            await it.ready()
            await it.flowing(50)
            await it.overlap()
            await it.kill9()
            await it.start()
        await it.ready()
        await it.flowing(50)
        await it.finish()
