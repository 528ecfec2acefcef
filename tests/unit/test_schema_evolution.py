"""A published schema changes only so that old readers take new records, and new readers old ones (docs/schemas.md)."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pytest

from tests.support.evolution import incompatibilities
from tests.unit.test_schemas import EXAMPLES

_ROOT = Path(__file__).parents[2]
_SCHEMAS = _ROOT / "schemas"
_RELEASED = _ROOT / "tests" / "published" / "released"
_JSON = sorted(_RELEASED.glob("*.schema.json"))
_AVRO = sorted(_RELEASED.glob("*.avsc"))


def _name(path: Path) -> str:
    return path.name


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("released", _JSON, ids=_name)
def test_json_schema_is_compatible_with_the_released(released: Path) -> None:
    """Nothing that was published is gone, renamed, narrowed or widened."""
    assert list(incompatibilities(_read(released), _read(_SCHEMAS / released.name))) == []


def _avro_example(name: str) -> dict[str, Any]:
    """The Avro form of the example of a kind."""
    kind = name.partition(".")[0]
    if kind == "snapshot-mark":
        return dict(EXAMPLES["snapshot"]["value"])
    return {field.replace("-", "_"): value for field, value in EXAMPLES[kind].items()}  # type: ignore[index]  # a kind


@pytest.mark.parametrize("released", _AVRO, ids=_name)
def test_avro_is_read_across_releases(released: Path) -> None:
    """Avro's own resolution: written with either schema, read with the other."""
    record = _avro_example(released.name)
    old, new = _read(released), _read(_SCHEMAS / released.name)
    for writer, reader in ((old, new), (new, old)):
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, writer, record)
        buffer.seek(0)
        found = fastavro.schemaless_reader(buffer, writer, reader)
        assert isinstance(found, dict)
        known = {field["name"] for field in old["fields"]} & record.keys()
        assert {name: found[name] for name in known} == {name: record[name] for name in known}


@pytest.mark.parametrize("path", sorted(_SCHEMAS.glob("*.avsc")), ids=_name)
def test_avro_and_json_schema_know_the_same_fields(path: Path) -> None:
    """Each field of one is in the other; the optional ones are the same."""
    fields = {field["name"]: field for field in _read(path)["fields"]}
    if path.name.startswith("snapshot-mark"):
        schema = _read(_SCHEMAS / "snapshot.v1.schema.json")["then"]["properties"]["value"]
    else:
        schema = _read(_SCHEMAS / path.name.replace(".avsc", ".schema.json"))
    names = {name.replace("-", "_") for name, field in schema["properties"].items() if field}
    assert set(fields) == names
    assert {name for name, field in fields.items() if "default" not in field} == {
        name.replace("-", "_") for name in schema["required"]
    }


def _remove(schema: dict[str, Any]) -> None:
    del schema["properties"]["reason"]


def _retype(schema: dict[str, Any]) -> None:
    schema["properties"]["epoch"]["type"] = "string"


def _require(schema: dict[str, Any]) -> None:
    schema["properties"]["shard"] = {"type": "string"}
    schema["required"].append("shard")


def _release_from_duty(schema: dict[str, Any]) -> None:
    schema["required"].remove("reason")


def _one_more_reason(schema: dict[str, Any]) -> None:
    schema["properties"]["reason"]["enum"].append("weather")


def _narrow(schema: dict[str, Any]) -> None:
    schema["properties"]["from"]["minimum"] = 1


@pytest.mark.parametrize("change", [_remove, _retype, _require, _release_from_duty, _one_more_reason, _narrow])
def test_incompatible_change_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    """Each kind of change that breaks somebody is found."""
    old = _read(_SCHEMAS / "gap.v1.schema.json")
    new = copy.deepcopy(old)
    change(new)
    assert list(incompatibilities(old, new))


def test_new_optional_field_and_other_words_are_taken() -> None:
    """What readers ignore may come."""
    old = _read(_SCHEMAS / "gap.v1.schema.json")
    new = copy.deepcopy(old)
    new["properties"]["shard"] = {"type": "string"}
    new["properties"]["reason"]["description"] = "Said better."
    assert list(incompatibilities(old, new)) == []
