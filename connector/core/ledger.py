"""The ledger: which positions of a stream have been seen, and what a position that does not follow means.

One ledger stands behind all sockets of a stream. It knows positions, event times and hashes, never bytes or wires:
the caller's ``item`` passes through untouched. Rules (DESIGN.md §5):

* the next position is fresh; one already seen is a duplicate, dropped and counted;
* a hole is a *suspicion*: what came after it is held (bounded) while any open socket may still deliver the range. Once
  all have skipped it, and then one dialled since skips it too, it is a gap; to live and be silent is to skip;
* k unreadable items between positions p and p + k + 1 *cover* those positions;
* an item that goes back with a later event time than any seen starts a new epoch once a second one confirms it (the
  platform's sequence was reset); once the old sequence goes on, its position was a lie: it is unreadable;
* an item far ahead that its own socket takes back is held for a while, then it is unreadable too.

The caller must announce every socket (:meth:`Ledger.opened`, :meth:`Ledger.closed`), and after an answer other than
``FRESH`` or ``DUPLICATE``, after :meth:`Ledger.expire`, :meth:`Ledger.prove` and :meth:`Ledger.lost_track` must
:meth:`Ledger.take` what has become due, in order.
"""

from __future__ import annotations

from collections.abc import Callable

from connector.core.history import History
from connector.core.holes import Held
from connector.core.lies import Lies
from connector.core.steps import Deliver, HoleState, Item, Verdict
from connector.core.views import View, Views
from connector.model import Checkpoint, GapReason, Lapse

PATIENCE_S = 5.0
"""How long an item waits for what explains it: an unreadable one for the next event, which tells whether it stands
for a position; a step back for its successor; an item far ahead for the stream to reach it."""


