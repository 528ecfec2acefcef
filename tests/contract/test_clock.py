"""The contract of :class:`connector.ports.Clock`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from connector.clock import BootClock
from connector.ports import Clock
from tests.fakes.clock import FakeClock

Advance = Callable[[float], Awaitable[None]]


@pytest.fixture(params=["fake", "real"])
def clock_and_advance(request: pytest.FixtureRequest) -> tuple[Clock, Advance]:
    """A clock, and how its time passes."""
    if request.param == "real":
        return BootClock(), asyncio.sleep
    fake = FakeClock()

    async def advance(seconds: float) -> None:
        await asyncio.sleep(0)
        fake.advance(seconds)
        await asyncio.sleep(0)

    return fake, advance


async def test_time_passes(clock_and_advance: tuple[Clock, Advance]) -> None:
    """Differences are seconds; it never goes back."""
    clock, advance = clock_and_advance
    before = clock.now()
    await advance(0.02)
    assert clock.now() >= before + 0.0199


async def test_sleeper_wakes_at_its_instant(clock_and_advance: tuple[Clock, Advance]) -> None:
    """Not before it, and soon after it."""
    clock, advance = clock_and_advance
    until = clock.now() + 0.05
    sleeper = asyncio.create_task(clock.sleep_until(until))
    await advance(0.01)
    assert not sleeper.done()
    await advance(0.06)
    await asyncio.wait_for(sleeper, 5)
    assert clock.now() >= until


async def test_past_instant_returns_at_once(clock_and_advance: tuple[Clock, Advance]) -> None:
    """An instant that is over is not waited for."""
    clock, _ = clock_and_advance
    await asyncio.wait_for(clock.sleep_until(clock.now() - 1), 1)


async def test_sleeper_can_be_cancelled(clock_and_advance: tuple[Clock, Advance]) -> None:
    """Like any other wait."""
    clock, advance = clock_and_advance
    sleeper = asyncio.create_task(clock.sleep_until(clock.now() + 100))
    await advance(0.01)
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
    await advance(0.01)


async def test_two_sleepers_wake_in_order(clock_and_advance: tuple[Clock, Advance]) -> None:
    """Each at its own instant."""
    clock, advance = clock_and_advance
    woken: list[str] = []

    async def sleep(name: str, seconds: float) -> None:
        await clock.sleep_until(clock.now() + seconds)
        woken.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(sleep("later", 0.06))
        group.create_task(sleep("sooner", 0.02))
        await advance(0.04)
        await advance(0.04)
    assert woken == ["sooner", "later"]
