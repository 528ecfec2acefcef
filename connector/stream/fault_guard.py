"""A fault of the bridge's own in one stream must not end the others: tasks and callbacks under guard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import structlog

_log = structlog.get_logger("connector.app")

Faulty = Callable[[str, Exception], None]
"""Told the stream and its fault."""


class FaultGuard:
    """Guards tasks and callbacks of one stream; ``faulty`` hears of what they raise."""

    def __init__(self, group: asyncio.TaskGroup, stream: str, faulty: Faulty) -> None:
        self._group = group
        self._stream = stream
        self._faulty = faulty

    def spawn(self, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Start a task that the worker's task group owns."""
        return self._group.create_task(self._run(coroutine))

    def guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback of the event loop."""

        def call(*arguments: object) -> None:
            try:
                callback(*arguments)
            except Exception as error:  # noqa: BLE001 - a fault in one stream must not end the others
                self._tell(error)

        return call

    async def _run(self, coroutine: Coroutine[object, object, None]) -> None:
        try:
            await coroutine
        except Exception as error:  # noqa: BLE001 - a fault in one stream must not end the others
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        _log.error("a fault of the bridge in one stream", stream=self._stream, exc_info=error)
        self._faulty(self._stream, error)
