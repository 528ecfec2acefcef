"""Topics with a schema: a registry that is away at the start and later, events that do not fit, rotations, kill -9."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.fakes.registry import FakeRegistry, fake_registry
from tests.support.ledger import Record, compare
from tests.support.scenario import STREAM, Scenario, platform
from tests.support.stage import Stage

JSON = {"type": "object", "properties": {"sequenceId": {"not": {"multipleOf": 10}}}}
"""Every tenth event does not fit."""
AVRO = {"type": "record", "name": "Event", "fields": [{"name": "sequenceId", "type": "long"}]}
FRAME = 5
FACTS: dict[str, Any] = {"rate": 100, "token_life_s": 4, "retention_s": 600}


def _written(stage: Stage, name: str, schema: Mapping[str, object]) -> str:
    path = stage.directory / name
    path.write_text(json.dumps(schema), encoding="utf-8")
    return str(path)


async def _audited(it: Scenario) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("ccaas-bridge")), "audit", "-c", str(it.directory / "bridge.yaml")]
    options = ["--stream", STREAM]
    return await asyncio.to_thread(
        subprocess.run, [*command, *options], capture_output=True, text=True, check=False, env=dict(os.environ)
    )


def _unframed(records: tuple[Record, ...]) -> list[Record]:
    return [replace(record, value=record.value[FRAME:]) for record in records]


async def _waits_for_the_registry(it: Scenario, registry: FakeRegistry) -> None:
    """Alive, and told why; no socket opens."""
    await it.alive()
    await it.until(lambda: it.failures("network"), "a failure to be told")
    assert "schema of topic" in it.failures("network")[0]["detail"]
    assert not it.sockets()
    registry.away = False


async def test_json_schema_with_a_registry_away_at_start_and_later(stage: Stage) -> None:
    """The stream waits, then goes on without the registry; what does not fit is a dead letter; nothing is lost."""
    with fake_registry() as registry:
        registry.away = True
        schema_file = _written(stage, "event.schema.json", JSON)
        stream = {"name": STREAM, "start": "earliest", "value": "json-schema", "schema_file": schema_file}
        section = {"url": registry.url, "timeout_seconds": 2}
        async with Scenario(stage, platform(**FACTS), stream, schema_registry=section) as it:
            await _waits_for_the_registry(it, registry)
            await it.ready()
            registry.away = True
            await it.rotated(2)
            await it.flowing(50)
            await it.drained()
            await it.stop()
            events = await it.records(it.topic)
            letters = await it.records(f"{it.group}.dead-letter")
            truth = {item.position: item.data for item in it.simulator.items(STREAM)}
            assert registry.subjects == {f"{it.topic}-value": [1]}
            assert {record.value[:FRAME] for record in events} == {b"\x00\x00\x00\x00\x01"}
            fitting = [(position, raw) for position, raw in truth.items() if position % 10]
            assert compare(fitting, _unframed(events)).held
            assert {int(record.headers["covers"]): record.value for record in letters} == {
                position: raw for position, raw in truth.items() if position % 10 == 0
            }
            assert {record.headers["reason"] for record in letters} == {b"schema"}
            audited = await _audited(it)
            assert audited.returncode == 0, audited.stdout


async def test_avro_across_kill9_is_read_by_confluents_deserializer(stage: Stage) -> None:
    """Each position once, in order, of what the schema names."""
    with fake_registry() as registry:
        stream = {
            "name": STREAM,
            "start": "earliest",
            "value": "avro",
            "schema_file": _written(stage, "event.avsc", AVRO),
        }
        section = {"url": registry.url}
        async with Scenario(stage, platform(**FACTS), stream, schema_registry=section) as it:
            await it.ready()
            await it.flowing(50)
            await it.kill9()
            await it.start()
            await it.ready()
            await it.rotated(1)
            await it.drained()
            await it.stop()
            records = await it.records(it.topic)
            with SchemaRegistryClient({"url": registry.url}) as client:
                read, context = AvroDeserializer(client), SerializationContext(it.topic, MessageField.VALUE)
                assert all(read(record.value, context) == {"sequenceId": record.position} for record in records)
            truth = [(item.position, b"") for item in it.simulator.items(STREAM)]
            assert compare(truth, [replace(record, value=b"") for record in records]).held
            audited = await _audited(it)
            assert audited.returncode == 0, audited.stdout
