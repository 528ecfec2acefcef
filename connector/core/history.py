"""What of a stream is accounted for: the steps of its history, and what waits to become one. Knows no sockets."""

from __future__ import annotations

from collections import Counter
from typing import Generic

from connector.core.holes import Holes
from connector.core.steps import Deliver, GapFound, Item, Step
from connector.core.unreadables import Unreadables
from connector.model import SOME_TIME, Checkpoint, Gap, GapReason, Lapse


class History(Generic[Item]):
    """Everything up to ``high`` is accounted for; None until the first event of a ``latest`` start.

    ``max_time_ms``: the latest event time up to there. ``holes`` has what came after the first missing position,
    ``unread`` the unreadable items since ``high`` and since each held position.
    """

    def __init__(self, checkpoint: Checkpoint, hold_limit: int) -> None:
        self.epoch = checkpoint.epoch
        self.high = checkpoint.position
        self.max_time_ms = checkpoint.event_time_ms
        self._holes: Holes[Item] = Holes(hold_limit)
        self._unread: Unreadables[Item] = Unreadables(checkpoint.dead_letters)
        self._unread_due: float | None = None
        self._steps: list[Step[Item]] = []

    def take(self) -> list[Step[Item]]:
        """What has become due, in order."""
        steps, self._steps = self._steps, []
        return steps

    @property
    def held(self) -> int:
        """Events held behind a hole."""
        return len(self._holes)

    def _later(self, event: Deliver[Item]) -> bool:
        """Whether the event is later than any that was seen, held ones too."""
        newest = self._holes.newest_ms
        return (
            event.time_ms is not None
            and self.max_time_ms is not None
            and event.time_ms > (self.max_time_ms if newest is None else max(newest, self.max_time_ms))
        )

    def _accept(self, event: Deliver[Item], covered: int, shown: Counter[str] | None = None) -> None:
        """Account for an event. ``shown``: the unreadable items that are known to be before it; others may not be."""
        before = self.high or 0
        self._release_unread(covered, shown)
        self._unread.passed()
        self._unread.move(before, event.position)
        self._steps.append(event)
        self.high = event.position
        if event.time_ms is not None:
            self.max_time_ms = max(event.time_ms, self.max_time_ms or event.time_ms)

    def _drain(self) -> None:
        """Account for what is held as far as it follows."""
        while (held := self._holes.first) is not None:
            high = self.high or 0
            missing = held.event.position - high - 1
            joins = held.previous == high and held.unreadable == missing <= self._unread.count(high)
            if missing > 0 and not joins:
                return
            self._holes.remove(held.event.position)
            if missing >= 0:
                self._accept(held.event, missing)

    def _close_hole(self) -> None:
        """Account for the first hole as a gap, and for what follows it."""
        first = self._holes.first
        if first is None:
            return
        missing = first.event.position - (self.high or 0) - 1
        if first.previous == self.high and first.unreadable >= missing:
            self._holes.remove(first.event.position)  # some of them are noise, but nothing says that any is lost
            self._accept(first.event, missing)
        else:
            self._skip(first.event.position - 1, first.event.time_ms, first.reason)
        self._drain()

    def _skip(self, last: int, time_ms: int | None, reason: GapReason) -> None:
        """Account for the next positions up to the last as a gap; ``time_ms``: of what follows it."""
        first = self._next()
        self._release_unread()
        self._unread.passed()
        self._steps.append(GapFound(Gap(self.epoch, first, last, self.max_time_ms, time_ms, reason)))
        self.high = last

    def _next(self) -> int:
        """The first position that nothing accounts for."""
        return (self.high or 0) + self._unread.covered + 1

    def _begin_epoch(self, reason: GapReason, first: Deliver[Item] | None, lapse: Lapse = SOME_TIME) -> None:
        """Account for all that is there, then for a new sequence from its first event on; None: from any."""
        while self._holes:
            self._close_hole()
        self._release_unread()
        self._unread.passed()
        self.epoch += 1
        begin, end = (1, first.position - 1) if first is not None and first.position > 1 else (None, None)
        since_ms, until_ms = (self.max_time_ms, first.time_ms) if first is not None else lapse
        self._steps.append(GapFound(Gap(self.epoch, begin, end, since_ms, until_ms, reason)))
        self.high = None
        if first is not None:
            self._accept(first, covered=0)

    def _release_unread(self, covered: int = 0, shown: Counter[str] | None = None) -> None:
        """Make the unreadable items after ``high`` due, or those that were shown there."""
        self._unread_due = None
        self._steps += self._unread.due(self.high or 0, covered, shown)
