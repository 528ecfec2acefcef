"""The contract of the schema registry: the fake, and a real Apicurio; what is written is read by Confluent's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from connector.errors import SchemaUnavailableError
from connector.model import Unfit
from connector.registry.client import look
from connector.registry.forms import Form
from connector.registry.plan import FormPlan, Kind, RegistryPlan
from tests.fakes.registry import fake_registry
from tests.support.apicurio import apicurio
from tests.support.broker import fresh_name

AVRO = {
    "type": "record",
    "name": "Event",
    "namespace": "com.example",
    "fields": [
        {"name": "sequenceId", "type": "long"},
        {"name": "note", "type": ["null", "string"], "default": None},
    ],
}
JSON = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "com.example.Event",
    "type": "object",
    "required": ["sequenceId"],
    "properties": {"sequenceId": {"type": "integer"}, "note": {"type": ["null", "string"]}},
}
RAW = b'{ "sequenceId": 7,  "note":"caf\\u00e9" }'
DOCUMENT = {"sequenceId": 7, "note": "café"}
MAGIC = b"\x00"

Reader = Callable[[bytes | None, SerializationContext], Any]
Subject = Literal["topic", "record", "topic-record"]


@pytest.fixture(scope="session", params=["fake", pytest.param("apicurio", marks=pytest.mark.tools)])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry for everybody."""
    if request.param == "fake":
        with fake_registry() as registry:
            yield registry.url
    else:
        with apicurio(tmp_path_factory.mktemp("apicurio")) as real:
            yield real


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Writes a schema's file; its record has a name of its own, so that the subject is new too."""

    def writer(schema: dict[str, Any]) -> Path:
        path = tmp_path / f"{fresh_name('schema')}.json"
        path.write_text(json.dumps(schema), encoding="utf-8")
        return path

    return writer


@pytest.fixture
def client(url: str) -> Iterator[SchemaRegistryClient]:
    """A consumer's, or that of whoever registers schemas."""
    with SchemaRegistryClient({"url": url}) as made:
        yield made


def reader(client: SchemaRegistryClient, kind: str) -> Reader:
    """A consumer's deserializer, which knows nothing but the registry."""
    read: Reader = AvroDeserializer(client) if kind == "avro" else JSONDeserializer(None, schema_registry_client=client)
    return read


def prepared(plan: FormPlan, registry: RegistryPlan) -> Form:
    """A form whose schema is known."""
    form = Form(plan, registry)
    asyncio.run(form.prepare())
    return form


@pytest.mark.parametrize("subject", ["topic", "record", "topic-record"])
@pytest.mark.parametrize(("kind", "schema"), [("avro", AVRO), ("json-schema", JSON)], ids=["avro", "json"])
def test_what_is_written_is_read_by_confluents_deserializers(
    url: str,
    client: SchemaRegistryClient,
    write: Callable[[dict[str, Any]], Path],
    kind: Kind,
    schema: dict[str, Any],
    subject: Subject,
) -> None:
    """Frame, id and content, under each rule for subjects; JSON keeps its bytes."""
    topic, title = fresh_name("events"), fresh_name("E").replace("-", "_")
    named = {**schema, "name": title} if kind == "avro" else {**schema, "title": f"com.example.{title}"}
    registry = RegistryPlan(url, subject=subject)
    value = prepared(FormPlan(topic, kind, write(named)), registry).serialise(RAW)
    assert isinstance(value, bytes)
    assert value.startswith(MAGIC)
    assert (value[5:] == RAW) is (kind == "json-schema")
    assert reader(client, kind)(value, SerializationContext(topic, MessageField.VALUE)) == DOCUMENT
    full = f"com.example.{title}"
    wanted = {"topic": f"{topic}-value", "record": full, "topic-record": f"{topic}-{full}"}[subject]
    newest = client.get_latest_version(wanted)
    assert newest.schema_id == int.from_bytes(value[1:5])


@pytest.mark.parametrize(("kind", "schema"), [("avro", AVRO), ("json-schema", JSON)], ids=["avro", "json"])
def test_newest_version_serves_where_there_is_no_file(
    url: str, client: SchemaRegistryClient, kind: Kind, schema: dict[str, Any]
) -> None:
    """Whoever owns the topic has registered it."""
    topic = fresh_name("events")
    kind_there = "AVRO" if kind == "avro" else "JSON"
    client.register_schema(f"{topic}-value", Schema(json.dumps(schema), kind_there))
    value = prepared(FormPlan(topic, kind, None), RegistryPlan(url, auto_register=False)).serialise(RAW)
    assert isinstance(value, bytes)
    assert reader(client, kind)(value, SerializationContext(topic, MessageField.VALUE)) == DOCUMENT


def test_schema_of_the_other_kind_is_refused(url: str, client: SchemaRegistryClient) -> None:
    """A subject with an Avro schema is no JSON schema's."""
    topic = fresh_name("events")
    client.register_schema(f"{topic}-value", Schema(json.dumps(AVRO), "AVRO"))
    with pytest.raises(SchemaUnavailableError, match="value: json-schema wants JSON"):
        prepared(FormPlan(topic, "json-schema", None), RegistryPlan(url))


