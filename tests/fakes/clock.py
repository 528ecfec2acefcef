"""A clock that the test moves."""

from __future__ import annotations

import asyncio


class FakeClock:
    """Implements :class:`connector.ports.Clock`."""

    def __init__(self, instant_s: float = 1000.0) -> None:
        self._instant_s = instant_s
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        """The instant the test has set."""
        return self._instant_s

    async def sleep_until(self, instant_s: float) -> None:
        """Until the test has moved the clock that far."""
        if instant_s <= self._instant_s:
            return
        due: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((instant_s, due))
        await due

    def advance(self, seconds: float) -> None:
        """Move on, and wake who has slept long enough."""
        self._instant_s += seconds
        woken = [due for at, due in self._sleepers if at <= self._instant_s]
        self._sleepers = [(at, due) for at, due in self._sleepers if at > self._instant_s]
        for due in woken:
            if not due.done():
                due.set_result(None)
