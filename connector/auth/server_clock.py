"""The clock of an OAuth server, as its answers tell it: what assertions are dated by."""

from __future__ import annotations

from collections.abc import Callable

from connector.ports import Clock


class ServerClock:
    """By Date where the server sends it; else a guess by the ``iat`` of its tokens; until then the local wall clock.

    A guess is dropped as soon as it is doubted: some servers date their tokens minutes back. Between answers our own
    clock counts on, so that a step of the wall clock changes nothing.
    """

    def __init__(self, clock: Clock, wall_s: Callable[[], float]) -> None:
        self._clock = clock
        self._wall_s = wall_s
        self._told: tuple[float, float] | None = None  # (the server's epoch seconds, our instant)
        self._guess: tuple[float, float] | None = None

    def now_s(self) -> float:
        """Seconds since the epoch."""
        known = self._told or self._guess
        return self._wall_s() if known is None else known[0] + self._clock.now() - known[1]

    def told(self, date_s: float | None) -> None:
        """An answer came, with its Date if it had one."""
        if date_s is not None:
            self._told = date_s, self._clock.now()

    def guess(self, iat_s: float | None) -> None:
        """A token came; it is hardly older than its answer."""
        if iat_s is not None:
            self._guess = iat_s, self._clock.now()

    def doubt(self) -> None:
        """The server refused what was dated by this clock."""
        self._guess = None
