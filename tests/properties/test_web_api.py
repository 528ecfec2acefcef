"""The management API against its own OpenAPI document: requests made up from it, answers held against it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.api_server import ServedApi, served_api

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def api() -> Iterator[ServedApi]:
    """A stream that runs, one that is stopped."""
    with served_api("wfm", "crm") as api:
        yield api


_SCHEMA = schemathesis.openapi.from_dict(json.loads(files("connector.web").joinpath("openapi.json").read_bytes()))
_OPERATIONS = {made.ok().label: made.ok() for made in _SCHEMA.get_all_operations() if isinstance(made, Ok)}


@pytest.mark.parametrize("label", _OPERATIONS)
def test_answers_are_as_documented(api: ServedApi, label: str) -> None:
    """Whatever is asked: a documented status, of the documented shape, and never a server error."""

    @given(case=_OPERATIONS[label].as_strategy(), name=st.sampled_from(["wfm", "crm", None]))
    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    def asked(case: schemathesis.Case[Any], name: str | None) -> None:
        if name is not None and "name" in case.path_parameters:
            case.path_parameters["name"] = name
        case.call_and_validate(base_url=api.url, checks=_CHECKS)

    asked()


def test_the_document_is_served(api: ServedApi) -> None:
    """As it is in the package, and of a version of OpenAPI that it says."""
    served = requests.get(f"{api.url}/openapi.json", timeout=5).json()
    assert served == _SCHEMA.raw_schema
    assert served["openapi"].startswith("3.1")
