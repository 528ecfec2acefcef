"""How many sockets a worker opens at once."""

from __future__ import annotations

import asyncio

import pytest

from connector import pace
from connector.pace import DialPace


class _Dials:
    """Dials that take as long as the test says; ``under_way`` in the order in which their turns came."""

    def __init__(self, max_parallel: int) -> None:
        self._pace = DialPace(max_parallel)
        self._done = asyncio.Event()
        self.under_way: list[int] = []

    async def dial(self, number: int) -> None:
        async with self._pace.turn():
            self.under_way.append(number)
            await self._done.wait()

    def begin_again(self) -> None:
        self._done.clear()

    def finish(self) -> None:
        self._done.set()


async def _turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_than_so_many_at_once() -> None:
    """The others follow in their order."""
    dials = _Dials(2)
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(dials.dial(number))
        await _turns()
        assert dials.under_way == [0, 1]
        dials.finish()
    assert dials.under_way == [0, 1, 2, 3, 4]


async def test_slow_platform_does_not_keep_the_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dial that is not answered loses its turn, and gives nobody two when it ends."""
    monkeypatch.setattr(pace, "TURN_S", 0.0)
    dials = _Dials(1)
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(dials.dial(number))
        await _turns()
        assert dials.under_way == [0, 1, 2]
        dials.finish()
    monkeypatch.setattr(pace, "TURN_S", 60.0)
    dials.begin_again()
    async with asyncio.TaskGroup() as group:
        for number in range(3, 5):
            group.create_task(dials.dial(number))
        await _turns()
        assert dials.under_way == [0, 1, 2, 3]
        dials.finish()


async def test_who_is_cancelled_while_waiting_takes_no_turn() -> None:
    """A stream that stops before its turn leaves the turn to the next."""
    dials = _Dials(1)
    first, second, third = (asyncio.ensure_future(dials.dial(number)) for number in range(3))
    await _turns()
    second.cancel()
    dials.finish()
    await asyncio.gather(first, third)
    assert dials.under_way == [0, 2]
    assert second.cancelled()
