"""The checkpoint topic is lost: `checkpoint rebuild` makes it anew from the records, and the stream goes on whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from click.testing import CliRunner
from confluent_kafka.admin import AdminClient

from connector.cli import bridge
from tests.support.scenario import STREAM, Scenario, platform
from tests.support.stage import Stage


async def _shown(config: str) -> dict[str, Any]:
    """The stream's checkpoint as committed."""
    arguments = ["checkpoint", "show", "-c", config, "--stream", STREAM, "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, bridge, arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)["checkpoints"][0]
    return found


async def test_rebuilt_checkpoint_is_the_one_that_was_lost(stage: Stage) -> None:
    """The same position and offsets; the bridge resumes there, and the ledger finds every event once."""
    async with Scenario(stage, platform(rate=150, retention_s=600)) as it:
        await it.ready()
        await it.flowing(300)
        config = str(it.directory / "bridge.yaml")
        running = await asyncio.to_thread(CliRunner().invoke, bridge, ["checkpoint", "rebuild", "-c", config])
        assert running.exit_code == 3
        assert "stop them first" in running.stderr
        await it.stop()
        former = await _shown(config)
        admin = AdminClient({"bootstrap.servers": it.kafka})
        topic = f"{it.group}.checkpoints"
        await asyncio.to_thread(admin.delete_topics([topic])[topic].result, 30)
        result = await asyncio.to_thread(CliRunner().invoke, bridge, ["checkpoint", "rebuild", "-c", config])
        assert result.exit_code == 0, result.output
        rebuilt = await _shown(config)
        assert rebuilt["worker"] == "ccaas-bridge checkpoint"
        for field in ("epoch", "position", "event_time", "offsets"):
            assert rebuilt[field] == former[field]
        await it.start()
        await it.ready()
        await it.flowing(100)
        await it.finish()
