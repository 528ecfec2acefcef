"""Topics and permissions that fail under a running bridge: who is not concerned does not notice."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AclOperation, ResourceType

from tests.support.broker import create_topic, fresh_name
from tests.support.rules import Rules
from tests.support.scenario import STREAM, Scenario, platform
from tests.support.stage import Stage

_REQUEST_S = 15.0


def _two(other: str) -> list[dict[str, str]]:
    return [{"name": "a"}, {"name": "b", "topic": other}]


async def test_topic_deleted_under_a_running_stream(stage: Stage) -> None:
    """Only its streams stop, and ``ready`` says so; when it is there again they go on where they were."""
    other = fresh_name("other")
    async with Scenario(stage, platform(rate=100, token_life_s=6, retention_s=600), *_two(other)) as it:
        rules = Rules(it.kafka)
        await it.ready()
        await it.flowing(100, "b")
        await asyncio.to_thread(rules.delete, other)
        await it.until(lambda: it.story("stream suspended", stream="b"), "the suspension")
        assert "stream b is suspended" in await it.unready()
        await it.flowing(100, "a")  # by then its last commit is read too
        lost = it.position("b")[1]
        await it.flowing(200, "a")
        assert it.position("b")[1] == lost
        await asyncio.to_thread(create_topic, it.kafka, other)
        await it.flowing(200, "b")
        await it.ready()
        await it.drained()
        await it.stop()
        verdicts = await it.judge()
        verdicts["a"].assert_exact()
        assert verdicts["b"].missing == [(0, position) for position in range(1, lost + 1)], "what was deleted is gone"
        verdicts["b"].missing.clear()
        verdicts["b"].assert_exact()
        assert not it.failures("network")


async def test_topic_forbidden_under_a_running_stream(alone: Stage) -> None:
    """The permission to write is taken away and given back: everything once, in order, also what came meanwhile."""
    other, rules = fresh_name("other"), Rules(alone.kafka)
    async with Scenario(alone, platform(rate=100, token_life_s=6, retention_s=600), *_two(other)) as it:
        await it.ready()
        await it.flowing(100, "b")
        await asyncio.to_thread(rules.forbid, ResourceType.TOPIC, other, AclOperation.WRITE)
        await it.until(lambda: it.story("stream suspended", stream="b"), "the suspension")
        assert "no permission to write" in await it.unready()
        await it.flowing(200, "a")
        await asyncio.to_thread(rules.allow, ResourceType.TOPIC, other)
        await it.flowing(200, "b")
        await it.finish()
        assert not it.failures("network")


async def test_limit_of_a_topic_shrinks_under_a_running_stream(stage: Stage) -> None:
    """What the topic no longer takes becomes dead letters, each in its place; what it takes are events."""
    other = fresh_name("other")
    settings = platform(rate=10, payload_bytes=4000, retention_s=600)
    async with Scenario(stage, settings, *_two(other)) as it:
        rules = Rules(it.kafka)
        await it.ready()
        await it.flowing(20, "b")
        await asyncio.to_thread(rules.limit, other, 2000)
        await it.flowing(30, "b")
        await asyncio.to_thread(rules.limit, other, 1_048_588)
        await it.flowing(20, "b")
        verdicts = await it.finish()
        assert not verdicts["a"].letters
        refused = [letter.covers for letter in verdicts["b"].letters]
        assert len(refused) >= 25
        assert refused == sorted(refused, key=int)  # type: ignore[arg-type]  # each covers a position


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ResourceType.TOPIC, "{group}.checkpoints"),
        (ResourceType.TRANSACTIONAL_ID, "{group}-lane-0"),
        (ResourceType.GROUP, "{group}"),
    ],
    ids=["checkpoints", "transactional-id", "group"],
)
async def test_permission_missing_at_start(alone: Stage, kind: ResourceType, name: str) -> None:
    """The worker waits and says for what; it begins once the permission is there. It never ends."""
    rules = Rules(alone.kafka)
    async with Scenario(alone, platform(rate=50, backlog=100, retention_s=600), started=False) as it:
        name = name.format(group=it.group)
        await asyncio.to_thread(rules.forbid, kind, name)
        await it.start()
        await it.alive()
        await it.until(lambda: "uthorization" in it.worker.log_text(), "the reason in the log", timeout_s=30)
        await asyncio.sleep(3)
        assert await it.status("/health/live") == 200
        assert await it.status("/health/ready") == 503
        await asyncio.to_thread(rules.allow, kind, name)
        await it.ready()
        await it.flowing(20)
        await it.finish()


async def test_topics_that_may_not_be_made(stage: Stage) -> None:
    """``topics.create: false`` and nothing is there: the log says what to make, and the worker waits for it."""
    async with Scenario(stage, platform(rate=50, backlog=100), topics={"create": False}) as it:
        await it.until(lambda: it.story("a prerequisite is missing"), "the reason")
        assert f"--topic {it.group}.checkpoints" in it.story("a prerequisite is missing")[0]["detail"]
        assert await it.status("/health/live") == 200
        for topic, partitions in ((f"{it.group}.gaps", 1), (f"{it.group}.dead-letter", 1), (it.topic, 4)):
            await asyncio.to_thread(create_topic, it.kafka, topic, partitions)
        await asyncio.to_thread(create_topic, it.kafka, f"{it.group}.checkpoints", 1, cleanup_policy="compact")
        await it.ready()
        await it.flowing(20)
        await it.finish()


async def test_stranger_in_the_checkpoint_partition(stage: Stage) -> None:
    """Somebody's transaction is open in the lane's partition at the start: the lane waits, and says why."""
    async with Scenario(stage, platform(rate=100, retention_s=600)) as it:
        await it.ready()
        await it.flowing(50)
        await it.kill9()
        stranger = Producer({"bootstrap.servers": it.kafka, "transactional.id": fresh_name("stranger")})
        await asyncio.to_thread(stranger.init_transactions, _REQUEST_S)
        stranger.begin_transaction()
        stranger.produce(f"{it.group}.checkpoints", b"{}", b"stranger", partition=0)
        assert await asyncio.to_thread(stranger.flush, _REQUEST_S) == 0
        opens = it.count("opens")
        await it.start()
        await it.alive()
        async with asyncio.timeout(60):
            while "another producer's transaction is open" not in await it.unready():  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.1)
        assert it.count("opens") == opens
        await asyncio.to_thread(stranger.abort_transaction, _REQUEST_S)
        await it.ready()
        await it.flowing(50)
        await it.finish()
        assert not it.checkpoint("stranger")
        assert it.checkpoint(STREAM)
