"""What integration tests share: names on a broker that may be frozen and killed, its proxy, and stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.lane import Site
from tests.support.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.endtxn_proxy import EndTxnProxy
    from tests.support.maven_broker import MavenBroker


@pytest.fixture
def proxy(lane_broker: MavenBroker) -> Iterator[EndTxnProxy]:
    """The proxy in front of the broker; whatever happened, nothing stays in its hands."""
    yield lane_broker.proxy
    lane_broker.proxy.delay(0.0)
    lane_broker.proxy.resume()
    lane_broker.proxy.release()


@pytest.fixture
def site(lane_broker: MavenBroker) -> Site:
    """Names of this test's own on that broker."""
    return Site(lane_broker.bootstrap)


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Stage:
    """A stage on any broker."""
    return Stage(kafka, tmp_path)


@pytest.fixture
def alone(lane_broker: MavenBroker, tmp_path: Path) -> Stage:
    """A stage on the broker that may be frozen and killed, and whose sessions may be short."""
    return Stage(lane_broker.bootstrap, tmp_path)
