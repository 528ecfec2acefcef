"""Parts of events that must not reach Kafka: they don't, and nothing else is missing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import orjson

from tests.support.scenario import STREAM, Scenario, platform
from tests.support.stage import Stage


def _audit(it: Scenario) -> subprocess.CompletedProcess[str]:
    """The bridge's own audit of the stream."""
    program = Path(sys.executable).with_name("ccaas-bridge")
    command = [str(program), "audit", "-c", str(it.directory / "bridge.yaml"), "--stream", STREAM]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_redacted_and_dropped_content_never_reaches_kafka(stage: Stage) -> None:
    """Over a rotation, a kill and a snapshot: no caller in any topic, every position there, and the audit holds."""
    topic = stage.name("redacted")
    stream = {
        "name": STREAM,
        "topic": topic,
        "redact": ["/participants"],
        "routes": [{"match": {"event_type": "queue.*"}, "topic": topic, "drop": True}],
        "start": "snapshot",
    }
    async with Scenario(stage, platform(rate=200, token_life_s=5, conversations=50), stream) as it:
        await it.ready()
        await it.rotated(1)
        await it.kill9()
        await it.start()
        await it.ready()
        await it.flowing(50)
        await it.drained()
        await it.stop()
        records = await it.records(topic, f"{it.group}.dead-letter")
        truth = {item.position: item.data for item in it.simulator.items(STREAM)}
        redacted = dropped = 0
        for record in records:
            assert b"tel:" not in record.value
            if record.headers.get("redacted") == b'[""]':
                assert record.value == b"null"
                assert record.headers["ce_type"].startswith(b"queue.")
                dropped += 1
            elif record.headers.get("redacted") == b'["/participants"]':
                assert orjson.loads(record.value)["participants"] is None
                redacted += record.position is not None
            elif record.position is not None:
                assert record.value == truth[record.position]
        assert redacted
        assert dropped
        audited = await asyncio.to_thread(_audit, it)
        assert audited.returncode == 0, audited.stdout + audited.stderr
