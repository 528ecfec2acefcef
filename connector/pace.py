"""How many sockets a worker opens at once: neither a platform nor the event loop is to be flooded.

A thousand streams that begin together, or that were all given a new token, take turns. Recovery from a lost network has
its jitter instead, and an emergency waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TURN_S = 1.0
"""A turn is over after so long: a platform that is slow to answer must not keep others' tokens from being replaced."""


class DialPace:
    """The turns of one worker's streams, first come, first served."""

    def __init__(self, max_parallel: int) -> None:
        self._turns = asyncio.Semaphore(max_parallel)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it while the body runs, at most :data:`TURN_S`."""
        await self._turns.acquire()
        over = False

        def end() -> None:
            nonlocal over
            if not over:
                over = True
                self._turns.release()

        timer = asyncio.get_running_loop().call_later(TURN_S, end)
        try:
            yield
        finally:
            timer.cancel()
            end()
