"""The number of lanes is fixed when the checkpoint topic is made; how it is changed all the same.

The steps are those of docs/when-things-go-wrong.md, "Changing the number of lanes".
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from tests.support.bridge_process import BridgeProcess
from tests.support.fleet import Fleet, streams
from tests.support.ledger import compare, read
from tests.support.scenario import platform

if TYPE_CHECKING:
    from tests.support.stage import Stage

_STREAMS = 6


async def test_another_number_of_lanes_is_refused_and_the_way_there_works(alone: Stage) -> None:
    """Exit code 2 with the way to go; gone, every event is there once, in order, over both groups."""
    settings = platform(rate=50, retention_s=600)
    async with Fleet(alone, settings, *streams(_STREAMS, lanes=2), workers=1, lanes=2) as it:
        await it.ready()
        await it.all_flowing(20)
        await it.stop()

        changed = BridgeProcess(it.directory, {**it.configured(), "lanes": 3}, name="changed")
        await asyncio.to_thread(changed.start)
        assert await asyncio.to_thread(changed.wait) == 2
        assert "has 2 partitions, but the configuration says lanes: 3" in changed.log_text()
        assert "Changing the number of lanes" in changed.log_text()

        positions: dict[str, int] = {}
        for record in await asyncio.to_thread(read, it.kafka, [f"{it.group}.checkpoints"]):
            if record.key is not None and record.key != b"$lanes":
                positions[record.key.decode()] = int(orjson.loads(record.value)["position"])
        config = {**it.configured(), "group": f"{it.group}-2", "lanes": 3}
        config["streams"] = [{**stream, "start": positions[stream["name"]]} for stream in config["streams"]]
        moved = BridgeProcess(it.directory, config, name="moved")
        await asyncio.to_thread(moved.start)
        try:
            await asyncio.to_thread(moved.ready)
            it.simulator.push(20)
            it.simulator.quiet(3600)
            heads = {name: it.head(name)[1] for name in it.names}
            await it.until(lambda: it.reader.positions == heads, "the platform's heads")
            assert await asyncio.to_thread(moved.stop) == 0
        finally:
            await asyncio.to_thread(moved.kill9)
        records = await asyncio.to_thread(read, it.kafka, [it.topic])
        for name in it.names:
            verdict = compare(it.simulator.truth(name), records, stream=name)
            assert verdict.held, (name, verdict)
