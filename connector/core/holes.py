"""What came behind a hole, kept until the hole is filled or proven. Bounded; knows nothing of sockets."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Generic

from connector.core.steps import Deliver, Item
from connector.model import GapReason


@dataclass(slots=True)
class Held(Generic[Item]):
    """An event behind a hole.

    ``previous``: the position before it on the socket that showed it, ``unreadable`` items stood between. ``opens``:
    how many sockets had been opened by then; a later one that skips the hole too proves it.
    """

    event: Deliver[Item]
    previous: int
    unreadable: int
    opens: int
    reason: GapReason

    def covered(self) -> bool:
        """Whether as many unreadable items as positions stood before it."""
        return self.event.position - self.previous - 1 == self.unreadable


class Holes(Generic[Item]):
    """Held events by position."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[int, Held[Item]] = {}
        self._order: list[int] = []
        self._doubted: dict[int, float] = {}
        self.newest_ms: int | None = None

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, position: int) -> bool:
        return position in self._held

    def get(self, position: int) -> Held[Item] | None:
        """The event held at the position."""
        return self._held.get(position)

    @property
    def first(self) -> Held[Item] | None:
        """The first event behind the first hole."""
        while self._order and self._order[0] not in self._held:
            heapq.heappop(self._order)
        return self._held[self._order[0]] if self._order else None

    def top(self) -> int:
        """The highest position held and not doubted; 0 where none is."""
        return max((position for position in self._held if position not in self._doubted), default=0)

    def hold(self, held: Held[Item]) -> int | None:
        """Keep an event, up to the limit: the lowest stay. Returns the position that had to go, if one had.

        One that is here already learns how it joins what is before it.
        """
        position, time_ms = held.event.position, held.event.time_ms
        known = self._held.get(position)
        if known is not None:
            if held.covered():
                known.previous, known.unreadable = held.previous, held.unreadable
            return None
        evicted = None
        if len(self._held) >= self._limit:
            evicted = max(position, *self._held)
            if evicted == position:
                return position
            self.remove(evicted)
        self._held[position] = held
        heapq.heappush(self._order, position)
        if time_ms is not None:
            self.newest_ms = time_ms if self.newest_ms is None else max(time_ms, self.newest_ms)
        return evicted

    def remove(self, position: int) -> Deliver[Item]:
        """Let go of an event."""
        event = self._held.pop(position).event
        self._doubted.pop(position, None)
        if not self._held:
            self._order.clear()
            self.newest_ms = None
        return event

    def doubt(self, first: int, last: int, until: float) -> list[int]:
        """The socket that showed these positions went on before them: they are held until then at most."""
        doubted = sorted(position for position in self._held if first <= position <= last)
        for position in doubted:
            self._doubted.setdefault(position, until)
        return doubted

    def deadline(self) -> float | None:
        """When the first doubt turns into disbelief."""
        return min(self._doubted.values(), default=None)

    def disbelieved(self, now: float) -> list[Deliver[Item]]:
        """Let go of events whose own socket contradicted them, and which the stream has not reached since."""
        return [self.remove(position) for position, until in sorted(self._doubted.items()) if now >= until]
