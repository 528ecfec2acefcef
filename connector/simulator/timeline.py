"""When a stream's events come to be, and which positions they have. Pure.

A *slot* counts what a stream ever produced: 1, 2, 3 … without end. ``Timeline`` maps instants to slots, ``Positions``
maps slots to what the wire shows: (epoch, position). A jump or a reset of the sequence changes positions, never slots.
Instants are seconds since the Unix epoch on the machine's clock.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import NamedTuple

_NOMINAL_RATE = 1000.0  # spacing of the backlog's event times where the stream has no rate of its own


class _Segment(NamedTuple):
    """From ``start_s`` on ``first`` slots exist, and ``rate`` more come each second."""

    start_s: float
    first: int
    rate: float

    def count(self, now_s: float) -> int:
        return self.first + math.floor((now_s - self.start_s) * self.rate + 1e-6)


class Timeline:
    """How many slots exist at an instant, and since when each of them does."""

    def __init__(self, start_s: float, rate: float, backlog: int = 0) -> None:
        self._rate = rate
        self._segments = [_Segment(start_s, backlog, rate)]

    def head(self, now_s: float) -> int:
        """Slots that exist at the instant; 0 before the stream's start."""
        index = bisect_right(self._segments, now_s, key=lambda segment: segment.start_s) - 1
        return self._segments[index].count(now_s) if index >= 0 else 0

    def time_of(self, slot: int) -> float:
        """Since when the slot exists; infinity where nothing under way will make it.

        Backlog slots are dated before the start, at the stream's rate.
        """
        segments = self._segments
        if len(segments) > 1:
            index = bisect_left(segments, slot, key=lambda segment: segment.first)
        else:  # nearly always, and for every event
            index = int(slot > segments[0].first)
        if index == 0:
            start = segments[0]
            return start.start_s - (start.first - slot) / (self._rate or _NOMINAL_RATE)
        before = segments[index - 1]
        within = before.start_s + (slot - before.first) / before.rate if before.rate else math.inf
        if index == len(segments):
            return within
        return min(within, segments[index].start_s)

    def pause(self, now_s: float, seconds: float) -> None:
        """Produce nothing for a while; a pause that is under way ends with the later of both."""
        head = self.head(now_s)
        planned = self._segments[-1].start_s
        self._cut(now_s)
        self._segments += [_Segment(now_s, head, 0.0), _Segment(max(now_s + seconds, planned), head, self._rate)]

    def push(self, now_s: float, slots: int = 1) -> int:
        """Produce slots at once, out of turn; returns the first of them."""
        head = self.head(now_s)
        planned = self._segments[-1]
        self._cut(now_s)
        if planned.start_s > now_s:  # the stream is paused, and stays so
            self._segments += [_Segment(now_s, head + slots, 0.0), planned._replace(first=head + slots)]
        else:
            self._segments.append(_Segment(now_s, head + slots, self._rate))
        return head + 1

    def _cut(self, now_s: float) -> None:
        while len(self._segments) > 1 and self._segments[-1].start_s > now_s:
            self._segments.pop()


class Mark(NamedTuple):
    """From ``slot`` on, position = slot - ``shift``, in ``epoch``."""

    slot: int
    epoch: int
    shift: int


class Run(NamedTuple):
    """Positions ``first`` to ``last``, inclusive, all of one epoch."""

    epoch: int
    first: int
    last: int


class Positions:
    """Slots to positions, and back."""

    def __init__(self) -> None:
        self._marks = [Mark(1, 0, 0)]

    def jump(self, from_slot: int, count: int) -> None:
        """Leave out ``count`` positions before the slot."""
        last = self._marks[-1]
        self._mark(Mark(from_slot, last.epoch, last.shift - count))

    def reset(self, from_slot: int) -> None:
        """Count from 1 again with the slot, in a new epoch."""
        self._mark(Mark(from_slot, self._marks[-1].epoch + 1, from_slot - 1))

    def mark_of(self, slot: int) -> Mark:
        """The rule by which the slot has its position."""
        if len(self._marks) == 1:  # nearly always, and for every event
            return self._marks[0]
        return self._marks[max(0, bisect_right(self._marks, slot, key=lambda mark: mark.slot) - 1)]

    def position_of(self, slot: int) -> int:
        """The position the wire shows for a slot (for slot 0: 0)."""
        return slot - self.mark_of(slot).shift

    def next_change(self, slot: int) -> float:
        """The first slot after this one that follows another rule; infinity where there is none."""
        index = bisect_right(self._marks, slot, key=lambda mark: mark.slot)
        return self._marks[index].slot if index < len(self._marks) else math.inf

    def epoch_start(self, slot: int) -> int:
        """The first slot of the slot's epoch."""
        epoch = self.mark_of(slot).epoch
        return next(mark.slot for mark in self._marks if mark.epoch == epoch)

    def last_slot_up_to(self, position: int, head: int) -> int:
        """In the head's epoch: the last existing slot of at most this position; before its first: the slot before."""
        epoch = self.mark_of(head).epoch
        marks = [mark for mark in self._marks if mark.epoch == epoch and mark.slot <= max(head, 1)]
        found = marks[0].slot - 1
        for mark, following in zip(marks, [*(later.slot for later in marks[1:]), head + 1], strict=True):
            if mark.slot - mark.shift <= position:
                found = min(position + mark.shift, following - 1)
        return min(found, head)

    def runs(self, after_slot: int, through_slot: int) -> list[Run]:
        """The positions of the slots (after_slot, through_slot], as ranges."""
        runs: list[Run] = []
        slot = after_slot + 1
        while slot <= through_slot:
            mark = self.mark_of(slot)
            end = int(min(through_slot, self.next_change(slot) - 1))
            runs.append(Run(mark.epoch, slot - mark.shift, end - mark.shift))
            slot = end + 1
        return runs

    def _mark(self, mark: Mark) -> None:
        if self._marks[-1].slot == mark.slot and len(self._marks) > 1:
            self._marks.pop()
        self._marks.append(mark)
