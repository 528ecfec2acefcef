"""``schema_registry``, and what a topic's values may be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr

from connector.settings.addresses import HttpUrl, NonEmpty
from connector.settings.fields import Document, PositiveSeconds, Section, checked
from connector.settings.reach import tls_faults
from connector.settings.secret_files import Fault

Value = Literal["raw", "json-schema", "avro"]


def _faults(registry: Document) -> Iterator[Fault]:
    if (registry.get("username") is None) != (registry.get("password") is None):
        yield Fault(("password",), "username and password belong together")
    yield from tls_faults(registry)


def schema_faults(section: Document) -> Iterator[Fault]:
    """Look at the ``schema_file`` of a stream or a route, as far as it can be read without a registry."""
    path, value = section.get("schema_file"), section.get("value")
    if not isinstance(path, str | Path):
        return
    if value not in ("json-schema", "avro"):
        yield Fault(("schema_file",), "belongs to value: json-schema or avro")
        return
    try:
        text = Path(path).read_text(encoding="utf-8")
        schema = json.loads(text)
    except OSError as error:
        yield Fault(("schema_file",), f"cannot be read: {error.strerror or 'unknown error'} ({path})")
    except ValueError:
        yield Fault(("schema_file",), "holds no JSON")
    else:
        yield from _judge(schema, value)


def _judge(schema: Any, value: str) -> Iterator[Fault]:  # noqa: ANN401  # any JSON
    from fastavro import parse_schema  # noqa: PLC0415  # heavy, and needed by few
    from fastavro.schema import SchemaParseException, UnknownType  # noqa: PLC0415
    from jsonschema import SchemaError, validators  # noqa: PLC0415

    try:
        if value == "avro":
            parse_schema(schema)
        else:
            validators.validator_for(schema).check_schema(schema)
    except (SchemaParseException, UnknownType, KeyError, TypeError, AttributeError, ValueError):
        yield Fault(("schema_file",), "holds no Avro schema that stands alone")
    except SchemaError as error:
        yield Fault(("schema_file",), f"holds no JSON schema: fault at /{'/'.join(map(str, error.path))}")


class SchemaRegistrySettings(Section):
    """Where topics with ``value: json-schema`` or ``avro`` have their schemas: Confluent's API, or one like it."""

    url: HttpUrl = Field(description="`https://registry.example.com`; Apicurio: with `/apis/ccompat/v7`.")
    username: NonEmpty | None = Field(default=None, description="For Basic authentication.")
    password: SecretStr | None = Field(default=None, description="For Basic authentication.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    ca_file: Path | None = Field(
        default=None, description="PEM file with the authorities to trust; null: the system's."
    )
    certificate_file: Path | None = Field(default=None, description="PEM file with the client's own certificate.")
    key_file: Path | None = Field(default=None, description="PEM file with its key; null: in `certificate_file`.")
    timeout_seconds: PositiveSeconds = Field(default=5, le=60, description="Longest that an answer is waited for.")
    auto_register: bool = Field(
        default=True,
        description="Register a `schema_file` under its subject where it is not there yet; else somebody must have.",
    )
    subject: Literal["topic", "record", "topic-record"] = Field(
        default="topic",
        description=(
            "Subject of a schema: `{topic}-value`, `{record}` or `{topic}-{record}`; the record is an Avro schema's "
            "full name, a JSON schema's `title`."
        ),
    )
    _checked = checked(_faults, secrets=("password",))