class Ledger(History[Item]):
    """Positions of one stream, as its sockets show them."""

    def __init__(
        self, checkpoint: Checkpoint, *, digest: Callable[[Item], str], contiguous: bool = True, hold_limit: int = 5000
    ) -> None:
        """``digest``: the SHA-256 of an event's bytes, asked where its position turns out to be a lie."""
        super().__init__(checkpoint, hold_limit)
        self._contiguous = contiguous
        self._views: Views[Item] = Views()
        self._view_of = self._views.of
        self._back: Deliver[Item] | None = None
        self._back_due = 0.0
        self._lies: Lies[Item] = Lies(digest)
        self._former_high = 0
        self._now = 0.0
        self._regular = False
        self._settle()

    # ------------------------------------------------------------------ sockets

    def opened(self, socket: int, asked: int | None) -> None:
        """A socket is being opened that resumes at or after ``asked``."""
        self._views.opened(socket, asked)

    def closed(self, socket: int) -> None:
        """A socket will deliver nothing more."""
        self._views.closed(socket)
        if not any(view.stepped_back for view in self._views):
            self._back = None  # it comes again
        self._lies.forget(self._views)

    def caught_up(self, socket: int) -> bool:
        """Whether the socket itself has shown the highest position before which nothing is missing."""
        view = self._view_of.get(socket)
        return view is not None and view.last is not None and view.last == self.high and not view.stale

    def silent(self, socket: int) -> None:
        """A socket that lives has shown nothing for so long that it will not show what is missing."""
        view = self._view_of.get(socket)
        if view is not None:
            view.silent = True

    # ------------------------------------------------------------------ items

    def admit(self, socket: int, position: int, time_ms: int | None, item: Item, now: float) -> Verdict:
        """Place an item with a position. The hot path is the first branch."""
        view = self._view_of[socket]
        if self._regular and self.high is not None and position == self.high + 1:
            self.high = view.last = position
            if time_ms is not None and (self.max_time_ms is None or time_ms > self.max_time_ms):
                self.max_time_ms = time_ms
            return Verdict.FRESH
        self._now = now
        verdict = self._place(view, Deliver(position, time_ms, item))
        self._settle()
        return verdict

    def unreadable(self, socket: int, sha256: str, item: Item, now: float) -> Verdict:
        """Place an item that cannot be parsed or has no position."""
        self._now = now
        verdict = self._note(self._view_of[socket], sha256, item)
        self._settle()
        return verdict

    # ------------------------------------------------------------------ time

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to decide."""
        back_due = None if self._back is None else self._back_due
        instants = (self._unread_due, back_due, self._holes.deadline())
        return min((at for at in instants if at is not None), default=None)

    def expire(self, now: float) -> None:
        """Stop waiting for what would have explained an item."""
        self._now = now
        if self._back is not None and now >= self._back_due:
            self._reset(self._back)
        for event in self._holes.disbelieved(now):
            self._unread.add(self.high or 0, self._lies.remember(event.item, self._views.opens), event.item)
            self._unread.move(event.position, self.high or 0)
        if self._unread_due is not None and now >= self._unread_due:
            self._release_unread()
        self._settle()

    # ------------------------------------------------------------------ holes

    def hole(self) -> HoleState:
        """What is known of the first hole."""
        first = self._holes.first
        if first is None:
            return HoleState.NONE
        skipping = self._views.skipping(self.high or 0)
        if not skipping:
            return HoleState.WAIT
        return HoleState.PROVEN if any(view.number > first.opens for view in skipping) else HoleState.PROBE

    def prove(self) -> None:
        """Declare the first hole a gap; what was held behind it becomes due."""
        self._close_hole()
        self._settle()

    def skip_oversize(self, socket: int) -> bool:
        """The item after the highest position is too large, again: a gap. False where the socket stands elsewhere."""
        view = self._view_of.get(socket)
        if view is None or self.high is None or view.after != self.high or self._holes.first is not None:
            return False
        self._skip(self._next(), None, GapReason.OVERSIZE)
        self._drain()
        self._settle()
        return True

    def lost_track(self, lapse: Lapse) -> None:
        """The stream broke and cannot be resumed: what was missed cannot be named. A new epoch begins anywhere."""
        self._begin_epoch(GapReason.NO_RESUME, None, lapse)
        self._settle()

    # ------------------------------------------------------------------ events

    def _place(self, view: View[Item], event: Deliver[Item]) -> Verdict:
        position = event.position
        lie = self._lies.known(event.item)
        if lie is not None:
            return self._note(view, lie, event.item)
        if view.stale and not view.arrives(position, later=self._later(event)):
            return self._belated(event)
        seen = self.high is not None and position <= self.high
        if (seen or position in self._holes) and self._later(event):
            return self._step_back(view, event)
        if view.leaps and position < view.after:
            self._doubt_leaps(view, position)
        if self._unread.covered and (self.high or 0) < position < self._next():
            view.ordinal += 1  # readable this time
            return Verdict.DUPLICATE
        if seen:
            view.moved_to(position)
            return Verdict.DUPLICATE
        if self._back is not None and view.stepped_back and position > self._holes.top():
            self._refute(self._back)
        missing = position - self.high - 1 if self._contiguous and self.high is not None else 0
        if missing <= self._unread.covered or self._is_covered(view, position, missing):
            shown = view.hashes if self._holes else None
            view.moved_to(position)
            self._accept(event, missing, shown)
            self._drain()
        else:
            self._hold(view, event)
        return Verdict.DEFERRED

    def _is_covered(self, view: View[Item], position: int, missing: int) -> bool:
        """Whether unreadable items on this socket stand for all that is missing before the position.

        More of them than positions: some are noise, and the hole may be real. A socket dialled since then decides.
        """
        first = self._holes.first
        if view.after != self.high or min(view.ordinal, self._unread.count(self.high)) < missing:
            return False
        if first is not None and first.event.position < position:
            return False
        held = self._holes.get(position)
        return view.ordinal == missing or (held is not None and view.number > held.opens)

    def _hold(self, view: View[Item], event: Deliver[Item]) -> None:
        if not self._holes:
            self._views.listen()
        if view.last is not None:
            reason = GapReason.JUMP
        else:
            reason = GapReason.NO_RESUME if view.asked is None else GapReason.RETENTION
        held = Held(event, view.after, view.ordinal, self._views.opens, reason)
        if view.after + view.ordinal + 1 == event.position:
            view.moved_to(event.position)
        else:
            view.leapt_to(event.position, self.high or 0)
        self._unread.forget(self._holes.hold(held))

    # ------------------------------------------------------------------ unreadable items

    def _note(self, view: View[Item], digest: str, item: Item) -> Verdict:
        if view.stepped_back:
            view.stash.append((digest, item))
            return Verdict.DEFERRED
        nth, after, high = view.count(digest), view.after, self.high or 0
        if view.stale or after < high or (after > high and after not in self._holes):
            return Verdict.DUPLICATE  # or behind what the full ledger could not hold: it comes again
        if self._unread.known(after, digest, nth, view.ordinal, current=after == high):
            return Verdict.DUPLICATE
        self._unread.add(after, digest, item)
        return Verdict.DEFERRED

    # ------------------------------------------------------------------ lies and resets

    def _step_back(self, view: View[Item], event: Deliver[Item]) -> Verdict:
        """An event goes back although it is later than all others: the first of a new sequence, or a lie."""
        back = self._back
        if back is not None and event.position > back.position:
            self._reset(back)
            return self._place(view, event)
        if back is None or event[:2] != back[:2]:
            if back is not None and view.stepped_back:
                self._refute(back)
            self._back = event  # of two sockets, the one that shows more of the new sequence
            self._back_due = self._now + PATIENCE_S
        view.stepped_back = True
        return Verdict.DEFERRED

    def _refute(self, back: Deliver[Item]) -> None:
        """The old sequence goes on."""
        self._back = None
        digest = self._lies.remember(back.item, self._views.opens)
        for view in self._views:
            if view.stepped_back:
                view.stepped_back = False
                self._note(view, digest, back.item)
                self._unstash(view)

    def _reset(self, back: Deliver[Item]) -> None:
        """A new sequence begins at the event that went back; other sockets still show the former one."""
        self._back = None
        former_high = self._holes.top() or self.high or 0
        self._begin_epoch(GapReason.POSITION_RESET, back)
        self._former_high = former_high
        for view in self._views:
            view.leaps.clear()
            view.stale += 1
            if view.stepped_back:
                view.stale = 0
                view.stepped_back = False
                view.moved_to(back.position)
                self._unstash(view)

    def _unstash(self, view: View[Item]) -> None:
        stash, view.stash = view.stash, []
        for digest, item in stash:
            self._note(view, digest, item)

    def _belated(self, event: Deliver[Item]) -> Verdict:
        """An event of a former sequence; what is new there has no place any more."""
        if event.position <= self._former_high:
            return Verdict.DUPLICATE
        self._former_high = event.position
        self._unread.add(self.high or 0, self._lies.digest(event.item), event.item)
        return Verdict.DEFERRED

    def _doubt_leaps(self, view: View[Item], position: int) -> None:
        """A socket goes on before a position it leapt to."""
        leap, last = view.went_before(position), view.after
        if leap is not None:
            doubted = self._holes.doubt(leap.position, last, self._now + PATIENCE_S)
            view.back_to(leap)
            for digest, item in [stood for lie in doubted for stood in self._unread.pop(lie)]:
                self._note(view, digest, item)

    # ------------------------------------------------------------------ the hot path's condition

    def _settle(self) -> None:
        """Return to the hot path once nothing is out of the ordinary; see to the unreadables' timer."""
        if self._holes or not self._unread.waits_after(self.high or 0):
            self._unread_due = None
        elif self._unread_due is None:
            self._unread_due = self._now + PATIENCE_S
        extraordinary = self._holes or self._unread or self._back is not None
        self._regular = not extraordinary and self._views.regular()
