"""Workers that share tokens through Redis, while Redis is away, killed and frozen; the ledger judges every stream."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import Fleet, say, streams
from tests.support.redis_server import own_redis
from tests.support.scenario import platform

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.stage import Stage

pytestmark = pytest.mark.tools

LIFE_S = 8.0
_UP = 'ccaas_redis_up{use="tokens"}'
_SHARED = 'ccaas_token_requests_total{outcome="shared",platform="sim"}'


async def metric(it: Fleet, name: str) -> list[float]:
    """A metric of every worker."""
    found = await asyncio.gather(*(asyncio.to_thread(worker.metrics) for worker in it.workers))
    return [each.get(name, 0.0) for each in found]


async def shared(it: Fleet, up: float) -> None:
    """Return once every worker says that Redis can (1), or cannot (0), be used."""
    async with asyncio.timeout(30):
        while await metric(it, _UP) != [up] * len(it.workers):  # noqa: ASYNC110 - asked over HTTP
            await asyncio.sleep(0.1)


async def rotations(it: Fleet, times: int) -> int:
    """Return once a stream of each worker was given so many new tokens; how many the platform granted meanwhile."""
    before = it.count("tokens")
    await asyncio.gather(*(it.rotated(times, it.streams_of(i)[0]) for i in range(len(it.workers))))
    return it.count("tokens") - before


async def test_redis_in_trouble_under_rotating_tokens(alone: Stage, tmp_path: Path) -> None:
    """No stream is ever without a token, no worker ends or is unready, and nothing is lost, twice or out of order."""
    key = base64.b64encode(bytes(range(32))).decode()
    with own_redis(tmp_path / "redis") as redis:
        await asyncio.to_thread(redis.kill)
        settings = platform(rate=20, token_life_s=LIFE_S, token_burst_s=0.2)
        options = {"url": redis.url, "encryption_key": key}
        async with Fleet(alone, settings, *streams(8), workers=2, redis=options) as it:
            await it.settled()
            await it.ready()
            await shared(it, 0)
            await asyncio.to_thread(redis.start)
            await shared(it, 1)
            await rotations(it, 1)
            say(f"sharing: {await rotations(it, 2)} grants for 2 rotations of 2 workers")
            assert sum(await metric(it, _SHARED)) >= 2

            await asyncio.to_thread(redis.kill)
            await shared(it, 0)
            say(f"Redis killed: {await rotations(it, 2)} grants")
            await it.ready()
            await asyncio.to_thread(redis.start)
            await shared(it, 1)
            await rotations(it, 1)
            granted = await rotations(it, 2)
            say(f"Redis back: {granted} grants for 2 rotations")
            assert granted <= 3  # two, and one that was under way

            redis.freeze()
            await rotations(it, 2)
            await it.ready()
            redis.thaw()
            await shared(it, 1)
            await it.all_flowing()
            assert (it.count("unauthorized"), it.count("expiry_closes")) == (0, 0)
            await it.finish()


async def test_a_server_that_revokes_with_two_workers(alone: Stage, tmp_path: Path) -> None:
    """Sharing, one grant serves both; without Redis each ends the other's tokens, at a pace, and nothing is lost."""
    with own_redis(tmp_path / "redis") as redis:
        settings = platform(rate=20, token_life_s=LIFE_S, reissue="revokes")
        auth = {"auth": {"reissue": "revokes"}}
        async with Fleet(alone, settings, *streams(4), workers=2, configured=auth, redis={"url": redis.url}) as it:
            await it.settled()
            await it.ready()
            await shared(it, 1)
            await it.all_flowing()
            before = it.count("tokens")
            await asyncio.sleep(2 * LIFE_S)
            shares = it.count("tokens")
            assert shares - before <= 4
            await asyncio.to_thread(redis.kill)
            await asyncio.sleep(2 * LIFE_S)
            apart = it.count("tokens")
            await asyncio.to_thread(redis.start)
            await shared(it, 1)
            say(f"{shares - before} grants in {2 * LIFE_S:g} s with Redis, {apart - shares} in as many without")
            await it.all_flowing()
            await it.ready()
            await it.finish()
            assert it.count("unauthorized") <= it.count("tokens")
            assert not it.failures("network")
