"""The kind ``genesys-notifications`` against the simulated Genesys Cloud and a real Kafka."""

from __future__ import annotations

import asyncio

import pytest

from connector.simulator.genesys import GenesysSettings
from tests.support.genesys import GenesysStage
from tests.support.stage import Stage

pytestmark = pytest.mark.asyncio

_SHORT_S = 6.0
_QUICK = {"ping_seconds": 0.5, "silence_seconds": 5}


async def test_rotations_leave_no_trace(alone: Stage) -> None:
    """Five tokens under load: a second channel each time, nothing lost, twice or out of order, channels few."""
    async with GenesysStage(alone, GenesysSettings(rate=100, token_life_s=_SHORT_S), platform=_QUICK) as it:
        await it.ready()
        begun = it.head() + 1
        wanted = it.cloud.stats()["grants"]["simulator"] + 5
        await it.until(lambda: it.cloud.stats()["grants"]["simulator"] >= wanted, "five tokens")
        await asyncio.sleep(1)
        (await it.judged(begun)).whole()
        assert it.cloud.stats()["channels"]["simulator"]["most_alive"] <= 4


async def test_drop_is_a_gap_by_time(alone: Stage) -> None:
    """A network drop: what was missed lies in the gap's interval, and the conversations of that time follow."""
    async with GenesysStage(alone, GenesysSettings(rate=100), platform=_QUICK) as it:
        await it.ready()
        begun = it.head() + 1
        await asyncio.sleep(2)
        it.cloud.abort()
        await it.until(lambda: it.cloud.stats()["sockets"]["open"], "a socket again")
        await asyncio.sleep(3)
        found = await it.judged(begun)
        found.held()
        assert [gap.snapshot for gap in found.gaps] == ["done"]
        assert found.snapshots["ccaas.snapshot"] > 0
        assert it.cloud.stats()["channels"]["simulator"]["created"] == 1


async def test_starvation_is_healed(alone: Stage) -> None:
    """Subscriptions that are gone behind an open socket with heartbeats are noticed; since the last proof is a gap."""
    async with GenesysStage(alone, GenesysSettings(rate=50, heartbeat_s=1), platform=_QUICK) as it:
        await it.ready()
        begun = it.head() + 1
        await asyncio.sleep(2)
        it.cloud.starve()
        stuck = it.head()
        await it.until(lambda: it.head() > stuck + 50, "events again")
        found = await it.judged(begun)
        found.held()
        assert found.missing
        assert len(found.gaps) == 1
