"""Topics with a schema: what the configuration may say, and what is told of its faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connector.errors import ConfigurationError
from connector.registry.plan import FormPlan
from connector.settings import Settings, load
from connector.worker import plans

AVRO = {"type": "record", "name": "Event", "fields": [{"name": "sequenceId", "type": "long"}]}
REGISTRY = {"url": "https://registry.example.com", "username": "bridge", "password": "hush-hush-71"}


def settings(tmp_path: Path, *streams: dict[str, Any], registry: dict[str, Any] | None = None) -> Settings:
    """The configuration of these streams."""
    document = {
        "group": "wfm-bridge",
        "kafka": {"bootstrap_servers": "127.0.0.1:9092"},
        "platforms": {
            "genesys": {
                "kind": "genesys-sequence",
                "stream_url": "wss://p.example.com/stream/{channel}",
                "auth": {"token_url": "https://p.example.com/token", "client_id": "id", "client_secret": "s"},
            }
        },
        "streams": [{"name": f"s{n}", "platform": "genesys", "topic": "events", **s} for n, s in enumerate(streams)],
    } | ({} if registry is None else {"schema_registry": registry})
    path = tmp_path / "bridge.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return load(path, {})


@pytest.fixture
def avro(tmp_path: Path) -> str:
    """A schema's file."""
    path = tmp_path / "event.avsc"
    path.write_text(json.dumps(AVRO), encoding="utf-8")
    return str(path)


def test_topics_with_a_schema_each_once(tmp_path: Path, avro: str) -> None:
    """Routes take the stream's unless they say otherwise; raw ones are left out."""
    streams: list[dict[str, Any]] = [
        {
            "value": "avro",
            "schema_file": avro,
            "routes": [
                {"match": {"event_type": "a.*"}, "topic": "agents"},
                {"match": {"event_type": "b.*"}, "topic": "bots", "value": "raw"},
                {"match": {"event_type": "c.*"}, "topic": "calls", "value": "json-schema"},
            ],
        },
        {"value": "avro", "schema_file": avro},
        {"topic": "other"},
    ]
    found = plans.forms(settings(tmp_path, *streams, registry=REGISTRY).streams)
    assert found == [
        FormPlan("events", "avro", Path(avro)),
        FormPlan("agents", "avro", Path(avro)),
        FormPlan("calls", "json-schema", None),
    ]


def test_registry_is_told_without_its_password(tmp_path: Path) -> None:
    """In no representation."""
    read = settings(tmp_path, {"value": "avro"}, registry=REGISTRY).schema_registry
    assert read is not None
    plan = plans.registry(read)
    assert plan.credentials == ("bridge", "hush-hush-71")
    assert "hush-hush-71" not in f"{read!r}{plan!r}"


@pytest.mark.parametrize(
    ("stream", "registry", "fault"),
    [
        ({"value": "avro"}, None, "streams.0.value: needs schema_registry"),
        ({"value": "xml"}, REGISTRY, "streams.0.value: should be 'raw', 'json-schema' or 'avro'"),
        ({"schema_file": "{avro}"}, REGISTRY, "streams.0.schema_file: belongs to value: json-schema or avro"),
        ({"value": "avro", "schema_file": "/none"}, REGISTRY, "streams.0.schema_file: cannot be read"),
        ({"value": "avro", "schema_file": "{text}"}, REGISTRY, "streams.0.schema_file: holds no JSON"),
        ({"value": "avro", "schema_file": "{list}"}, REGISTRY, "streams.0.schema_file: holds no Avro schema"),
        ({"value": "json-schema", "schema_file": "{avro}"}, REGISTRY, "streams.0.schema_file: holds no JSON schema"),
        (
            {"value": "avro"},
            {**REGISTRY, "subject": "record"},
            "streams.0.schema_file: required with schema_registry.subject: record",
        ),
        ({"value": "avro"}, {"url": "https://r", "username": "u"}, "schema_registry.password: username and password"),
        ({"value": "avro"}, {"url": "https://r", "ca_file": "/none"}, "schema_registry.ca_file: cannot be read"),
        (
            {"value": "avro", "routes": [{"match": {"event_type": "x"}, "topic": "events", "value": "raw"}]},
            REGISTRY,
            "streams.0.routes.0.value: topic events has another value or schema_file elsewhere",
        ),
    ],
)
def test_fault_is_told(
    tmp_path: Path, avro: str, stream: dict[str, Any], registry: dict[str, Any] | None, fault: str
) -> None:
    """With its path, at the start."""
    for name, content in (("text", "nothing"), ("list", '[{"type": "gone"}]')):
        (tmp_path / name).write_text(content, encoding="utf-8")
    files = {"{avro}": avro, "{text}": str(tmp_path / "text"), "{list}": str(tmp_path / "list")}
    given = {key: files.get(value, value) if isinstance(value, str) else value for key, value in stream.items()}
    with pytest.raises(ConfigurationError) as told:
        settings(tmp_path, given, registry=registry)
    assert fault in str(told.value)


def test_two_streams_write_a_topic_alike(tmp_path: Path) -> None:
    """A reader of the topic has one deserializer."""
    with pytest.raises(ConfigurationError, match=r"streams\.1\.value: topic events has another value"):
        settings(tmp_path, {"value": "avro"}, {}, registry=REGISTRY)
