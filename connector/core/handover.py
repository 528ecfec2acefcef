"""One stream's sockets: connect, rotate by overlap, recover. Pure; the caller executes the commands.

Rules (DESIGN.md §5; the guide's sections 1-3):

* single-flight: at most one dial is under way, at most two sockets are open;
* a rotation is make-before-break, with no back-off, and neither feeds nor resets the network's failures;
* an expiry (close code, 401, any close past ``exp``) is an emergency: report the generation, dial as soon as a newer
  one is there; refused again with a fresh token it is ``REFUSED``, which has a back-off of its own;
* the old socket dying while a dial with a newer token is under way is neither an emergency nor a second dial.

The caller announces facts (``opened``, ``closed``, ``progressed``, …) and calls :meth:`Handover.tick` at
:meth:`Handover.deadline`. Facts about sockets this machine has let go of are ignored. This module must not know
positions: whether a socket has caught up, and what is known of a hole, are told by the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from connector.core.ledger import HoleState
from connector.core.reconnect import Backoff, DialPacer, healthy
from connector.core.states import (
    TRANSITIONS,
    Close,
    Command,
    Dial,
    Ping,
    Policy,
    ReportDead,
    Rotated,
    Setback,
    State,
    Why,
)
from connector.errors import IllegalTransitionError
from connector.model import DialFailure, FailureKind, Token

CLOSE_NORMAL = 1000
CLOSE_ABNORMAL = 1006
_REDIAL_PACE_S = 1.0
_DIAL_TIMEOUT_S = 10.0
_WAITING = frozenset({State.ROTATION_DUE, State.BACKING_OFF, State.BREAKER_OPEN, State.REFUSED})


@dataclass(slots=True)
class _Socket:
    id: int
    token: Token
    why: Why
    opened_at: float | None = None
    heard_at: float = 0.0
    event_at: float | None = None
    ping_at: float = 0.0
    advanced: bool = False
    caught_up: bool = False


class Handover:
    """The state machine of one stream's connection. Every method returns the commands to execute, in order."""

    def __init__(self, policy: Policy, rng: Random, now: float) -> None:
        self.state = State.AWAITING_TOKEN
        self.backoff = Backoff(policy.network, rng)
        self.paused = False
        self._policy = policy
        self._rng = rng
        self._pacer = DialPacer()
        self._token: Token | None = None
        self._dead = 0
        self._active: _Socket | None = None
        self._other: _Socket | None = None
        self._next_id = 0
        self._due: float | None = None
        self._why = Why.START
        self._complete_at = now
        self._auth_failures = 0
        self._redials = 0
        self._refuses_second = False
        self._hole = HoleState.NONE
        self._out: list[Command] = []

    # ------------------------------------------------------------------ what others may ask

    @property
    def open_sockets(self) -> int:
        """How many sockets are open (0 to 2)."""
        return sum(s is not None and s.opened_at is not None for s in (self._active, self._other))

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._active is not None

    def deadline(self) -> float | None:
        """When :meth:`tick` has something to do."""
        instants = [self._due] if self.state in _WAITING and self._due is not None else []
        if self.state is State.OVERLAP:
            instants.append(self._overlap_deadline())
        if not self.paused:
            for s in self._open():
                instants += [s.ping_at, s.heard_at + self._policy.silence_s]
        return min(instants, default=None)

    # ------------------------------------------------------------------ facts

    def token_ready(self, token: Token, now: float) -> list[Command]:
        """A token is there; of a greater generation than any before, or it is ignored."""
        if self._token is None or token.generation > self._token.generation:
            self._token = token
            if self.state is State.AWAITING_TOKEN:
                self._dial(now, "token", self._why)
            elif self.state is State.LIVE:
                self._rotation_due(now, "token")
        return self._take()

    def opened(self, socket: int, now: float) -> list[Command]:
        """A dial succeeded."""
        new = self._other
        if new is None or new.id != socket or self.state is State.STOPPED:
            self._out.append(Close(socket, CLOSE_NORMAL, "not needed"))
            return self._take()
        new.opened_at = new.heard_at = now
        new.ping_at = now + self._policy.ping_s
        if self.state is State.DIALING:
            self._active, self._other = new, None
            if new.why is Why.ROTATION:
                self._out.append(Rotated(new.token.generation, "sequential", 0.0))
            self._settle(now, "opened")
        elif self.paused:
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
        if self.state is State.ROTATING:
            self._rotation_failed(failed, failure, now)
        elif failure.kind is FailureKind.UNAUTHORIZED:
            self._token_died(failed.token.generation, now, "unauthorized", failure.describe())
        elif failure.kind is FailureKind.FORBIDDEN:
            self._auth_failures += 1
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
                self._report_dead(new.token.generation, detail)
                self._settle(now, "new_expired")
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
        self._consider(hole, now)
        return self._take()

    def hole_changed(self, hole: HoleState, now: float) -> list[Command]:
        """The ledger's view of the first hole, whenever sockets were opened or closed."""
        self._consider(hole, now)
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
            s.heard_at = now
            s.ping_at = now + self._policy.ping_s

    def tick(self, now: float) -> list[Command]:
        """Time has passed."""
        if not self.paused:
            self._check_liveness(now)
        if self.state is State.OVERLAP:
            self._judge_overlap(now)
        elif self.state in _WAITING and self._due is not None and now >= self._due:
            if self.state is State.ROTATION_DUE:
                self._rotate(now)
            else:
                self._dial(now, "due", Why.NETWORK if self.state is not State.REFUSED else Why.EMERGENCY)
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
        active = self._require(self._active)
        low, high = self._policy.jitter_s
        jitter = 0.0 if self._policy.reissue_revokes else self._rng.uniform(low, high)
        self._due = now + jitter
        expires = active.token.expires_at_s
        if not self._policy.overlap and not self._policy.reissue_revokes and expires is not None:
            self._due = max(self._due, expires - min(5.0, active.token.buffer_s / 4))
        self._why = Why.ROTATION
        self._go(event, State.ROTATION_DUE)

    def _rotate(self, now: float) -> None:
        active = self._require(self._active)
        if self._why is Why.PROBE and self._hole is not HoleState.PROBE:
            self._settle(now, "resolved")
            return
        if self.paused or not self._policy.overlap or self._must_cut(active, now):
            self._out.append(Close(active.id, CLOSE_NORMAL, "token refresh"))
            self._active = None
        self._dial(now, "due", self._why)

    def _must_cut(self, active: _Socket, now: float) -> bool:
        """The platform refuses a second socket and the old token is about to die."""
        expires = active.token.expires_at_s
        return self._refuses_second and expires is not None and now >= expires - min(5.0, active.token.buffer_s / 4)

    def _rotation_failed(self, failed: _Socket, failure: DialFailure, now: float) -> None:
        if failure.kind is FailureKind.UNAUTHORIZED:
            self._report_dead(failed.token.generation, failure.describe())
            self._settle(now, "unauthorized")
            return
        self._refuses_second = failure.kind is not FailureKind.NETWORK
        self._redial(now, "failed", failure.describe(), failure.retry_after_s)

    def _consider(self, hole: HoleState, now: float) -> None:
        self._hole = hole
        if self.state is State.OVERLAP:
            self._judge_overlap(now)
        elif hole is HoleState.PROBE and self.state is State.LIVE:
            self._due = self._pacer.earliest(now, burst=True)
            self._why = Why.PROBE
            self._go("suspected", State.ROTATION_DUE)

    def _redial(self, now: float, event: str, detail: str, retry_after_s: float | None = None) -> None:
        """The new socket is no good while the old one lives: once more after the jitter, later once a second."""
        pace = self._rng.uniform(*self._policy.jitter_s) if not self._redials else _REDIAL_PACE_S
        self._redials += 1
        self._due = now + max(pace, retry_after_s or 0.0)
        active = self._require(self._active)
        if self._refuses_second and active.token.expires_at_s is not None:
            cut_at = active.token.expires_at_s - min(5.0, active.token.buffer_s / 4)
            self._due = min(self._due, max(now, cut_at))
        self._out.append(Setback("rotation", detail, self._due))
        self._go(event, State.ROTATION_DUE)

    def _overlap_deadline(self) -> float:
        new, old = self._require(self._other), self._require(self._active)
        since = new.opened_at or 0.0
        buffer_s = new.token.buffer_s
        limit = since + min(2.0, buffer_s / 2)
        if old.event_at is None or old.event_at < since:
            return min(limit, since + min(1.0, buffer_s / 8))
        return limit

    def _judge_overlap(self, now: float) -> None:
        new, old = self._require(self._other), self._require(self._active)
        if new.caught_up:
            self._promote(now, "caught_up")
        elif now >= self._overlap_deadline():
            old_delivers = old.event_at is not None and old.event_at >= (new.opened_at or 0.0)
            ahead_of_hole = self._hole is HoleState.WAIT and old_delivers
            if new.event_at is None and not old_delivers:
                self._promote(now, "quiet")
            elif new.event_at is not None and not ahead_of_hole:
                self._promote(now, "time_up")
            else:
                self._out.append(Close(new.id, CLOSE_NORMAL, "silent"))
                self._other = None
                self._redial(now, "new_silent", "the new socket delivers nothing" if not ahead_of_hole else "hole")

    def _promote(self, now: float, event: str) -> None:
        """The new socket takes over; the old one is closed."""
        old, new = self._require(self._active), self._require(self._other)
        self._out.append(Close(old.id, CLOSE_NORMAL, "token refresh"))
        self._take_over(old, new, now, event)

    def _take_over(self, old: _Socket, new: _Socket, now: float, event: str) -> None:
        self._forget_if_healthy(old, now)
        self._active, self._other = new, None
        if new.token.generation != old.token.generation:
            self._out.append(Rotated(new.token.generation, event, max(0.0, now - (new.opened_at or now))))
        self._settle(now, event)

    def _settle(self, now: float, event: str) -> None:
        """One socket is open: live, or due for a rotation if a newer token is staged."""
        active = self._require(self._active)
        self._redials = 0
        if self._token is not None and self._usable(now) and self._token.generation > active.token.generation:
            self._rotation_due(now, event)
        else:
            self._go(event, State.LIVE)

    # ------------------------------------------------------------------ endings

    def _active_closed(self, old: _Socket, code: int, now: float, detail: str) -> None:
        self._forget_if_healthy(old, now)
        self._active = None
        if self.state is State.OVERLAP:
            self._take_over(old, self._require(self._other), now, "old_closed")
            return
        if self.state is State.ROTATING:
            self._go("old_closed", State.DIALING)
            return
        expires = old.token.expires_at_s
        if code in self._policy.expired_codes or (expires is not None and now >= expires):
            self._token_died(old.token.generation, now, "expired", detail)
        else:
            self._network_failed(now, "dropped", detail)

    def _token_died(self, generation: int, now: float, event: str, detail: str) -> None:
        """Emergency: not a network failure. With a newer token dial at once; else one refresh, then dial."""
        self._report_dead(generation, detail)
        newer = self._token is not None and self._token.generation > generation
        if not newer:
            self._auth_failures += 1
        if self._auth_failures > 1:
            self._refused(now, event, detail)
        else:
            self._dial(now, event, Why.EMERGENCY)

    def _refused(self, now: float, event: str, detail: str) -> None:
        network = self._policy.network
        cap = min(network.backoff_max_s, network.backoff_s * 2.0 ** min(max(self._auth_failures - 2, 0), 32))
        self._due = now + self._rng.uniform(cap / 2, cap)
        self._out.append(Setback("auth", detail, self._due))
        self._go(event, State.REFUSED)

    def _network_failed(self, now: float, event: str, detail: str, retry_after_s: float | None = None) -> None:
        self._due = self.backoff.failed(now, self._complete_at, retry_after_s)
        self._out.append(Setback("network", detail, self._due))
        self._go(event, State.BREAKER_OPEN if self.backoff.breaker_open else State.BACKING_OFF)

    def _check_liveness(self, now: float) -> None:
        for s in self._open():
            if now >= s.heard_at + self._policy.silence_s:
                self._out.append(Close(s.id, CLOSE_NORMAL, "silent"))
                out, self._out = self._out, []
                self._out = out + self.closed(s.id, CLOSE_ABNORMAL, now, "silent")
            elif now >= s.ping_at:
                s.ping_at = now + self._policy.ping_s
                self._out.append(Ping(s.id))

    # ------------------------------------------------------------------ inside

    def _dial(self, now: float, event: str, why: Why) -> None:
        token = self._token
        if token is None or not self._usable(now):
            if token is not None:
                self._report_dead(token.generation, "expired")
            self._why = Why.EMERGENCY
            self._go(event, State.AWAITING_TOKEN if self._active is None else State.LIVE)
            return
        not_before = self._pacer.earliest(now, burst=why is not Why.NETWORK)
        self._pacer.dialled(not_before)
        self._next_id += 1
        self._other = _Socket(self._next_id, token, why)
        timeout = min(_DIAL_TIMEOUT_S, max(1.0, token.buffer_s)) if self._active is not None else _DIAL_TIMEOUT_S
        self._out.append(Dial(self._next_id, token, why, not_before, timeout))
        self._go(event, State.DIALING if self._active is None else State.ROTATING)

    def _usable(self, now: float) -> bool:
        token = self._token
        return (
            token is not None
            and token.generation > self._dead
            and (token.expires_at_s is None or now < token.expires_at_s)
        )

    def _report_dead(self, generation: int, cause: str) -> None:
        if generation > self._dead:
            self._dead = generation
            self._out.append(ReportDead(generation, cause))

    def _forget_if_healthy(self, s: _Socket, now: float) -> None:
        if s.opened_at is not None and healthy(now - s.opened_at, advanced=s.advanced):
            self.backoff.reset()
            self._auth_failures = 0

    def _open(self) -> list[_Socket]:
        return [s for s in (self._active, self._other) if s is not None and s.opened_at is not None]

    def _find(self, socket: int) -> _Socket | None:
        return next((s for s in (self._active, self._other) if s is not None and s.id == socket), None)

    def _require(self, s: _Socket | None) -> _Socket:
        if s is None:
            raise IllegalTransitionError(f"{self.state} without the socket it needs")
        return s

    def _go(self, event: str, target: State) -> None:
        if target not in TRANSITIONS[self.state].get(event, ()):
            raise IllegalTransitionError(f"{self.state} does not lead to {target} by {event!r}")
        self.state = target

    def _take(self) -> list[Command]:
        out, self._out = self._out, []
        return out
