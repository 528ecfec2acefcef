"""The consumer example of the documentation: killed in the middle, and led over a gap by its snapshot."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.support.processes import Child
from tests.support.scenario import STREAM, Scenario, missed, platform
from tests.support.stage import Stage

_PROGRAM = Path(__file__).parents[2] / "docs" / "examples" / "wfm_adherence.py"
_QUICK = {"backoff_seconds": 0.5, "backoff_max_seconds": 2, "breaker_failures": 4, "breaker_seconds": 2}


class _Consumer:
    """The example as a process."""

    def __init__(self, it: Scenario, state: Path) -> None:
        self._it = it
        self._state = state

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Child]:
        """Follow the topic meanwhile; killed at the end."""
        command = [sys.executable, str(_PROGRAM), "--state", str(self._state), "--kafka", self._it.kafka]
        child = await asyncio.to_thread(Child, [*command, "--topic", self._it.topic], self._state.with_suffix(".log"))
        try:
            yield child
        finally:
            await asyncio.to_thread(child.kill)

    def progress(self) -> dict[int, int]:
        """The next offset of each partition."""
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(self._state)) as db:
            return dict(db.execute("SELECT partition, next_offset FROM progress"))
        return {}

    async def read(self, records: int) -> None:
        """Return once it has committed so many more offsets."""
        wanted = sum(self.progress().values()) + records
        await self._it.until(lambda: sum(self.progress().values()) >= wanted, "the consumer's progress", look_s=0.05)

    async def caught_up(self) -> None:
        """Return once it has read the last record of every partition."""
        last: dict[int, int] = {}
        for record in await self._it.records(self._it.topic):
            last[record.partition] = record.offset
        await self._it.until(
            lambda: all(self.progress().get(number, 0) > offset for number, offset in last.items()),
            "the consumer at the end",
        )

    async def report(self) -> dict[str, Any]:
        """What it says."""
        command = [sys.executable, str(_PROGRAM), "--state", str(self._state), "--report"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
        return dict(json.loads(done.stdout))


async def test_example_survives_kills_and_a_gap(stage: Stage) -> None:
    """After kills and a gap it knows just the conversations of the platform, and counts what a fresh one does."""
    settings = platform(rate=100, retention_s=3, conversations=60, token_life_s=5)
    async with Scenario(stage, settings, {"name": STREAM, "on_gap": "snapshot"}, network=_QUICK) as it:
        await it.ready()
        consumer = _Consumer(it, it.directory / "wfm.db")
        for _ in range(3):
            async with consumer.running():
                await consumer.read(100)
        it.simulator.refuse(7.0)
        it.simulator.abort()
        async with consumer.running():
            await it.until(lambda: it.story("snapshot written"), "the snapshot")
            await it.flowing(50)
        await it.finish(gaps=missed(it, "retention"))
        async with consumer.running() as child:
            await consumer.caught_up()
            child.signal(signal.SIGTERM)
            assert await asyncio.to_thread(child.wait, 30) == 0
        found = await consumer.report()
        truth = it.log().conversations(it.simulator.world.now())
        assert found["conversations"] == sorted(each["conversationId"] for each in truth)
        assert found["adherence_percent"]

        fresh = _Consumer(it, it.directory / "fresh.db")
        async with fresh.running():
            await fresh.caught_up()
        assert await fresh.report() == found
