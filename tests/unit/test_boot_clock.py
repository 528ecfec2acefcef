"""The bridge's clock in a machine that was suspended."""

from __future__ import annotations

import asyncio
import time

import pytest

from connector.clock import BootClock


async def test_sleeper_notices_that_the_machine_was_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asyncio's own clock stood still meanwhile; the instant is noticed a second after waking, not an hour later."""
    clock, suspended_s = BootClock(), 0.0
    real = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda which: real(which) + suspended_s)
    sleeper = asyncio.create_task(clock.sleep_until(clock.now() + 3600))
    await asyncio.sleep(0.05)
    assert not sleeper.done()
    suspended_s = 4000.0
    async with asyncio.timeout(10):
        await sleeper
