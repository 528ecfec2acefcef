"""Records against the published schemas, JSON Schema and Avro: what integration tests hold every record to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import fastavro
import fastavro.validation
from fastavro.types import Schema
from jsonschema import Draft202012Validator

Kind = Literal[
    "checkpoint",
    "control",
    "gap",
    "notification",
    "dead-letter-headers",
    "event-headers",
    "snapshot",
    "genesys-sequence-event",
    "nice-offset-event",
]
Headers = Sequence[tuple[str, str | bytes | None]]

_SCHEMAS = Path(__file__).parents[1] / "schemas"


def validate(kind: Kind, document: bytes | str | Mapping[str, object] | Headers) -> None:
    """Raise ``AssertionError`` with every fault unless the document is what its schema says.

    Takes a record's value (bytes or text of JSON), a mapping, or a record's headers as Kafka's client gives them.
    """
    if isinstance(document, bytes | str):
        instance = json.loads(document)
    elif isinstance(document, Mapping):
        instance = dict(document)
    else:
        instance = headers_as_mapping(document)
    faults = sorted(f"{error.json_path}: {error.message}" for error in validator(kind).iter_errors(instance))
    assert not faults, "\n".join([f"{kind}: {len(faults)} faults", *faults, repr(instance)])
    if (schema := avro(kind)) is not None:
        fastavro.validation.validate({name.replace("-", "_"): each for name, each in instance.items()}, schema)


def validate_snapshot_record(headers: Headers, value: bytes) -> None:
    """A record of a snapshot: its headers and its value, which is JSON."""
    validate("snapshot", {"headers": headers_as_mapping(headers), "value": json.loads(value)})


def headers_as_mapping(headers: Headers) -> dict[str, object]:
    """Headers by name, as text; a header that comes twice is a fault."""
    found: dict[str, object] = {}
    for name, value in headers:
        assert name not in found, f"the header {name} comes twice"
        found[name] = value.decode("utf-8") if isinstance(value, bytes) else value
    return found


@cache
def validator(kind: Kind) -> Draft202012Validator:
    """The validator of the newest version of a schema; formats are checked."""
    schema = json.loads((_SCHEMAS / f"{kind}.v1.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


@cache
def avro(kind: str) -> Schema | None:
    """The same as an Avro schema, where there is one; hyphens are underscores in its names."""
    file = _SCHEMAS / f"{kind}.v1.avsc"
    return fastavro.parse_schema(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
