"""Lanes that move between workers on purpose: scaling, soft stops, rolling restarts, a broker that restarts.

Each prints how long readers had to wait. The ledger judges every stream in the end.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import Fleet, say, streams
from tests.support.scenario import platform

if TYPE_CHECKING:
    from tests.support.maven_broker import MavenBroker
    from tests.support.stage import Stage

_STREAMS = 12
_RATE = 20.0


async def test_scaling_moves_only_the_lanes_that_must(alone: Stage) -> None:
    """From one worker to three and back to one: four lanes, then two, then the leaver's; a socket a moved stream."""
    async with Fleet(alone, platform(rate=_RATE), *streams(_STREAMS), started=False) as it:
        moved: list[int] = []
        await asyncio.to_thread(it.workers[0].start)
        owners = await it.settled(1)
        await it.ready()
        await it.all_flowing(5)
        for i in (1, 2):
            since = time.monotonic()
            await asyncio.to_thread(it.workers[i].start)
            former, owners = owners, await it.settled(i + 1)
            await it.ready()
            await it.all_flowing(5)
            moved.append(sum(owners[lane] != former[lane] for lane in owners))
            _print(f"worker {i} joins, {moved[-1]} lanes move", it, since)
        for i in (2, 1):
            since = time.monotonic()
            gone = {lane for lane, owner in owners.items() if owner == i}
            assert await asyncio.to_thread(it.workers[i].stop) == 0
            former, owners = owners, await it.settled(i)
            await it.ready()
            await it.all_flowing(5)
            assert {lane for lane in owners if owners[lane] != former[lane]} == gone
            _print(f"worker {i} leaves, {len(gone)} lanes move", it, since)
        assert moved == [4, 2]
        await it.finish()


async def test_soft_stop_under_load(alone: Stage) -> None:
    """SIGTERM of one of three: exit 0, its streams go on elsewalone, what was committed is not read again."""
    async with Fleet(alone, platform(rate=_RATE, token_life_s=10), *streams(_STREAMS)) as it:
        await it.settled()
        await it.ready()
        await it.all_flowing(20)
        since = time.monotonic()
        assert await asyncio.to_thread(it.workers[1].stop) == 0
        stopped_s = time.monotonic() - since
        await it.settled()
        await it.all_flowing(20)
        _print(f"worker stopped in {stopped_s:.2f} s", it, since)
        await it.finish()


async def test_rolling_restart_under_load(alone: Stage) -> None:
    """Three workers, one after the other stopped and started again, while a reader watches."""
    async with Fleet(alone, platform(rate=_RATE, token_life_s=10), *streams(_STREAMS)) as it:
        await it.settled()
        await it.ready()
        await it.all_flowing(20)
        began = time.monotonic()
        for i, worker in enumerate(it.workers):
            since = time.monotonic()
            assert await asyncio.to_thread(worker.stop) == 0
            await asyncio.to_thread(worker.start)
            await it.settled()
            await it.ready()
            await it.all_flowing(5)
            _print(f"worker {i} restarted", it, since)
        _print("all three restarted", it, began)
        await it.finish()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_broker_restarts_under_load(alone: Stage, lane_broker: MavenBroker, protocol: str) -> None:
    """Away for longer than a session lasts: streams go on, every event comes once.

    Under KIP-848 no socket is closed. A classic group has forgotten who had what, and deals the lanes anew.
    """
    membership = {"protocol": protocol}
    async with Fleet(alone, platform(rate=_RATE, retention_s=600), *streams(_STREAMS), membership=membership) as it:
        await it.settled()
        await it.ready()
        await it.all_flowing(20)
        since, opens = time.monotonic(), it.opens()
        await asyncio.to_thread(lane_broker.kill)
        await asyncio.to_thread(lane_broker.start)
        served_s = time.monotonic() - since
        await it.all_flowing(20)
        _print(f"{protocol}: broker back after {served_s:.1f} s", it, since)
        await it.settled()
        await it.ready()
        say(f"{protocol}: sockets opened: {it.opens() - opens}")
        assert it.opens() == opens or protocol == "classic"
        await it.finish()


def _print(what: str, it: Fleet, since: float) -> None:
    silences = it.reader.silence(since)
    longest = max(silences, key=lambda stream: silences[stream])
    say(f"{what}: the longest silence was {silences[longest]:.2f} s, of {longest}; sockets so far {it.opens()}")
