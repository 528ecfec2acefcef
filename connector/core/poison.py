"""When unreadable items come so often that somebody must look: once an episode. Pure."""

from __future__ import annotations

from collections import deque

ALERT_ITEMS = 10
WINDOW_S = 60.0
"""A platform sends none for months; so many within a minute are no accident of one. A minute without any ends it."""


class PoisonRate:
    """One stream's unreadable items."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=ALERT_ITEMS)
        self._told = False

    def trips(self, now: float) -> bool:
        """One more; True where it makes them too many, for the first time in this episode."""
        if self._recent and now - self._recent[-1] >= WINDOW_S:
            self._told = False
        self._recent.append(now)
        many = len(self._recent) == ALERT_ITEMS and now - self._recent[0] < WINDOW_S
        trips, self._told = many and not self._told, many or self._told
        return trips
