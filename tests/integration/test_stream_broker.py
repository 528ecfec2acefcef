"""Kafka in trouble under load: streams stay open, nothing is dropped, nothing is written twice."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from connector.model import Target
from tests.conftest import OwnBroker
from tests.support.chaos import disturb
from tests.support.maven_broker import MavenBroker
from tests.support.operators import Operator
from tests.support.scenario import STREAM, Scenario, platform
from tests.support.seed import SEED, TOLD
from tests.support.stage import Stage

_MIB = 1 << 20
_SAMPLE_S = 0.25
_FLAT_BYTES = 24 * _MIB  # the producer's queue, both sockets' TCP windows, and the allocator's whims


@asynccontextmanager
async def _frozen(broker: MavenBroker, seconds: float) -> AsyncIterator[None]:
    """Freeze the broker at least for so long, and longer where the body takes longer."""
    broker.freeze()
    ended = asyncio.get_running_loop().time() + seconds
    try:
        yield
        await asyncio.sleep(max(0.0, ended - asyncio.get_running_loop().time()))
    finally:
        broker.thaw()


async def _memory(it: Scenario, seconds: float) -> list[int]:
    """The worker's resident memory, sampled for a while."""
    samples: list[int] = []
    for _ in range(round(seconds / _SAMPLE_S)):
        samples.append(it.rss_bytes())
        await asyncio.sleep(_SAMPLE_S)
    return samples


async def test_broker_killed_and_restarted_under_load(alone: Stage, lane_broker: MavenBroker) -> None:
    """A power cut of the broker, twice, under 1,000 events/s and rotating tokens: everything once, in order."""
    settings = platform(rate=500, token_life_s=8, retention_s=600)
    streams = [{"name": "a"}, {"name": "b"}]
    async with Scenario(alone, settings, *streams, lanes=2, commit={}) as it:
        await it.ready()
        for _ in range(2):
            await it.flowing(1000, "a")
            await asyncio.to_thread(lane_broker.kill)
            await asyncio.to_thread(lane_broker.start)
            await it.flowing(500, "a")
            await it.flowing(500, "b")
        await it.finish()
        assert (it.count("unauthorized"), it.count("expiry_closes")) == (0, 0)
        assert not it.failures("network")


async def test_broker_frozen_15_s(alone: Stage, lane_broker: MavenBroker) -> None:
    """The broker stands still for 15 s, longer than the group's session: tokens rotate, nothing is lost."""
    settings = platform(rate=200, token_life_s=5, retention_s=600)
    async with Scenario(alone, settings) as it:
        await it.ready()
        await it.flowing(200)
        async with _frozen(lane_broker, 15.0):
            await it.rotated(2)
        await it.flowing(500)
        await it.finish()
        assert (it.count("unauthorized"), it.count("expiry_closes")) == (0, 0)
        assert not it.failures("network")


async def test_bad_network_between_bridge_and_kafka(alone: Stage, lane_broker: MavenBroker) -> None:
    """Cuts, delays, pauses and ends of transactions that come late, at random: everything once, in order."""
    rng = random.Random(SEED)
    settings = platform(rate=200, token_life_s=6, retention_s=600)
    streams = [{"name": "a"}, {"name": "b"}]
    async with Scenario(
        alone,
        settings,
        *streams,
        worker_kafka=lane_broker.proxy.bootstrap,
        lanes=2,
        commit={},
    ) as it:
        it.note = TOLD
        await it.ready()
        for _ in range(15):
            it.note += f", {await disturb(lane_broker.proxy, rng)}"
            await asyncio.sleep(rng.choice([0.0, 0.1, 1.0]))
        await it.ready()
        await it.flowing(100, "a")
        await it.finish()
        assert (it.count("unauthorized"), it.count("expiry_closes")) == (0, 0)
        assert not it.failures("network")


async def test_disk_of_the_broker_is_full(stage: Stage, own_broker: OwnBroker) -> None:
    """Kafka ends itself when it cannot write; the bridge waits with open sockets, and goes on when there is room."""
    broker = await asyncio.to_thread(own_broker)
    settings = platform(rate=200, token_life_s=6, retention_s=600)
    async with Scenario(stage, settings, kafka=broker.bootstrap, commit={}) as it:
        await it.ready()
        await it.flowing(200)
        await asyncio.to_thread(broker.fill_disk, 4096)
        await asyncio.to_thread(broker.wait_ended, 30.0)
        await it.rotated(2)
        assert await it.status("/health/live") == 200
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)
        await it.flowing(500)
        await it.finish()
        assert (it.count("unauthorized"), it.count("expiry_closes")) == (0, 0)
        assert not it.failures("network")