def test_nothing_is_registered_where_that_is_not_allowed(
    url: str, client: SchemaRegistryClient, write: Callable[[dict[str, Any]], Path]
) -> None:
    """The stream waits, and the message says what to do; registered by somebody else it goes on."""
    topic = fresh_name("events")
    plan, registry = FormPlan(topic, "avro", write(AVRO)), RegistryPlan(url, auto_register=False)
    with pytest.raises(SchemaUnavailableError, match=r"404.*register it, or set schema_registry\.auto_register"):
        prepared(plan, registry)
    with pytest.raises(SchemaUnavailableError, match="404"):
        look(plan, registry)
    client.register_schema(f"{topic}-value", Schema(json.dumps(AVRO), "AVRO"))
    assert isinstance(prepared(plan, registry).serialise(RAW), bytes)


def test_a_look_registers_nothing(url: str, write: Callable[[dict[str, Any]], Path]) -> None:
    """``check`` changes nothing, and says what the start would do."""
    plan, registry = FormPlan(fresh_name("events"), "avro", write(AVRO)), RegistryPlan(url)
    assert "the bridge registers" in look(plan, registry)
    assert "the bridge registers" in look(plan, registry)
    prepared(plan, registry)
    assert look(plan, registry).startswith(f"{plan.topic}-value: schema ")


def test_incompatible_schema_is_refused(write: Callable[[dict[str, Any]], Path]) -> None:
    """By the registry's rule for the subject, at a look and at the start."""
    with fake_registry() as registry:
        registry.put("events-value", json.dumps(AVRO))
        registry.compatible = False
        other = {**AVRO, "fields": [{"name": "another", "type": "string"}]}
        plan = FormPlan("events", "avro", write(other))
        with pytest.raises(SchemaUnavailableError, match="breaks the subject's compatibility rule"):
            look(plan, RegistryPlan(registry.url))
        with pytest.raises(SchemaUnavailableError, match="409"):
            prepared(plan, RegistryPlan(registry.url))


@pytest.mark.parametrize(
    ("kind", "schema", "raw"),
    [
        ("avro", AVRO, b'{"sequenceId":"seven"}'),
        ("avro", AVRO, b"{}"),
        ("avro", AVRO, b'{"sequenceId":9223372036854775808}'),
        ("avro", AVRO, b"[1]"),
        ("avro", AVRO, b'"text"'),
        ("avro", AVRO, b'{"sequenceId":7,"note":1}'),
        ("json-schema", JSON, b"{}"),
        ("json-schema", JSON, b'{"sequenceId":7.5}'),
        ("json-schema", JSON, b"[1]"),
        ("json-schema", JSON, b"not json"),
    ],
)
def test_what_does_not_fit_is_told_as_such(
    url: str, write: Callable[[dict[str, Any]], Path], kind: Kind, schema: dict[str, Any], raw: bytes
) -> None:
    """Whatever it is; the next event goes its way."""
    form = prepared(FormPlan(fresh_name("events"), kind, write(schema)), RegistryPlan(url))
    unfit = form.serialise(raw)
    assert isinstance(unfit, Unfit)
    assert unfit.why
    assert isinstance(form.serialise(RAW), bytes)


def test_null_has_no_value(url: str, write: Callable[[dict[str, Any]], Path]) -> None:
    """What a route drops is null to readers of any kind."""
    form = prepared(FormPlan(fresh_name("events"), "avro", write(AVRO)), RegistryPlan(url))
    assert form.serialise(b"null") is None


def test_registry_is_asked_before_the_first_event_and_never_again(write: Callable[[dict[str, Any]], Path]) -> None:
    """Once a schema is known the registry may be away for good."""
    with fake_registry() as registry:
        form = prepared(FormPlan("events", "avro", write(AVRO)), RegistryPlan(registry.url))
        asked = list(registry.asked)
        registry.away = True
        assert all(isinstance(form.serialise(RAW), bytes) for _ in range(3))
        assert registry.asked == asked


def test_registry_that_is_away_fails_fast_for_all_and_is_asked_again(
    write: Callable[[dict[str, Any]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams that dial together hear of one failure."""
    monkeypatch.setattr("connector.registry.forms._AGAIN_S", 60.0)
    with fake_registry() as registry:
        registry.away = True
        form = Form(FormPlan("events", "avro", write(AVRO)), RegistryPlan(registry.url))

        async def together() -> list[object]:
            return list(await asyncio.gather(*(form.prepare() for _ in range(50)), return_exceptions=True))

        outcomes = asyncio.run(together())
        assert all(isinstance(outcome, SchemaUnavailableError) for outcome in outcomes)
        assert len(registry.asked) == 1
        monkeypatch.setattr("connector.registry.forms._AGAIN_S", 0.0)
        registry.away = False
        asyncio.run(form.prepare())
        assert isinstance(form.serialise(RAW), bytes)


def test_password_is_shown_to_the_registry_alone(write: Callable[[dict[str, Any]], Path]) -> None:
    """Basic authentication; no error and no repr has it."""
    with fake_registry() as registry:
        registry.credentials = ("bridge", "pass:word")
        right = RegistryPlan(registry.url, credentials=registry.credentials)
        plan = FormPlan("events", "avro", write(AVRO))
        assert isinstance(prepared(plan, right).serialise(RAW), bytes)
        with pytest.raises(SchemaUnavailableError, match="401") as refused:
            prepared(plan, replace(right, credentials=("bridge", "hush-hush")))
        assert "hush-hush" not in f"{refused.value!r}{refused.value}{right!r}"
