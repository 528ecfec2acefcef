"""Versions of the bridge that take turns, as real processes; records of versions to come (docs/schemas.md)."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import orjson

from connector.model import Target
from tests.support.fleet import Fleet
from tests.support.next_version import FIELD
from tests.support.operators import Operator
from tests.support.scenario import STREAM, Scenario, platform

if TYPE_CHECKING:
    from tests.support.stage import Stage

_NEWER = (sys.executable, "-m", "tests.support.next_version")


async def test_two_versions_take_turns_on_one_lane(alone: Stage) -> None:
    """By a soft stop and by a kill, both ways, and both at once; each reads what the other wrote."""
    stream = {"name": STREAM}
    settings = platform(rate=50, token_life_s=10, retention_s=600)
    async with Fleet(alone, settings, stream, workers=2, lanes=1, started=False) as it:
        older, newer = it.workers
        newer.program = _NEWER
        for worker, is_newer in ((older, False), (newer, True)) * 2:
            await asyncio.to_thread(worker.start)
            await it.all_flowing(20)
            for other in it.workers:
                if other is not worker and other.running:
                    await (asyncio.to_thread(other.kill9) if is_newer else asyncio.to_thread(other.stop))
            await _written_by(it, newer=is_newer)
            await it.all_flowing(20)
        await it.finish()


async def _written_by(it: Scenario, *, newer: bool) -> None:
    await it.until(lambda: (FIELD in (it.checkpoint() or {})) == newer, "a checkpoint of the other version")


async def test_what_a_newer_version_told_a_stream_survives_an_older_one(alone: Stage) -> None:
    """A request that an older one grants leaves alone what it does not know."""
    async with Scenario(alone, platform(rate=50)) as it, Operator(it.kafka, it.group) as operator:
        await it.ready()
        told = {"v": 1, "stream": STREAM, "state": "paused", FIELD: {"since": 1}}
        await asyncio.to_thread(it.write, f"{it.group}.control", STREAM, orjson.dumps(told))
        await it.until(lambda: not it.open_sockets(), "the socket closed")
        await operator.set(STREAM, Target.RUNNING)
        await it.flowing(20)
        (last,) = [r.value for r in await it.records(f"{it.group}.control") if r.key == STREAM.encode()][-1:]
        assert orjson.loads(last)[FIELD] == {"since": 1}
        await it.finish()


async def test_a_checkpoint_of_an_unknown_version_is_refused_and_nothing_written(alone: Stage) -> None:
    """The lane says which stream, which version, and what to do; it dials nothing and writes nothing."""
    async with Scenario(alone, platform(rate=50, retention_s=600)) as it:
        await it.ready()
        await it.flowing(20)
        await it.stop()
        value = dict(it.checkpoint() or {}, v=2)
        await asyncio.to_thread(it.write, f"{it.group}.checkpoints", STREAM, orjson.dumps(value))
        topics, opens = [it.topic, f"{it.group}.checkpoints", f"{it.group}.gaps"], it.count("opens")
        before = [await it.end_of(topic) for topic in topics]
        await it.start()
        await it.alive()
        await it.until(lambda: "is refused: " in it.worker.log_text(), "the refusal")
        assert "'wfm' has version 2; this bridge reads version 1" in it.worker.log_text()
        assert "refused: a checkpoint of stream 'wfm' has version 2" in await it.unready()
        assert [await it.end_of(topic) for topic in topics] == before
        assert it.count("opens") == opens
        await it.stop()
