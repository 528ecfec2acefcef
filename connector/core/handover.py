"""One stream's sockets: connect, rotate by overlap, recover. Pure; the caller executes the commands.

Rules (DESIGN.md §5; the guide's sections 1-3):

* single-flight: at most one dial is under way, at most two sockets are open;
* a rotation is make-before-break, with no back-off, and neither feeds nor resets the network's failures;
* an expiry (close code, 401, any close past ``exp``) is an emergency: report the generation, dial as soon as a newer
  one is there; refused again with a fresh token it is ``REFUSED``, which has a back-off of its own;
* the old socket dying while a dial with a newer token is under way is neither an emergency nor a second dial;
* a dial leaves at once and with the newest living token: whatever it must wait for, it waits for in a state.

The caller announces facts (``opened``, ``closed``, ``progressed``, …) and calls :meth:`Handover.tick` at
:meth:`Handover.deadline`. Facts about sockets this machine has let go of are ignored. This module must not know
positions: whether a socket has caught up, and what is known of a hole, are told by the ledger.
"""

from __future__ import annotations

from random import Random

from connector.core.dialling import CLOSE_NORMAL, Dialling
from connector.core.ledger import HoleState
from connector.core.sockets import Socket, judge_overlap, overlap_deadline
from connector.core.states import Close, Command, Ping, Policy, Rotated, Setback, State, Why
from connector.model import DialFailure, FailureKind, Token

__all__ = ["CLOSE_ABNORMAL", "CLOSE_NORMAL", "Handover"]

CLOSE_ABNORMAL = 1006
_REDIAL_PACE_S = 1.0
_WAITING = frozenset({State.ROTATION_DUE, State.BACKING_OFF, State.BREAKER_OPEN, State.REFUSED})
_REFUSES_SECOND = frozenset({FailureKind.THROTTLED, FailureKind.REJECTED, FailureKind.FORBIDDEN})


