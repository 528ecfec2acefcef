"""``schemas/asyncapi.yaml`` is AsyncAPI 3, and speaks of every schema and of the topics that there are."""

from __future__ import annotations

import copy
import fcntl
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

_SCHEMAS = Path(__file__).parents[2] / "schemas"
_SPECS = "@asyncapi/specs@6.11.1"
_FETCH_TIMEOUT_S = 300


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    """The specification's own JSON Schema."""
    return Draft7Validator(json.loads(_specification().read_text()))


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document."""
    return dict(yaml.safe_load((_SCHEMAS / "asyncapi.yaml").read_text()))


def _specification() -> Path:
    """The specification's schema, from its npm package, kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ccaas-kafka-bridge"
    cache.mkdir(parents=True, exist_ok=True)
    kept = cache / f"asyncapi-3.0.0-{_SPECS.rpartition('@')[2]}.json"
    with (cache / "asyncapi.lock").open("w") as lock, tempfile.TemporaryDirectory(dir=cache) as directory:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_file():
            npm = shutil.which("npm") or pytest.fail(
                f"AsyncAPI's schema comes from its npm package, {_SPECS}: apt-get install npm", pytrace=False
            )
            command = [npm, "pack", "--silent", _SPECS]
            subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=_FETCH_TIMEOUT_S)
            (package,) = Path(directory).glob("*.tgz")
            with tarfile.open(package) as archive:
                archive.extract("package/schemas/3.0.0.json", directory, filter="data")
            (Path(directory) / "package/schemas/3.0.0.json").rename(kept)
    return kept


def _references(part: Any) -> Iterator[str]:  # noqa: ANN401  # any part of the document
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    for each in part if isinstance(part, list) else ():
        yield from _references(each)


@pytest.mark.tools
def test_document_is_asyncapi(validator: Draft7Validator, document: dict[str, Any]) -> None:
    """The specification's schema finds nothing; it does find a misspelt keyword."""
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)] == []
    broken = copy.deepcopy(document)
    broken["channels"]["gaps"]["adress"] = broken["channels"]["gaps"].pop("address")
    assert list(validator.iter_errors(broken))


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """To a part of the document, or of a schema beside it."""
    for reference in _references(document):
        file, _, pointer = reference.partition("#")
        found: Any = json.loads((_SCHEMAS / file).read_text()) if file else document
        for token in filter(None, pointer.split("/")):
            found = found[token]


def test_every_schema_is_spoken_of(document: dict[str, Any]) -> None:
    """No JSON Schema is published without its topic."""
    spoken_of = {reference.partition("#")[0] for reference in _references(document)}
    assert {path.name for path in _SCHEMAS.glob("*.schema.json")} <= spoken_of
