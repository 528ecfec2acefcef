"""A quiet stream is complete too: its checkpoint says so while the platform shows that it lives (DESIGN.md §5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from connector.stream.parts import Parts, StreamPlan

_MARGIN_S = 1.0


class QuietWatch:
    """Every ``plan.quiet_s`` without an event, ``complete`` is told until when nothing is missing.

    That is the last sign of life of the socket: what the platform sent before it, TCP has delivered.
    """

    def __init__(
        self,
        plan: StreamPlan,
        parts: Parts,
        heard_at_s: Callable[[], float | None],
        complete: Callable[[int], None],
    ) -> None:
        """``heard_at_s``: the last sign of life, None where the stream is not live and whole."""
        self._every_s = plan.quiet_s
        self._parts = parts
        self._heard_at_s = heard_at_s
        self._complete = complete
        self._fresh = False
        self._timer: asyncio.TimerHandle | None = None
        self._look = parts.shared.guarded(self._looked)

    def start(self) -> None:
        """Watch from now on."""
        self.stop()
        if self._every_s is not None:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._look)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def fresh(self) -> None:
        """An event came: the stream is not quiet."""
        self._fresh = True

    def _looked(self) -> None:
        quiet, self._fresh = not self._fresh, False
        self.start()
        heard_at_s, platform_ms = self._heard_at_s(), self._parts.tokens.platform_time_ms()
        if quiet and heard_at_s is not None and platform_ms is not None:
            silent_s = self._parts.shared.clock.now() - heard_at_s
            self._complete(platform_ms - round((silent_s + _MARGIN_S) * 1000))
