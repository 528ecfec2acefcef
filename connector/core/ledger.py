"""The ledger: which positions of a stream have been seen, and what a position that does not follow means.

One ledger stands behind all sockets of a stream. It knows positions, event times and hashes, never bytes or wires:
the caller's ``item`` passes through untouched. Rules (DESIGN.md §5):

* the next position is fresh; one already seen is a duplicate, dropped and counted;
* a hole is a *suspicion*: what came after it is held (bounded) while any socket may still deliver the range, or
  until a second socket, dialled from before the hole, skips it too; only then it is a gap;
* k unreadable items between positions p and p + k + 1 *cover* those positions;
* an item that goes back with a later event time than any seen starts a new epoch once the next one confirms it:
  the platform's sequence was reset.

The caller must announce every socket (:meth:`Ledger.opened`, :meth:`Ledger.closed`), and after an answer other than
``FRESH`` or ``DUPLICATE`` must :meth:`Ledger.take` what has become due, in order.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, NamedTuple, TypeVar

from connector.model import Checkpoint, DeadLetterId, Gap, GapReason

Item = TypeVar("Item")

UNREADABLE_HOLD_S = 1.0
"""How long an unreadable item waits for the next readable one, which tells whether it stands for a position."""
RESET_HOLD_S = 1.0
"""How long a step back with a later time waits for its successor before it is taken for a reset."""


class Verdict(Enum):
    """What became of an item."""

    FRESH = auto()  # the next position: deliver it now; nothing else is due
    DUPLICATE = auto()  # seen before
    DEFERRED = auto()  # the ledger took the item; something may be due


class HoleState(Enum):
    """What is known of the first hole."""

    NONE = auto()
    WAIT = auto()  # an open socket, or the next one, may still deliver the range
    PROBE = auto()  # every open socket has skipped it: dial once more from before it
    PROVEN = auto()  # a second dial skipped it too


class Deliver(NamedTuple, Generic[Item]):
    """An event, in its place."""

    position: int
    time_ms: int | None
    item: Item


class Unreadable(NamedTuple, Generic[Item]):
    """An item without a usable position: the ``ordinal``-th after position ``after``; covers a position or not."""

    after: int
    ordinal: int
    covers: int | None
    sha256: str
    item: Item


class GapFound(NamedTuple):
    """Positions that are missing for good."""

    gap: Gap


@dataclass(slots=True)
class _View(Generic[Item]):
    """What one socket has shown."""

    asked: int | None
    last: int | None = None
    ordinal: int = 0
    hashes: Counter[str] = field(default_factory=Counter)
    witness: bool = False
    went_back: Deliver[Item] | None = None

    def moved_to(self, position: int) -> None:
        self.last = position
        self.ordinal = 0
        self.hashes.clear()

    @property
    def after(self) -> int:
        """The position that unreadable items of this socket stand behind."""
        return self.last if self.last is not None else self.asked or 0


class Ledger(Generic[Item]):
    """Positions of one stream. ``high`` is the highest accounted for; None until the first of a ``latest`` start."""

    def __init__(self, checkpoint: Checkpoint, *, contiguous: bool = True, hold_limit: int = 5000) -> None:
        self.epoch = checkpoint.epoch
        self.high = checkpoint.position
        self.max_time_ms = checkpoint.event_time_ms
        self._contiguous = contiguous
        self._hold_limit = hold_limit
        self._views: dict[int, _View[Item]] = {}
        self._recorded = list(checkpoint.dead_letters)
        self._unread: list[tuple[str, Item]] = []
        self._held: dict[int, Deliver[Item]] = {}
        self._held_order: list[int] = []
        self._held_unread: dict[int, list[tuple[str, Item]]] = {}
        self._hole_reason = GapReason.JUMP
        self._witnesses = 0
        self._steps: list[Deliver[Item] | Unreadable[Item] | GapFound] = []
        self._due_at: float | None = None
        self._regular = not self._recorded

    # ------------------------------------------------------------------ sockets

    def opened(self, socket: int, asked: int | None) -> None:
        """A socket was opened that resumes at or after ``asked``."""
        self._views[socket] = _View(asked)

    def closed(self, socket: int) -> None:
        """A socket will deliver nothing more."""
        self._views.pop(socket, None)

    def caught_up(self, socket: int) -> bool:
        """Whether the socket itself has shown the highest position, and nothing is missing before it."""
        view = self._views.get(socket)
        return view is not None and view.last is not None and not self._held and view.last >= (self.high or 0)

    # ------------------------------------------------------------------ items

    def admit(self, socket: int, position: int, time_ms: int | None, item: Item, now: float) -> Verdict:
        """Place an item with a position. The hot path is the first branch."""
        view = self._views[socket]
        if self._regular and self.high is not None and position == self.high + 1:
            self.high = view.last = position
            if time_ms is not None and (self.max_time_ms is None or time_ms > self.max_time_ms):
                self.max_time_ms = time_ms
            return Verdict.FRESH
        return self._place(view, Deliver(position, time_ms, item), now)

    def unreadable(self, socket: int, sha256: str, item: Item, now: float) -> Verdict:
        """Place an item that cannot be parsed or has no position."""
        view = self._views[socket]
        after = view.after
        view.ordinal += 1
        view.hashes[sha256] += 1
        self._regular = False
        if after < (self.high or 0):
            return Verdict.DUPLICATE
        if after in self._held:
            waiting = self._held_unread.setdefault(after, [])
            if view.hashes[sha256] > sum(digest == sha256 for digest, _ in waiting):
                waiting.append((sha256, item))
            return Verdict.DEFERRED
        known = sum(d.sha256 == sha256 for d in self._recorded) + sum(digest == sha256 for digest, _ in self._unread)
        if view.hashes[sha256] <= known:
            return Verdict.DUPLICATE
        self._unread.append((sha256, item))
        self._due_by(now + UNREADABLE_HOLD_S)
        return Verdict.DEFERRED

    def take(self) -> list[Deliver[Item] | Unreadable[Item] | GapFound]:
        """What has become due, in order."""
        steps, self._steps = self._steps, []
        return steps

    # ------------------------------------------------------------------ time

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to decide."""
        return self._due_at

    def expire(self, now: float) -> None:
        """Stop waiting for what would have explained an unreadable item or a step back."""
        if self._due_at is None or now < self._due_at:
            return
        self._due_at = None
        for view in self._views.values():
            if view.went_back is not None:
                self._reset(view)
        if self._unread:
            self._emit_unread(covered=0)
        self._settle()

    # ------------------------------------------------------------------ holes

    @property
    def held(self) -> int:
        """Events held behind a hole."""
        return len(self._held)

    def hole(self) -> HoleState:
        """What is known of the first hole."""
        if not self._held:
            return HoleState.NONE
        if not self._views or not all(view.witness for view in self._views.values()):
            return HoleState.WAIT
        return HoleState.PROVEN if self._witnesses > 1 else HoleState.PROBE

    def prove(self) -> None:
        """Declare the first hole a gap; what was held behind it becomes due."""
        if not self._held:
            return
        first = self._held[self._held_order[0]]
        self._emit_unread(covered=0)
        begin = (self.high or 0) + 1
        gap = Gap(self.epoch, begin, first.position - 1, self.max_time_ms, first.time_ms, self._hole_reason)
        self._steps.append(GapFound(gap))
        self.high = first.position - 1
        self._recorded.clear()
        self._hole_filled()
        self._drain()

    def lost_track(self) -> None:
        """The stream broke before a position was known: what was missed cannot be named. A new epoch begins."""
        self.epoch += 1
        self._steps.append(GapFound(Gap(self.epoch, None, None, self.max_time_ms, None, GapReason.NO_RESUME)))

    # ------------------------------------------------------------------ inside

    def _place(self, view: _View[Item], event: Deliver[Item], now: float) -> Verdict:
        if view.went_back is not None:
            self._judge_step_back(view, event, now)
        if self.high is not None and event.position <= self.high:
            if self._later(event.time_ms):
                view.went_back = event
                self._regular = False
                self._due_by(now + RESET_HOLD_S)
                return Verdict.DEFERRED
            view.moved_to(event.position)
            self._settle()
            return Verdict.DUPLICATE
        previous, unreadable = view.after, view.ordinal
        resumed = view.last is None
        view.moved_to(event.position)
        missing = 0 if self.high is None or not self._contiguous else event.position - self.high - 1
        if missing == 0 or (previous == self.high and unreadable >= missing):
            self._accept(event, missing)
            self._drain()
        else:
            self._hold(view, event, resumed=resumed)
        return Verdict.DEFERRED

    def _accept(self, event: Deliver[Item], covered: int) -> None:
        self._emit_unread(covered=covered)
        self._recorded.clear()
        self._steps.append(event)
        self.high = event.position
        if event.time_ms is not None:
            self.max_time_ms = max(event.time_ms, self.max_time_ms or event.time_ms)

    def _hold(self, view: _View[Item], event: Deliver[Item], *, resumed: bool) -> None:
        self._regular = False
        if not view.witness:
            view.witness = True
            if not self._witnesses:
                self._hole_reason = GapReason.RETENTION if resumed else GapReason.JUMP
            self._witnesses += 1
        if event.position not in self._held and len(self._held) < self._hold_limit:
            self._held[event.position] = event
            heapq.heappush(self._held_order, event.position)

    def _drain(self) -> None:
        """Deliver what is held as far as it follows."""
        while self._held_order:
            position = self._held_order[0]
            missing = position - (self.high or 0) - 1
            if missing > 0 and (not self._unread or missing > len(self._unread) + len(self._recorded)):
                break
            heapq.heappop(self._held_order)
            event = self._held.pop(position)
            if missing >= 0:
                self._accept(event, missing)
                self._unread = self._held_unread.pop(position, [])
            self._hole_filled()
        self._settle()

    def _hole_filled(self) -> None:
        self._witnesses = 0
        for view in self._views.values():
            view.witness = False
        if self._held_order and self._held_order[0] > (self.high or 0) + 1:
            for view in self._views.values():
                view.witness = view.last is not None and view.last >= self._held_order[0]
                self._witnesses += view.witness

    def _emit_unread(self, *, covered: int) -> None:
        """Make pending unreadable items due; the first ``covered`` of all since ``high`` stand for positions."""
        after = self.high or 0
        for digest, item in self._unread:
            ordinal = len(self._recorded) + 1
            covers = after + ordinal if ordinal <= covered else None
            self._steps.append(Unreadable(after, ordinal, covers, digest, item))
            self._recorded.append(DeadLetterId(ordinal, digest))
        self._unread = []

    def _later(self, time_ms: int | None) -> bool:
        return time_ms is not None and self.max_time_ms is not None and time_ms > self.max_time_ms

    def _judge_step_back(self, view: _View[Item], event: Deliver[Item], now: float) -> None:
        back = view.went_back
        if back is None:
            return
        if event.position == back.position + 1:
            self._reset(view)
        else:  # a single item that lies about its position: unreadable, not a reset
            view.went_back = None
            self._unread.append(("", back.item))
            self._due_by(now + UNREADABLE_HOLD_S)

    def _reset(self, view: _View[Item]) -> None:
        """Begin a new epoch at the item that went back on this socket."""
        back, view.went_back = view.went_back, None
        if back is None:
            return
        self._emit_unread(covered=0)
        self.epoch += 1
        first, last = (1, back.position - 1) if back.position > 1 else (None, None)
        gap = Gap(self.epoch, first, last, self.max_time_ms, back.time_ms, GapReason.POSITION_RESET)
        self._steps.append(GapFound(gap))
        self._held.clear()
        self._held_order.clear()
        self._held_unread.clear()
        self._witnesses = 0
        self._recorded.clear()
        view.moved_to(back.position)
        self._accept(back, covered=0)

    def _due_by(self, instant: float) -> None:
        self._due_at = instant if self._due_at is None else min(self._due_at, instant)

    def _settle(self) -> None:
        """Return to the hot path once nothing is out of the ordinary."""
        views = self._views.values()
        self._regular = not (
            self._held or self._unread or self._recorded or any(v.ordinal or v.went_back is not None for v in views)
        )
        if self._regular:
            self._due_at = None
