"""One stream's sockets: connect, rotate by overlap, recover. Pure; the caller executes the commands.

Rules (DESIGN.md §5; the guide's sections 1-3):

* single-flight: at most one dial is under way, at most two sockets are open;
* a rotation is make-before-break, with no back-off, and neither feeds nor resets the network's failures;
* an expiry (close code, 401, any close past ``exp``) is an emergency: report the generation, dial as soon as a newer
  one is there; refused again with a fresh token it is ``REFUSED``, which has a back-off of its own;
* the old socket dying while a dial with a newer token is under way is neither an emergency nor a second dial;
* a dial leaves at once and with the newest living token: whatever it must wait for, it waits for in a state.

The caller announces facts (``opened``, ``closed``, ``progressed``, …) and calls :meth:`Handover.tick` at
:meth:`Handover.deadline`, which any fact may move. Whenever a socket or a dial has ended, by whomever, it asks the
ledger for the hole and tells it (``hole_changed``). Facts about sockets this machine has let go of are ignored. This
module must not know positions: whether a socket has caught up, and what is known of a hole, are told by the ledger.
"""

from __future__ import annotations

from math import inf

from connector.core.dialling import CLOSE_NORMAL, Dialling
from connector.core.sockets import CLOSE_ABNORMAL, SILENT, Socket, ending, judge_overlap, overlap_deadline
from connector.core.states import Close, Command, Ping, Pong, Setback, Silent, State, Why
from connector.core.steps import HoleState
from connector.model import DialFailure, FailureKind, Token, Trouble

__all__ = ["CLOSE_ABNORMAL", "CLOSE_NORMAL", "Handover"]

_WAITING = frozenset({State.ROTATION_DUE, State.BACKING_OFF, State.BREAKER_OPEN, State.REFUSED})


