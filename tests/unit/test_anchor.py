"""Where a new stream begins, when the platform's snapshot is there and when it is not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from connector import telemetry
from connector.model import Checkpoint, DialFailure, FailureKind
from connector.stream.anchor import DUE, first_checkpoint
from tests.fakes.parts import STREAM, FakeParts
from tests.fakes.sink import FakeSink
from tests.fakes.source import FakeSnapshot

_BROKEN = DialFailure(FailureKind.REJECTED, "HTTP 500", 500)


class Site:
    """A stream without a checkpoint."""

    def __init__(self, start: str | int, *, patience_s: float = 300.0) -> None:
        self.fake = FakeParts(FakeSink())
        self.plan = replace(self.fake.plan, start=start, snapshot_patience_s=patience_s)
        self.begun = asyncio.get_running_loop().create_task(first_checkpoint(self.plan, self.fake.parts))

    async def passes(self, seconds: int) -> None:
        """Time passes; the platform's snapshot endpoint is broken all the while."""
        for _ in range(seconds):
            self.fake.clock.advance(1.0)
            for _ in range(10):
                if self.fake.source.waiting_for_snapshot and self.fake.source.snapshots.empty():
                    self.fake.source.snapshots.put_nowait(_BROKEN)
                await asyncio.sleep(0)

    def unanchored(self) -> list[telemetry.Event]:
        """What was told of a beginning without a position."""
        return [event for event in self.fake.told if isinstance(event, telemetry.Unanchored)]


@pytest.mark.parametrize(("start", "position"), [("earliest", 0), (7, 7)])
async def test_position_that_the_configuration_says(start: str | int, position: int) -> None:
    """Nobody is asked."""
    assert await Site(start).begun == Checkpoint(STREAM, position=position)


@pytest.mark.parametrize(("start", "due"), [("latest", None), ("snapshot", DUE)])
async def test_position_of_the_snapshot(start: str, due: str | None) -> None:
    """Its position is the beginning; with ``snapshot`` it is written as well."""
    site = Site(start)
    snapshot = FakeSnapshot(40, [])
    site.fake.source.snapshots.put_nowait(snapshot)
    site.fake.tokens.issue()
    assert await site.begun == Checkpoint(STREAM, position=40, snapshot_id=due)
    assert snapshot.closed


async def test_platform_without_a_snapshot() -> None:
    """Its present is the beginning, and it does not tell where that is."""
    site = Site("latest")
    site.fake.source.snapshots.put_nowait(None)
    site.fake.tokens.issue()
    assert await site.begun == Checkpoint(STREAM)
    assert site.unanchored() == []


@pytest.mark.parametrize(("start", "due"), [("latest", None), ("snapshot", DUE)])
async def test_broken_snapshot_endpoint_is_not_waited_for_without_end(start: str, due: str | None) -> None:
    """After ``snapshot.max_wait_seconds`` the stream begins without a position, and says so."""
    site = Site(start)
    site.fake.tokens.issue()
    await site.passes(250)
    assert not site.begun.done()
    await site.passes(60)
    assert await site.begun == Checkpoint(STREAM, snapshot_id=due)
    assert site.unanchored() == [telemetry.Unanchored(STREAM, 300.0)]


async def test_snapshot_that_hangs_is_not_waited_for_without_end() -> None:
    """A request that is never answered counts like one that fails."""
    site = Site("latest", patience_s=0.01)
    site.fake.tokens.issue()
    assert await site.begun == Checkpoint(STREAM)
    assert len(site.unanchored()) == 1


async def test_without_a_token_nobody_was_asked() -> None:
    """The patience counts from the first token: a stream without one could not read either."""
    site = Site("latest")
    await site.passes(1000)
    site.fake.tokens.issue()
    await site.passes(200)
    assert not site.begun.done()
    site.fake.source.snapshots.put_nowait(FakeSnapshot(40, []))
    await site.passes(60)
    assert await site.begun == Checkpoint(STREAM, position=40)