async def test_back_pressure_longer_than_the_ping_interval(alone: Stage, lane_broker: MavenBroker) -> None:
    """The buffer is full for many ping intervals and the whole silence: the unread socket is not taken for dead."""
    settings = platform(rate=500, retention_s=600)
    configured = {"ping_seconds": 1, "silence_seconds": 3}
    stream = {"name": STREAM, "buffer": {"events": 500, "bytes": 4 * _MIB}}
    async with Scenario(alone, settings, stream, configured=configured, commit={}) as it:
        await it.ready()
        await it.flowing(200)
        async with _frozen(lane_broker, 10.0):
            await it.paused()
            samples = await _memory(it, 8.0)
        await it.flowing(1000)
        await it.finish()
        assert max(samples) - samples[0] < _FLAT_BYTES, samples
        assert it.count("opens") == 1
        assert not it.failures("network")


async def test_rotation_under_back_pressure(alone: Stage, lane_broker: MavenBroker) -> None:
    """Tokens rotate while the socket is not read: the old socket goes first, replay covers what it had not given."""
    settings = platform(rate=500, token_life_s=5, retention_s=600)
    stream = {"name": STREAM, "buffer": {"events": 500, "bytes": 4 * _MIB}}
    async with Scenario(alone, settings, stream, commit={}) as it:
        await it.ready()
        await it.flowing(500)
        async with _frozen(lane_broker, 5.0):
            await it.paused()
            await it.rotated(2)
        await it.flowing(2000)
        await it.finish()
        assert (it.count("unauthorized"), it.count("expiry_closes")) == (0, 0)


async def test_memory_is_flat_while_kafka_is_stopped_and_the_platform_floods(
    alone: Stage, lane_broker: MavenBroker
) -> None:
    """Kafka is gone and events keep coming: memory ends at the buffer, and later everything is there."""
    settings = platform(rate=100, payload_bytes=700, retention_s=600)
    stream = {"name": STREAM, "buffer": {"events": 5000, "bytes": 8 * _MIB}}
    async with Scenario(alone, settings, stream, commit={}) as it:
        await it.ready()
        it.simulator.push(6000)  # once, so that what a buffer of this size takes is there before the measurement
        await it.committed()
        await asyncio.to_thread(lane_broker.kill)
        it.simulator.push(25_000)
        await it.paused()
        samples = await _memory(it, 8.0)
        assert max(samples) - samples[0] < _FLAT_BYTES, samples
        await asyncio.to_thread(lane_broker.start)
        await it.committed()
        await it.finish()


@pytest.mark.parametrize("way", ["control", "configuration"])
async def test_stopped_and_started_in_mid_snapshot_while_kafka_is_away(
    alone: Stage, lane_broker: MavenBroker, way: str
) -> None:
    """The half that is written stays without an end; once Kafka is back a whole one follows, and no event is lost."""
    stream = {"name": STREAM, "on_gap": "snapshot", "start": "snapshot"}
    commit = {"max_events": 200, "max_per_second": 10}
    async with (
        Scenario(
            alone,
            platform(rate=50, retention_s=600),
            stream,
            worker_kafka=lane_broker.proxy.bootstrap,
            started=False,
            commit=commit,
        ) as it,
        Operator(lane_broker.bootstrap, it.group) as operator,
    ):
        it.simulator.snapshot_trouble("endless", 600.0, size_bytes=200_000 * 380)
        await it.start()
        await it.until(lambda: _snapshot_records(it) > 1000, "a snapshot that has begun")
        if way == "control":
            await operator.set(STREAM, Target.STOPPED)
            await it.until(lambda: not it.open_sockets(), "the stop")
            await asyncio.to_thread(lane_broker.proxy.pause)
            await operator.set(STREAM, Target.RUNNING)
        else:
            await asyncio.to_thread(lane_broker.proxy.pause)
            configured = json.loads(it.worker.file.read_text())
            configured["streams"][0]["buffer"] = {"events": 777}
            it.worker.file.write_text(json.dumps(configured))
            await it.until(lambda: it.story("configuration taken up"), "the change")
        assert not it.story("snapshot written")
        await asyncio.to_thread(lane_broker.proxy.cut)
        await asyncio.sleep(3.0)
        await asyncio.to_thread(lane_broker.proxy.resume)
        await it.until(lambda: it.story("snapshot written"), "a whole snapshot")
        await it.flowing(20)
        records = await it.records(it.topic)
        begin = min(int(record.headers["ce_position"]) for record in records if "ce_sequence" in record.headers) - 1
        await it.finish(begins={STREAM: begin})
        written = [record.headers for record in records if "ce_snapshotid" in record.headers]
        kinds = Counter((of["ce_snapshotid"], of["ce_type"].rpartition(b".snapshot")[2]) for of in written)
        begins, ends = ([n for (_, kind), n in kinds.items() if kind == mark] for mark in (b".begin", b".end"))
        assert (begins, ends) == ([4, 4], [4])


def _snapshot_records(it: Scenario) -> int:
    """How many records of a snapshot are committed."""
    return int(((it.checkpoint() or {}).get("snapshot") or {}).get("records") or 0)
