"""Fixtures for everybody: brokers, and the bridge as a process."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest

from tests.support import broker
from tests.support.bridge_process import BridgeProcess, Configuration
from tests.support.schedule import Schedule, longest_first
from tests.support.seed import TOLD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from xdist.remote import Producer

    from tests.support.maven_broker import MavenBroker

_A_CORE = 2

if "CI" not in os.environ:  # there Hypothesis takes its own profile: the same examples every time, no deadline
    hypothesis.settings.register_profile("unhurried", deadline=None)  # a busy machine is no fault
    hypothesis.settings.load_profile("unhurried")


def pytest_xdist_auto_num_workers() -> int:
    """How many tests run at the same time: scenarios wait more than they compute."""
    return _A_CORE * (os.cpu_count() or 1)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Schedule:
    """Which of them run where."""
    config.option.loadscopereorder = False
    return Schedule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first."""
    items.sort(key=longest_first)


def pytest_report_header() -> str:
    """Print the seed."""
    return TOLD


class OwnBroker(Protocol):
    """What the fixture ``own_broker`` gives: a call starts one more broker, ended after the test."""

    def __call__(self, *, proxied: bool = False, settings: Mapping[str, str] | None = None) -> MavenBroker:
        """Start a broker, on request behind a proxy, with broker settings besides the defaults."""
        ...


_SETTINGS = {
    # time-outs of transactions, compaction and retention act within a second, not within minutes
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "300",
    "log.cleaner.backoff.ms": "300",
    "log.initial.task.delay.ms": "1000",
    "log.retention.check.interval.ms": "1000",
    "file.delete.delay.ms": "1000",
    "group.min.session.timeout.ms": "1000",
    # as short under KIP-848, where the brokers decide
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "300",
    # permissions exist where a test sets them
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


@pytest.fixture(scope="session")
def worker_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MavenBroker]:
    """The one broker of these tests: of each process's, where several run them at the same time."""
    started = broker.own_broker(tmp_path_factory.mktemp("kafka"), proxied=True, settings=_SETTINGS)
    yield started
    started.close()


@pytest.fixture
def lane_broker(worker_broker: MavenBroker) -> Iterator[MavenBroker]:
    """That broker for a test that may kill and freeze it; for the next one it serves again, and has no topics."""
    yield worker_broker
    worker_broker.restore()
    broker.delete_topics(worker_broker.bootstrap)


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[str]:
    """Bootstrap servers of a broker that is not ours to kill, where there is one; else empty."""
    with broker.broker_elsewhere() as bootstrap:
        yield bootstrap


@pytest.fixture
def kafka(elsewhere: str, request: pytest.FixtureRequest) -> str:
    """Bootstrap servers of a broker that others may use too: use names of your own (``broker.fresh_name``)."""
    if elsewhere:
        return elsewhere
    ours: MavenBroker = request.getfixturevalue("lane_broker")
    return ours.bootstrap


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