class Handover(Dialling):
    """The state machine of one stream's connection. Every fact returns the commands to execute, in order."""

    def deadline(self) -> float | None:
        """When :meth:`tick` has something to do."""
        instants = [self._due] if self.state in _WAITING else []
        if self.state is State.OVERLAP and not self.paused:
            instants.append(overlap_deadline(*self._pair()))
        instants += [s.deadline(self._policy, read=not self.paused) for s in self._open()]
        return min((at for at in instants if at < inf), default=None)

    # ------------------------------------------------------------------ facts

    def token_ready(self, token: Token, now: float) -> list[Command]:
        """A token is there; of a greater generation than any before, or it is ignored."""
        if self._active is not None:
            self._forget_if_healthy(self._active, now)
        if self._credential.offer(token, now) and self.state is not State.STOPPED:
            if self._credential.usable(now) is None:
                self._report_dead(token.generation, "expired")
            elif self.state is State.AWAITING_TOKEN:
                self._dial(now, "token", self._why)
            elif self.state is State.LIVE:
                self._rotation_due(now, "token")
        return self._take()

    def opened(self, socket: int, now: float) -> list[Command]:
        """A dial succeeded."""
        new = self._other
        if new is None or new.id != socket:
            return [Close(socket, CLOSE_NORMAL, "not needed")]
        new.opened(now, self._policy)
        if self.state is State.DIALING:
            self._active, self._other = new, None
            if new.replaces is not None and new.replaces != new.token.generation:
                how = "sequential" if new.sequential else "old_closed"
                self._rotated(new, how, 0.0, now)
            self._settle(now, "opened")
        elif self.paused and self._policy.resumes:
            self._promote(now, "opened")
        else:
            self._go("opened", State.OVERLAP)
        return self._take()

    def dial_failed(self, socket: int, failure: DialFailure, now: float) -> list[Command]:
        """A dial failed; everything the handshake told is in ``failure``."""
        failed = self._other
        if failed is None or failed.id != socket:
            return []
        self._other = None
        self._pacer.told(now, failure.retry_after_s)
        if self.state is State.DIALING:
            self._lone_failed(failed, failure, now)
        elif failure.kind is FailureKind.UNAUTHORIZED:
            self._fresh_refused(failed, now, "unauthorized", failure.trouble)
        else:
            self._redial(now, "failed", failure.trouble, failure.kind)
        return self._take()

    def closed(self, socket: int, code: int, now: float, reason: str = "") -> list[Command]:
        """A socket has ended; ``code`` 1006 where no close frame came."""
        trouble = ending(code, reason)
        if self._active is not None and self._active.id == socket:
            self._active_closed(self._active, code, now, trouble)
        elif self._other is not None and self._other.id == socket and self.state is State.OVERLAP:
            self._new_closed(self._other, code, now, trouble)
        return self._take()

    def progressed(self, socket: int, now: float, *, fresh: bool, caught_up: bool, hole: HoleState) -> list[Command]:
        """Items arrived on a socket; the ledger says what they meant."""
        s = next((s for s in self._open() if s.id == socket), None)
        if s is None:
            return []
        s.brings(now)
        s.caught_up = caught_up
        if fresh:
            s.advanced = True
            self._forget_if_healthy(s, now)
            if hole is HoleState.NONE:
                self._complete_at = now
        return self.hole_changed(hole, now)

    def hole_changed(self, hole: HoleState, now: float) -> list[Command]:
        """The ledger's view of the first hole, whenever sockets were opened or closed."""
        if self._hole is HoleState.NONE or hole is HoleState.WAIT:
            for s in self._open():
                s.expect(now, new=self._hole is HoleState.NONE)
        self._hole = hole
        if self.state is State.OVERLAP:
            self._judge_overlap(now)
        elif hole is HoleState.PROBE and self._credential.usable(now) is not None:
            earliest = max(self._credential.refused_until, self._earliest(now, Why.PROBE))
            if self.state is State.LIVE:
                self._due = earliest
                self._go("suspected", State.ROTATION_DUE)
            elif self.state is State.ROTATION_DUE:
                self._due = min(self._due, earliest)  # a rotation that waits for its hour asks as well
        return self._take()

    def heard(self, socket: int, now: float) -> list[Command]:
        """A ping or pong arrived: the peer lives."""
        for s in self._open():
            if s.id == socket:
                s.lives(now)
                if s.fell_silent and self._hole is HoleState.WAIT:
                    self._out.append(Silent(socket))
        return self._take()

    def leaving(self, socket: int, now: float) -> list[Command]:
        """The platform will close a socket soon: another takes its place before."""
        active = self._active
        if active is not None and active.id == socket:
            active.leaving = True
            if self.state is State.LIVE:
                self._due = self._earliest(now, Why.PROBE)
                self._go("leaving", State.ROTATION_DUE)
        return self._take()

    def pause(self, now: float) -> list[Command]:
        """The sockets are not read any more (back-pressure)."""
        self.paused = True
        if self.state is State.OVERLAP and self._policy.resumes:
            self._promote(now, "paused")
        return self._take()

    def resume(self, now: float) -> None:
        """The sockets are read again; silence counts from now."""
        self.paused = False
        for s in self._open():
            s.watch(now, self._policy)

    def tick(self, now: float) -> list[Command]:
        """Time has passed."""
        self._look_after_sockets(now)
        if self.state is State.OVERLAP:
            self._judge_overlap(now)
        elif self.state is State.ROTATION_DUE and now >= self._due:
            self._rotate(now)
        elif self.state in _WAITING and now >= self._due:
            self._dial(now, "due", self._why)
        return self._take()

    def stop(self, reason: str) -> list[Command]:
        """Close everything, for good."""
        sockets = [s for s in (self._active, self._other) if s is not None]
        self._active = self._other = None
        self.state = State.STOPPED
        return [Close(s.id, CLOSE_NORMAL, reason) for s in sockets]

    # ------------------------------------------------------------------ a second socket

    def _rotation_due(self, now: float, event: str) -> None:
        """A newer token is staged."""
        due = self._rotation.due(self._only(), now)
        self._due = max(due, self._earliest(now, self._purpose(now)))
        self._go(event, State.ROTATION_DUE)

    def _rotate(self, now: float) -> None:
        """A second socket is due: for a newer token, or because of a hole."""
        why = self._purpose(now)
        if why is Why.PROBE and not self._wanted(now):
            self._settle(now, "resolved")
        else:
            self._dial(now, "due", why)

    def _wanted(self, now: float) -> bool:
        """Whether a second socket with the same token would be of use, or nobody can tell before there is a token."""
        return self._hole is HoleState.PROBE or self._only().leaving or self._credential.usable(now) is None

    def _purpose(self, now: float) -> Why:
        """What a second socket would be for."""
        token = self._credential.usable(now)
        newer = token is not None and token.generation > self._only().token.generation
        return Why.ROTATION if newer else Why.PROBE

    def _fresh_refused(self, new: Socket, now: float, event: str, trouble: Trouble) -> None:
        """The platform does not take the token of the new socket; the old one lives."""
        self._report_dead(new.token.generation, trouble.detail)
        if new.token.generation == self._credential.generation:
            self._credential.refused(now)
        if self._credential.refused_until > now:
            self._out.append(Setback("auth", trouble, self._credential.refused_until))
        self._settle(now, event)

    def _redial(self, now: float, event: str, trouble: Trouble, kind: FailureKind | None = None) -> None:
        """The new socket came to nothing; the old one lives."""
        due = self._rotation.redial(self._only(), now, kind)
        self._due = max(due, self._earliest(now, self._purpose(now)))
        self._out.append(Setback("rotation", trouble, self._due))
        self._go(event, State.ROTATION_DUE)

    def _judge_overlap(self, now: float) -> None:
        if self.paused:
            return  # unread sockets show nothing
        new, old = self._pair()
        end = judge_overlap(new, old, self._hole, now, resumes=self._policy.resumes)
        if end == "new_silent":
            self._out.append(Close(new.id, CLOSE_NORMAL, "silent"))
            self._other = None
            self._rotation.starved()
            self._redial(now, end, Trouble("silence", "the new socket delivers nothing, or not what is missing"))
        elif end is not None:
            self._promote(now, end)

    def _promote(self, now: float, event: str) -> None:
        """The new socket takes over; the old one is closed."""
        _, old = self._pair()
        self._rotation.refuses_second = False
        self._out.append(Close(old.id, CLOSE_NORMAL, "token refresh"))
        self._let_go(old, now)
        self._take_over(old, now, event)

    def _take_over(self, old: Socket, now: float, event: str) -> None:
        new, _ = self._pair()
        self._active, self._other = new, None
        if new.token.generation != old.token.generation:
            self._rotated(new, event, new.open_for(now), now)
        self._settle(now, event)

    def _settle(self, now: float, event: str) -> None:
        """One socket is open: live, or due for a rotation if a newer token is staged."""
        self._rotation.settled()
        if self._purpose(now) is Why.ROTATION or self._only().leaving:
            self._rotation_due(now, event)
        else:
            self._go(event, State.LIVE)

    # ------------------------------------------------------------------ endings

    def _active_closed(self, old: Socket, code: int, now: float, trouble: Trouble) -> None:
        """The socket that delivers has ended: the only one, or the old one of two."""
        self._let_go(old, now)
        new = self._other
        if new is None:
            self._active = None
            self._lost(old, code, now, trouble)
            return
        if self._expired(old, code, now) and new.token.generation == old.token.generation:
            self._report_dead(old.token.generation, trouble.detail)
        if self.state is State.OVERLAP:
            self._take_over(old, now, "old_closed")
        else:
            self._active = None
            self._go("old_closed", State.DIALING)

    def _new_closed(self, new: Socket, code: int, now: float, trouble: Trouble) -> None:
        """The new one of two has ended. Fresh tokens that expire in a row: the platform minds the socket, not them."""
        self._other = None
        if code in self._policy.expired_codes and not self._credential.refusals:
            self._fresh_refused(new, now, "new_expired", trouble)
            return
        if code != CLOSE_ABNORMAL:
            self._rotation.refuses_second = True
        self._redial(now, "new_closed", trouble)

    def _look_after_sockets(self, now: float) -> None:
        for s in self._open():
            if not self.paused and now >= s.silent_at(self._policy):
                self._out.append(Close(s.id, CLOSE_NORMAL, "silent"))
                out, self._out = self._out, []
                self._out = out + self.closed(s.id, CLOSE_ABNORMAL, now, SILENT)
            elif not self.paused and now >= s.ping_at:
                s.pinged(now, self._policy, expected=self._hole is HoleState.WAIT)
                self._out.append(Ping(s.id))
            elif now >= s.idle_at(self._policy):
                s.sent_at = now
                self._out.append(Pong(s.id))
