"""Where a stream begins, what it waits for, and how a worker stops."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.conftest import OwnBroker
from tests.support.broker import create_topic, fresh_name
from tests.support.maven_broker import MavenBroker, free_ports
from tests.support.scenario import STREAM, Scenario, missed, platform
from tests.support.stage import Stage

_START_S = 20.0


async def _checkpoints(it: Scenario) -> list[dict[str, Any]]:
    """Every checkpoint of the stream that the topic still holds, in order."""
    records = await it.records(f"{it.group}.checkpoints")
    return [json.loads(record.value) for record in records if record.key == STREAM.encode()]


async def test_start_earliest(stage: Stage) -> None:
    """``start: earliest``: everything that the platform has, from position 1."""
    async with Scenario(stage, platform(rate=100, backlog=3000)) as it:
        await it.ready()
        await it.finish()
        assert it.sockets()[0].asked == 0


async def test_start_earliest_beyond_the_retention(stage: Stage) -> None:
    """What the platform no longer has at the first start is a gap from position 1 on."""
    settings = platform(rate=50, backlog=500, retention_s=1.0, expired_position="oldest")
    streams = {"name": STREAM, "on_gap": "continue"}
    async with Scenario(stage, settings, streams, started=False) as it:
        await it.until(lambda: it.simulator.stats()["uptime_s"] > 2.0, "the backlog to be gone")
        await it.start()
        await it.ready()
        await it.flowing(50)
        await it.drained()
        gaps = missed(it, "retention")
        assert gaps[0].first == 1
        await it.finish(gaps=gaps)


async def test_start_at_a_position(stage: Stage) -> None:
    """``start: 1234``: the first event is the one after it."""
    streams = {"name": STREAM, "start": 1234}
    async with Scenario(stage, platform(rate=100, backlog=2000), streams) as it:
        await it.ready()
        await it.finish(begins={STREAM: 1234})
        assert it.sockets()[0].asked == 1234


async def test_start_latest_anchors_at_the_snapshot(stage: Stage) -> None:
    """``start: latest`` with a snapshot: its position is committed before anything is read."""
    streams = {"name": STREAM, "start": "latest"}
    async with Scenario(stage, platform(rate=100, backlog=500), streams, started=False) as it:
        it.log()  # the platform's only stream: the snapshot is its
        before = it.head()[1]
        await it.start()
        await it.ready()
        begin = it.sockets()[0].asked
        assert begin is not None
        assert before <= begin <= it.head()[1]
        await it.flowing(20)
        await it.finish(begins={STREAM: begin})


async def test_kill_before_the_first_event_of_latest_loses_nothing(stage: Stage) -> None:
    """A crash between the start at the present and the first event: what comes meanwhile is not lost."""
    streams = {"name": STREAM, "start": "latest"}
    async with Scenario(stage, platform(rate=0, backlog=500), streams, started=False) as it:
        it.log()
        await it.start()
        await it.ready()
        await it.committed((0, 500))
        await asyncio.to_thread(it.worker.kill9)
        it.simulator.push(10)
        await it.start()
        await it.ready()
        await it.finish(begins={STREAM: 500})


async def test_start_latest_without_a_snapshot(stage: Stage) -> None:
    """Without a snapshot the stream sends no position; its first checkpoint says that it does not know it."""
    streams = {"name": STREAM, "start": "latest"}
    settings = platform(rate=0, backlog=500)
    async with Scenario(stage, settings, streams, configured={"snapshot_url": None}) as it:
        await it.ready()
        assert it.sockets()[0].asked is None
        assert (await _checkpoints(it))[-1]["position"] is None
        it.simulator.push(10)
        await it.finish(begins={STREAM: 500})


async def test_break_before_the_first_position_is_a_gap(stage: Stage) -> None:
    """A stream that has no position yet and loses its socket cannot know what it missed, and says so."""
    streams = {"name": STREAM, "start": "latest"}
    settings = platform(rate=0, backlog=500)
    async with Scenario(stage, settings, streams, configured={"snapshot_url": None}) as it:
        await it.ready()
        it.simulator.abort()
        await it.until(lambda: it.count("opens") == 2 and it.open_sockets(), "another socket")
        it.simulator.push(10)
        await it.until(lambda: it.position()[1] == 510, "the events")
        assert await asyncio.to_thread(it.worker.stop) == 0
        verdict = (await it.judge(begins={STREAM: 500}))[STREAM]
        assert [(gap.first, gap.last, gap.reason) for gap in verdict.gaps] == [(None, None, "no_resume")]
        assert len(await it.records(it.topic)) == 10


async def test_kafka_away_at_start(stage: Stage) -> None:
    """Without Kafka the worker lives and is not ready; it begins when Kafka comes."""
    broker = await asyncio.to_thread(MavenBroker, stage.directory / fresh_name("kafka"))
    try:
        async with Scenario(stage, platform(rate=100, backlog=200), kafka=broker.bootstrap) as it:
            await it.until(lambda: it.story("Kafka cannot be reached"), "the first failure")
            assert await it.status("/health/live") == 200
            assert await it.status("/health/ready") == 503
            assert it.count("tokens") == 0
            await asyncio.to_thread(broker.start)
            await it.ready()
            await it.flowing(50)
            await it.finish()
    finally:
        await asyncio.to_thread(broker.close)


@pytest.mark.parametrize(
    ("setting", "topic"),
    [
        ("offsets.topic.replication.factor", "__consumer_offsets"),
        ("transaction.state.log.replication.factor", "__transaction_state"),
    ],
)
async def test_coordinators_topic_unavailable_at_start(
    stage: Stage, own_broker: OwnBroker, setting: str, topic: str
) -> None:
    """The cluster has too few brokers to make it: the worker waits, not ready, and begins once it is there."""
    broker = await asyncio.to_thread(own_broker, settings={setting: "3"})
    async with Scenario(stage, platform(rate=100, backlog=200, token_life_s=5), kafka=broker.bootstrap) as it:
        await it.until(lambda: it.story("starting"), "the start")
        await asyncio.sleep(8.0)
        assert await it.status("/health/live") == 200
        assert await it.status("/health/ready") == 503
        assert not await it.records(it.topic)
        await asyncio.to_thread(create_topic, broker.bootstrap, topic, cleanup_policy="compact")
        await it.ready()
        await it.flowing(50)
        await it.finish()


async def test_sigterm_while_kafka_is_away(stage: Stage) -> None:
    """A worker that waits for Kafka stops softly too: exit code 0, in no time."""
    (nobody,) = free_ports(1)
    async with Scenario(stage, platform(rate=100), kafka=f"127.0.0.1:{nobody}") as it:
        await it.until(lambda: it.story("starting"), "the start")
        await it.until(lambda: it.story("Kafka cannot be reached"), "the first failure")
        assert await it.status("/health/live") == 200
        assert await asyncio.to_thread(it.worker.stop, _START_S) == 0


@pytest.mark.parametrize("after", ["starting", "lanes assigned", "connecting"])
async def test_sigterm_during_the_start(stage: Stage, after: str) -> None:
    """Stopped at any point of its start a worker exits with 0, and the next one misses nothing."""
    async with Scenario(stage, platform(rate=100, backlog=5000)) as it:
        await it.until(lambda: it.story(after), after)
        assert await asyncio.to_thread(it.worker.stop, _START_S) == 0
        await it.start()
        await it.ready()
        await it.finish()


async def test_soft_stop_commits_what_was_read(stage: Stage) -> None:
    """SIGTERM under load: exit 0, sockets closed with 1000, the next worker goes on there."""
    async with Scenario(stage, platform(rate=500, token_life_s=5)) as it:
        for _ in range(3):
            await it.ready()
            await it.flowing(200)
            assert await asyncio.to_thread(it.worker.stop, _START_S) == 0
            end = it.sockets()[-1].closed
            assert end is not None
            assert (end.by, end.code) == ("client", 1000)
            await it.start()
        await it.ready()
        await it.finish()
