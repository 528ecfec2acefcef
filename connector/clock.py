"""The bridge's clock: CLOCK_BOOTTIME where there is one.

asyncio's clock (CLOCK_MONOTONIC) stops while a machine is suspended, so a timer for a token's refresh would ring
too late after a resume. Here a sleep is at most a second long and the clock is asked again.
"""

from __future__ import annotations

import asyncio
import time

_LONGEST_SLEEP_S = 1.0


class BootClock:
    """Implements :class:`connector.ports.Clock`."""

    def __init__(self) -> None:
        self._id = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def now(self) -> float:
        """Seconds since boot, suspended time included."""
        return time.clock_gettime(self._id)

    async def sleep_until(self, instant_s: float) -> None:
        """Sleep in steps of at most a second until ``now`` has reached the instant."""
        while (left := instant_s - self.now()) > 0:  # noqa: ASYNC110 - a clock, not an event, is awaited
            await asyncio.sleep(min(left, _LONGEST_SLEEP_S))
