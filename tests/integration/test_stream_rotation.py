"""Token rotation on real Kafka and over real sockets: readers cannot tell that a token was ever replaced (P5)."""

from __future__ import annotations

import asyncio
import os
import statistics

import pytest

from connector.simulator.session import Ending
from tests.support.chorus import Stage, together
from tests.support.scenario import STREAM, Scenario, assert_calm, by_refresh, lag, overlaps_s, platform
from tests.support.watch import SightFollower

pytestmark = pytest.mark.asyncio(loop_scope="module")
AT_ONCE = 9

MINUTE_S = float(os.environ.get("CCAAS_TEST_MINUTE_S", "60"))
"""How long the rotation under load goes on."""
LIFE_S = 5.0
_SLOW_START_S = 0.4  # new sockets of some scenarios are silent for so long: overlaps become visible


@together
async def test_rotation_under_load(stage: Stage) -> None:
    """1,000 events/s for a minute with tokens of 5 s: nothing lost, twice or out of order, and no rotation seen."""
    settings = platform(rate=1000, token_life_s=LIFE_S, retention_s=600)
    async with Scenario(stage, settings, commit={}) as it:
        await it.ready()
        await it.flowing(int(1000 * MINUTE_S))
        verdicts = await it.finish()
        assert verdicts[STREAM].events >= 1000 * MINUTE_S
        assert_calm(it)
        assert it.refreshed() >= MINUTE_S / LIFE_S
        assert not it.failures("network")


@together
async def test_new_sockets_half_a_second_late(stage: Stage) -> None:
    """New sockets that send nothing for half a second: two are seen open all that time, and never for longer than 2 s."""
    async with Scenario(stage, platform(rate=200, token_life_s=LIFE_S, open_delay_s=0.5)) as it:
        await it.ready()
        await it.rotated(3)
        await it.finish()
        assert_calm(it)
        assert min(overlaps_s(it.sockets())) >= 0.5


@together
async def test_quiet_stream_rotates(stage: Stage) -> None:
    """A stream without events replaces its token all the same, and the first event afterwards arrives."""
    async with Scenario(stage, platform(rate=0, token_life_s=LIFE_S)) as it:
        await it.ready()
        it.simulator.push(3)
        await it.committed()
        await it.rotated(3)
        it.simulator.push(5)
        await it.committed()
        await it.finish()
        assert_calm(it)
