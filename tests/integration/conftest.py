"""What integration tests share: a broker behind a proxy, to be frozen and killed, and a stage for many at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.support import broker
from tests.support.chorus import Stage, begin_all
from tests.support.lane import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.endtxn_proxy import EndTxnProxy
    from tests.support.maven_broker import MavenBroker

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
def lane_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MavenBroker]:
    """The broker; a test leaves it running."""
    started = broker.own_broker(tmp_path_factory.mktemp("lanes"), proxied=True, settings=_SETTINGS)
    yield started
    started.close()


@pytest.fixture
def proxy(lane_broker: MavenBroker) -> Iterator[EndTxnProxy]:
    """The proxy in front of it; whatever happened, nothing stays in its hands."""
    yield lane_broker.proxy
    lane_broker.proxy.resume()
    lane_broker.proxy.release()


@pytest.fixture
def site(lane_broker: MavenBroker) -> Site:
    """Names of this test's own on that broker."""
    return Site(lane_broker.bootstrap)


@pytest_asyncio.fixture
async def alone(lane_broker: MavenBroker, tmp_path: Path) -> Stage:
    """A stage on that broker for a scenario that is alone: what it measures is its own."""
    return Stage(lane_broker.bootstrap, tmp_path, 1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(
    request: pytest.FixtureRequest, kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """Where tests run at the same time (``tests.support.chorus``)."""
    made = Stage(kafka, tmp_path_factory.mktemp("stage"))
    begin_all(made, request.session)
    yield made
    await made.close()
