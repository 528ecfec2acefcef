"""Workers frozen past their session and thawed after others took over; and a late init that fences the new owner.

What a zombie may not have committed shows in its lanes' checkpoints, each of which names its worker.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

import orjson
from confluent_kafka import Producer

from connector.kafka.client import KafkaClient
from tests.support.fleet import Fleet, instant_of, say, streams
from tests.support.scenario import platform

if TYPE_CHECKING:
    from tests.support.stage import Stage

_SESSION = {"session_timeout_seconds": 3, "heartbeat_seconds": 0.3}
_LONG_TRANSACTIONS = {"linger_seconds": 0.5}
"""A lane under load is then nearly always in a transaction."""


async def test_frozen_in_mid_transaction(alone: Stage) -> None:
    """Thawed, it ends none of its transactions, and rejoins clean."""
    settings = platform(rate=20, token_life_s=600, retention_s=600)
    async with Fleet(alone, settings, *streams(12), membership=_SESSION, commit=_LONG_TRANSACTIONS) as it:
        await _begin(it)
        await _frozen_past_its_session(it, 1)
        await it.finish()


async def test_frozen_in_mid_rotation(alone: Stage) -> None:
    """Frozen with two sockets of a stream open, both of which the platform keeps: they end when it thaws."""
    settings = platform(rate=20, token_life_s=10, retention_s=600, open_delay_s=0.4)
    async with Fleet(alone, settings, *streams(12), membership=_SESSION) as it:
        await _begin(it)
        own = it.streams_of(1)
        await it.until(lambda: any(len(it.open_sockets(name)) > 1 for name in own), "two sockets", look_s=0.005)
        await _frozen_past_its_session(it, 1)
        await it.until(it.calm, "one socket a stream")
        await it.finish()


async def test_frozen_during_init(alone: Stage) -> None:
    """It joins, is given lanes, and freezes before they are open: it opens none until they are its own."""
    settings = platform(rate=20, token_life_s=600, retention_s=600)
    async with Fleet(alone, settings, *streams(12), membership=_SESSION, started=False) as it:
        for worker in it.workers[:2]:
            await asyncio.to_thread(worker.start)
        await _begin(it)
        await asyncio.to_thread(it.workers[2].start)
        await it.until(lambda: it.lanes_of(2), "lanes of the third", look_s=0.005)
        await _frozen_past_its_session(it, 2)
        await it.finish()


async def test_late_init_of_a_zombie_heals(alone: Stage) -> None:
    """Every lane is fenced by an init that comes too late: the owners start over, and no socket is closed."""
    settings = platform(rate=20, token_life_s=600, retention_s=600)
    async with Fleet(alone, settings, *streams(12)) as it:
        await _begin(it)
        opens, since = it.opens(), time.monotonic()
        await asyncio.gather(*(asyncio.to_thread(_late_init, it, lane) for lane in range(8)))
        await it.all_flowing(10)
        silence = max(it.reader.silence(since).values())
        say(f"8 lanes fenced: the longest silence was {silence:.2f} s")
        assert it.opens() == opens
        await it.finish()


async def _begin(it: Fleet) -> None:
    await it.settled()
    await it.ready()
    await it.all_flowing(10)


async def _frozen_past_its_session(it: Fleet, i: int) -> None:
    """Freeze a worker until all its streams flow elsewhere, thaw it, and hold it to what a zombie may do."""
    zombie = it.workers[i]
    lanes, frozen_at = it.lanes_of(i), time.time()
    assert lanes
    zombie.freeze()
    pid = zombie.pid
    await it.all_flowing(10)
    thawed, thawed_at = time.monotonic(), time.time()
    zombie.thaw()
    await it.until(lambda: lanes.isdisjoint(it.lanes_of(i)), "the zombie lets go", look_s=0.005)
    say(f"thawed in possession of {len(lanes)} lanes, let go after {time.monotonic() - thawed:.2f} s")
    await it.settled()
    await it.ready()
    await it.all_flowing(10)
    records = await asyncio.to_thread(it.lane_records)
    for lane in lanes:
        others = [line for k in range(len(it.workers)) if k != i for line in it.told(k, f"lane {lane} open")]
        successor_s = min(at for line in others if (at := instant_of(line)) > frozen_at)
        own = [at for line in it.told(i, f"lane {lane} open") if (at := instant_of(line)) > thawed_at]
        again_s = min(own, default=math.inf)
        late = [r for r in records[lane] if _is_by(r.value, pid) and successor_s <= r.timestamp_ms / 1000 < again_s]
        assert not late, late


def _is_by(checkpoint: bytes, pid: int) -> bool:
    """Whether the worker with this process id wrote it (its name is host-pid-…)."""
    return str(orjson.loads(checkpoint).get("worker", "")).split("-")[-2:-1] == [str(pid)]


def _late_init(it: Fleet, lane: int) -> None:
    client = KafkaClient(it.kafka, it.group)
    Producer({**client.producer(lane, [])}).init_transactions(15)
