"""A line to the registry: its client's configuration, what a topic's schema is, and its failures in words."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2 as httpx
import orjson
from confluent_kafka.schema_registry import (
    Schema,
    SchemaRegistryClient,
    SchemaRegistryError,
    record_subject_name_strategy,
    topic_record_subject_name_strategy,
    topic_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from connector.errors import SchemaUnavailableError
from connector.registry.plan import FormPlan, Kind, RegistryPlan

Serializer = Callable[[object, SerializationContext], bytes | None]

_NOT_FOUND = 404
_TYPES: dict[Kind, str] = {"json-schema": "JSON", "avro": "AVRO"}
_SUBJECTS = {
    "topic": topic_subject_name_strategy,
    "record": record_subject_name_strategy,
    "topic-record": topic_record_subject_name_strategy,
}


class Found(NamedTuple):
    """What the registry has for a topic, and what writes by it. It asks the registry for nothing any more."""

    subject: str
    schema_id: int
    serializer: Serializer


def connect(registry: RegistryPlan) -> SchemaRegistryClient:
    """A client that tries once: who asks for a schema asks again. Raises ``OSError`` where a file is no use."""
    system = ssl.get_default_verify_paths()
    options: dict[str, object] = {
        "url": registry.url,
        "timeout": registry.timeout_s,
        "max.retries": 0,
        "basic.auth.user.info": None if registry.credentials is None else ":".join(registry.credentials),
        "ssl.ca.location": registry.ca_file or system.cafile or system.capath,
        "ssl.certificate.location": registry.certificate_file,
        "ssl.key.location": registry.key_file,
    }
    return SchemaRegistryClient({name: _plain(value) for name, value in options.items() if value is not None})


def resolve(plan: FormPlan, registry: RegistryPlan, text: Callable[[object], bytes]) -> Found:
    """Find a topic's schema in the registry, or register it. Blocks; raises :class:`SchemaUnavailableError`.

    ``text`` gives a JSON value's bytes.
    """
    with _asking(plan, registry) as client:
        subject, schema = _wanted(plan, registry, client)
        if registry.auto_register and plan.schema_file is not None:
            client.register_schema(subject, schema)
        found = client.lookup_schema(subject, schema)  # the client keeps the answer for the serializer's own question
        return Found(subject, found.schema_id or 0, _serializer(plan.kind, client, schema, subject, text))


def look(plan: FormPlan, registry: RegistryPlan) -> str:
    """What :func:`resolve` would find, in words; nothing is registered. Blocks, raises as that one."""
    with _asking(plan, registry) as client:
        subject, schema = _wanted(plan, registry, client)
        try:
            found = client.lookup_schema(subject, schema)
        except SchemaRegistryError as error:
            if error.http_status_code != _NOT_FOUND or not registry.auto_register:
                raise
            if not _compatible(client, subject, schema):
                raise ValueError(f"{plan.schema_file} breaks the subject's compatibility rule") from error
            return f"{subject}: the bridge registers {plan.schema_file} at its start"
        return f"{subject}: schema {found.schema_id}"


@contextmanager
def _asking(plan: FormPlan, registry: RegistryPlan) -> Iterator[SchemaRegistryClient]:
    try:
        client = connect(registry)
        try:
            yield client
        finally:
            client.close()
    except (SchemaRegistryError, httpx.HTTPError, OSError, ValueError, TypeError, KeyError) as error:
        raise SchemaUnavailableError(f"schema of topic {plan.topic}: {_why(error)}") from error


def _wanted(plan: FormPlan, registry: RegistryPlan, client: SchemaRegistryClient) -> tuple[str, Schema]:
    """The subject and the schema: the file's, or the newest of the subject."""
    if plan.schema_file is not None:
        source = plan.schema_file.read_text(encoding="utf-8")
        return _subject(plan, registry, source), Schema(source, _TYPES[plan.kind])
    subject = f"{plan.topic}-value"
    schema = client.get_latest_version(subject).schema
    if schema.schema_type != _TYPES[plan.kind]:
        raise ValueError(f"{subject} is of type {schema.schema_type}, and value: {plan.kind} wants {_TYPES[plan.kind]}")
    return subject, schema


def _compatible(client: SchemaRegistryClient, subject: str, schema: Schema) -> bool:
    """Whether a schema that is not there may come; the first of a subject may."""
    try:
        return client.test_compatibility(subject, schema)
    except SchemaRegistryError as error:
        if error.http_status_code == _NOT_FOUND:
            return True
        raise


def _subject(plan: FormPlan, registry: RegistryPlan, schema: str) -> str:
    """The subject of a schema's text. Raises ``ValueError`` where it has no name and needs one."""
    document = orjson.loads(schema)
    record = document.get("title") if plan.kind == "json-schema" else _full_name(document)
    if registry.subject != "topic" and not record:
        raise ValueError("the schema has no title" if plan.kind == "json-schema" else "the schema has no name")
    return _SUBJECTS[registry.subject](SerializationContext(plan.topic, MessageField.VALUE), record) or ""


def _full_name(schema: dict[str, str]) -> str | None:
    name, namespace = schema.get("name"), schema.get("namespace")
    return f"{namespace}.{name}" if name and namespace and "." not in name else name


def _serializer(
    kind: Kind, client: SchemaRegistryClient, schema: Schema, subject: str, text: Callable[[object], bytes]
) -> Serializer:
    conf: dict[str, object] = {
        "auto.register.schemas": False,
        "subject.name.strategy": lambda _context, _record: subject,
    }
    serializer: Serializer = (
        AvroSerializer(client, schema, conf=conf)
        if kind == "avro"
        else JSONSerializer(schema, client, conf=conf, json_encode=text)
    )
    return serializer


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _why(error: Exception) -> str:
    """In words, with what is to be done."""
    if isinstance(error, SchemaRegistryError):
        hint = "; register it, or set schema_registry.auto_register" if error.http_status_code == _NOT_FOUND else ""
        return f"the registry answers {error.http_status_code}, {error.error_message}{hint}"
    if isinstance(error, httpx.HTTPError):
        return f"the registry does not answer: {type(error).__name__} {error}".rstrip()
    return f"{type(error).__name__}: {error}"