class Handover(Dialling):
    """The state machine of one stream's connection. Every method returns the commands to execute, in order."""

    def __init__(self, policy: Policy, rng: Random, now: float) -> None:
        super().__init__(policy, rng, now)
        self._rng = rng
        self._redials = 0

    # ------------------------------------------------------------------ what others may ask

    @property
    def open_sockets(self) -> int:
        """How many sockets are open (0 to 2)."""
        return len(self._open())

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._active is not None

    def deadline(self) -> float | None:
        """When :meth:`tick` has something to do."""
        instants = [self._due] if self.state in _WAITING else []
        if self.state is State.OVERLAP:
            instants.append(overlap_deadline(self._require(self._other), self._require(self._active)))
        if not self.paused:
            for s in self._open():
                instants += [s.ping_at, s.heard_at + self._policy.silence_s]
        return min(instants, default=None)

    # ------------------------------------------------------------------ facts

    def token_ready(self, token: Token, now: float) -> list[Command]:
        """A token is there; of a greater generation than any before, or it is ignored."""
        if self._credential.offer(token) and self.state is not State.STOPPED:
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
            self._out.append(Close(socket, CLOSE_NORMAL, "not needed"))
            return self._take()
        new.opened(now, self._policy)
        if self.state is State.DIALING:
            self._active, self._other = new, None
            if new.why is Why.ROTATION:
                self._out.append(Rotated(new.token.generation, "sequential", 0.0))
            self._settle(now, "opened")
        elif self.paused:
            self._promote(now, "opened")
        else:
            self._refuses_second = False
            self._go("opened", State.OVERLAP)
        return self._take()

    def dial_failed(self, socket: int, failure: DialFailure, now: float) -> list[Command]:
        """A dial failed; everything the handshake told is in ``failure``."""
        failed = self._other
        if failed is None or failed.id != socket:
            return []
        self._other = None
        self._pacer.told(now, failure.retry_after_s)
        if self.state is State.ROTATING:
            self._rotation_failed(failed, failure, now)
        elif failure.kind is FailureKind.UNAUTHORIZED:
            self._token_died(failed.token.generation, now, "unauthorized", failure.describe())
        elif failure.kind is FailureKind.FORBIDDEN:
            self._credential.forbidden(now)
            self._refused(now, "forbidden", failure.describe())
        else:
            self._network_failed(now, "failed", failure.describe(), failure.retry_after_s)
        return self._take()

    def closed(self, socket: int, code: int, now: float, reason: str = "") -> list[Command]:
        """A socket has ended; ``code`` 1006 where no close frame came."""
        detail = f"closed {code} {reason}".rstrip()
        if self._active is not None and self._active.id == socket:
            self._active_closed(self._active, code, now, detail)
        elif self._other is not None and self._other.id == socket and self.state is State.OVERLAP:
            new, self._other = self._other, None
            if code in self._policy.expired_codes:
                self._fresh_refused(new, now, "new_expired", detail)
            else:
                self._redial(now, "new_closed", detail)
        return self._take()

    def progressed(self, socket: int, now: float, *, fresh: bool, caught_up: bool, hole: HoleState) -> list[Command]:
        """Items arrived on a socket; the ledger says what they meant."""
        s = self._find(socket)
        if s is None:
            return []
        s.heard_at = s.event_at = now
        s.caught_up = caught_up
        if fresh:
            s.advanced = True
            self._complete_at = now
            self._forget_if_healthy(s, now)
        return self.hole_changed(hole, now)

    def hole_changed(self, hole: HoleState, now: float) -> list[Command]:
        """The ledger's view of the first hole, whenever sockets were opened or closed."""
        self._hole = hole
        if self.state is State.OVERLAP:
            self._judge_overlap(now)
        elif hole is HoleState.PROBE and self._credential.usable(now) is not None:
            earliest = self._pacer.earliest(now, burst=True)
            if self.state is State.LIVE:
                self._due, self._why = earliest, Why.PROBE
                self._go("suspected", State.ROTATION_DUE)
            elif self.state is State.ROTATION_DUE and earliest <= now < self._due - _REDIAL_PACE_S:
                self._dial(now, "suspected", self._why)  # a rotation that waits for its hour asks as well
        return self._take()

    def heard(self, socket: int, now: float) -> None:
        """A ping or pong arrived: the peer lives."""
        if (s := self._find(socket)) is not None:
            s.heard_at = now

    def pause(self, now: float) -> list[Command]:
        """The sockets are not read any more (back-pressure)."""
        self.paused = True
        if self.state is State.OVERLAP:
            self._promote(now, "paused")
        return self._take()

    def resume(self, now: float) -> None:
        """The sockets are read again; silence counts from now."""
        self.paused = False
        for s in self._open():
            s.listen(now, self._policy)

    def tick(self, now: float) -> list[Command]:
        """Time has passed."""
        if not self.paused:
            self._check_liveness(now)
        if self.state is State.OVERLAP:
            self._judge_overlap(now)
        elif self.state in _WAITING and now >= self._due:
            if self._why is Why.PROBE and self.state is State.ROTATION_DUE and self._hole is not HoleState.PROBE:
                self._settle(now, "resolved")
            else:
                self._dial(now, "due", self._why)
        return self._take()

    def stop(self, reason: str) -> list[Command]:
        """Close everything, for good."""
        for s in (self._active, self._other):
            if s is not None:
                self._out.append(Close(s.id, CLOSE_NORMAL, reason))
        self._active = self._other = None
        self.state = State.STOPPED
        return self._take()

    # ------------------------------------------------------------------ rotation

    def _rotation_due(self, now: float, event: str) -> None:
        """A newer token is staged: when to dial with it."""
        active, policy = self._require(self._active), self._policy
        self._due = now if policy.reissue_revokes else now + self._rng.uniform(*policy.jitter_s)
        cut_at = active.cut_at()
        if not policy.overlap and not policy.reissue_revokes and cut_at is not None:
            self._due = max(self._due, cut_at)
        wait_until = max(self._credential.refused_until, self._pacer.earliest(now, burst=True))
        self._due, self._why = max(self._due, wait_until), Why.ROTATION
        self._go(event, State.ROTATION_DUE)

    def _rotation_failed(self, failed: Socket, failure: DialFailure, now: float) -> None:
        if failure.kind is FailureKind.UNAUTHORIZED:
            self._fresh_refused(failed, now, "unauthorized", failure.describe())
        else:
            self._refuses_second = failure.kind in _REFUSES_SECOND
            self._redial(now, "failed", failure.describe())

    def _fresh_refused(self, new: Socket, now: float, event: str, detail: str) -> None:
        """The platform does not take the token of the new socket; the old one lives."""
        self._report_dead(new.token.generation, detail)
        next_at_s = self._credential.refused_until if self._credential.failed(now) else None
        self._out.append(Setback("auth", detail, next_at_s))
        self._settle(now, event)

    def _redial(self, now: float, event: str, detail: str) -> None:
        """The new socket is no good while the old one lives: once more after the jitter, later once a second."""
        pace = self._rng.uniform(*self._policy.jitter_s) if not self._redials else _REDIAL_PACE_S
        self._redials += 1
        self._due = now + pace
        cut_at = self._require(self._active).cut_at()
        if self._refuses_second and cut_at is not None:
            self._due = min(self._due, max(now, cut_at))
        self._due = max(self._due, self._pacer.earliest(now, burst=True))
        self._out.append(Setback("rotation", detail, self._due))
        self._go(event, State.ROTATION_DUE)

    def _judge_overlap(self, now: float) -> None:
        new = self._require(self._other)
        end = judge_overlap(new, self._require(self._active), self._hole, now)
        if end == "new_silent":
            self._out.append(Close(new.id, CLOSE_NORMAL, "silent"))
            self._other = None
            self._redial(now, end, "the new socket delivers nothing, or not what is missing")
        elif end is not None:
            self._promote(now, end)

    def _promote(self, now: float, event: str) -> None:
        """The new socket takes over; the old one is closed."""
        old = self._require(self._active)
        self._out.append(Close(old.id, CLOSE_NORMAL, "token refresh"))
        self._take_over(old, now, event)

    def _take_over(self, old: Socket, now: float, event: str) -> None:
        self._forget_if_healthy(old, now)
        new = self._require(self._other)
        self._active, self._other = new, None
        if new.token.generation != old.token.generation:
            self._out.append(Rotated(new.token.generation, event, new.open_for(now)))
        self._settle(now, event)

    def _settle(self, now: float, event: str) -> None:
        """One socket is open: live, or due for a rotation if a newer token is staged."""
        self._redials = 0
        token = self._credential.usable(now)
        if token is not None and token.generation > self._require(self._active).token.generation:
            self._rotation_due(now, event)
        else:
            self._go(event, State.LIVE)

    # ------------------------------------------------------------------ the end of the only socket, or of the old

    def _active_closed(self, old: Socket, code: int, now: float, detail: str) -> None:
        self._forget_if_healthy(old, now)
        self._active = None
        if self._hole is HoleState.NONE:
            self._complete_at = max(self._complete_at, old.heard_at)  # it was quiet, not stale
        expired = code in self._policy.expired_codes or old.expired(now)
        if self.state is State.OVERLAP:
            self._take_over(old, now, "old_closed")
        elif self.state is State.ROTATING:
            if expired and self._require(self._other).token.generation == old.token.generation:
                self._report_dead(old.token.generation, detail)
            self._go("old_closed", State.DIALING)
        elif expired:
            self._token_died(old.token.generation, now, "expired", detail)
        else:
            self._network_failed(now, "dropped", detail)

    def _check_liveness(self, now: float) -> None:
        for s in self._open():
            if now >= s.heard_at + self._policy.silence_s:
                self._out.append(Close(s.id, CLOSE_NORMAL, "silent"))
                out, self._out = self._out, []
                self._out = out + self.closed(s.id, CLOSE_ABNORMAL, now, "silent")
            elif now >= s.ping_at:
                s.ping_at = now + self._policy.ping_s
                self._out.append(Ping(s.id))
