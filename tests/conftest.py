"""Fixtures for everybody: brokers, and the bridge as a process."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest

from tests.support import broker
from tests.support.bridge_process import BridgeProcess, Configuration
from tests.support.seed import TOLD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.maven_broker import MavenBroker


if "CI" not in os.environ:  # there Hypothesis takes its own profile: the same examples every time, no deadline
    hypothesis.settings.register_profile("unhurried", deadline=None)  # a busy machine is no fault
    hypothesis.settings.load_profile("unhurried")


def pytest_report_header() -> str:
    """Print the seed."""
    return TOLD


class OwnBroker(Protocol):
    """What the fixture ``own_broker`` gives: a call starts one more broker, ended after the test."""

    def __call__(self, *, proxied: bool = False, settings: Mapping[str, str] | None = None) -> MavenBroker:
        """Start a broker, on request behind a proxy, with broker settings besides the defaults."""
        ...


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a broker shared by all tests: use names of your own (``broker.fresh_name``)."""
    with broker.shared_broker(tmp_path_factory.mktemp("kafka")) as bootstrap:
        yield bootstrap


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[OwnBroker]:
    """A factory of brokers that a test may kill, freeze and start again."""
    with contextlib.ExitStack() as stack:
        made = 0

        def start(*, proxied: bool = False, settings: Mapping[str, str] | None = None) -> MavenBroker:
            nonlocal made
            made += 1
            started = broker.own_broker(tmp_path / f"kafka{made}", proxied=proxied, settings=dict(settings or {}))
            stack.callback(started.close)
            return started

        yield start


class StartBridge(Protocol):
    """What the fixture ``bridge`` gives: a call starts a worker with this configuration, killed after the test."""

    def __call__(self, config: Configuration, *, name: str = "bridge") -> BridgeProcess:
        """Start a worker; it may not be ready yet."""
        ...


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[StartBridge]:
    """A factory of workers, each a process of its own."""
    with contextlib.ExitStack() as stack:

        def start(config: Configuration, *, name: str = "bridge") -> BridgeProcess:
            worker = BridgeProcess(tmp_path / name, config, name=name)
            stack.callback(worker.kill9)
            worker.start()
            return worker

        yield start
