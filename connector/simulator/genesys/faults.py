"""The faults that are in force: windows of time. Pure; instants are seconds on the machine's clock."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RestTrouble:
    """REST requests whose path matches are refused with a status, or (status 0) answered late."""

    until_s: float
    path: re.Pattern[str]
    status: int = 0
    retry_after_s: float | None = None
    delay_s: float = 0.0

    def meets(self, path: str, now_s: float) -> bool:
        """Whether it is in force for the path."""
        return now_s < self.until_s and self.path.search(path) is not None


@dataclass(slots=True)
class Faults:
    """What is wrong with the platform.

    ``vanished_until_s``: channels answer 404 though they live. ``one_sided_until_s``: what several sockets should get,
    only one gets. ``late``: channel (None: all) → until when notifications are so many seconds late.
    ``forbidden``: beginnings of topics that no client has the permission for.
    """

    rest: list[RestTrouble] = field(default_factory=list)
    handshakes_refused_until_s: float = 0.0
    handshake_status: int = 503
    vanished_until_s: float = 0.0
    one_sided_until_s: float = 0.0
    reorder_until_s: float = 0.0
    late: dict[str | None, tuple[float, float]] = field(default_factory=dict)
    forbidden: list[str] = field(default_factory=list)

    def trouble(self, path: str, now_s: float) -> RestTrouble | None:
        """What a REST request meets; the latest order counts."""
        return next((each for each in reversed(self.rest) if each.meets(path, now_s)), None)

    def delay_s(self, channel_id: str, now_s: float) -> float:
        """How late a notification is on this channel."""
        found = (self.late.get(key) for key in (channel_id, None))
        return next((delay_s for until_s, delay_s in filter(None, found) if now_s < until_s), 0.0)
