"""What a stream's connection does with one socket: dial, and recover from whatever ended it. Pure.

The other half, two sockets and the facts that arrive, is :mod:`connector.core.handover`.
"""

from __future__ import annotations

from random import Random

from connector.core.credential import Credential
from connector.core.ledger import HoleState
from connector.core.reconnect import Backoff, DialPacer
from connector.core.sockets import Socket
from connector.core.states import TRANSITIONS, Close, Command, Dial, Policy, ReportDead, Setback, State, Why
from connector.errors import IllegalTransitionError

CLOSE_NORMAL = 1000
_DIAL_TIMEOUT_S = 10.0


class Dialling:
    """The state, the sockets (``_active`` delivers; ``_other`` is dialled, or overlaps), the newest token, the pace."""

    def __init__(self, policy: Policy, rng: Random, now: float) -> None:
        self.state = State.AWAITING_TOKEN
        self.backoff = Backoff(policy.network, rng)
        self.paused = False
        self._policy = policy
        self._pacer = DialPacer()
        self._credential = Credential(policy.network, rng)
        self._active: Socket | None = None
        self._other: Socket | None = None
        self._next_id = 0
        self._due = now
        self._why = Why.START
        self._complete_at = now
        self._refuses_second = False
        self._hole = HoleState.NONE
        self._out: list[Command] = []

    def _dial(self, now: float, event: str, why: Why) -> None:
        """Dial with the newest token; without a living one wait for it, too early wait for the pace."""
        self._why = why
        token = self._credential.usable(now)
        if token is None:
            self._why = Why.EMERGENCY  # once there is one: at once
            self._report_dead(self._credential.generation, "expired")
            self._go(event, State.AWAITING_TOKEN if self._active is None else State.LIVE)
            return
        earliest = self._pacer.earliest(now, burst=why is not Why.NETWORK)
        if earliest > now:
            self._due = earliest
            self._go(event, State.BACKING_OFF if self._active is None else State.ROTATION_DUE)
            return
        active = self._active
        if active is not None and (self.paused or not self._policy.overlap or self._must_cut(active, now)):
            reason = "token refresh" if why is Why.ROTATION else "asking again"
            self._out.append(Close(active.id, CLOSE_NORMAL, reason))
            self._active = None
        self._pacer.dialled(now)
        self._next_id += 1
        self._other = Socket(self._next_id, token, why)
        timeout = _DIAL_TIMEOUT_S if self._active is None else min(_DIAL_TIMEOUT_S, max(1.0, token.buffer_s))
        self._out.append(Dial(self._next_id, token, why, now, timeout))
        self._go(event, State.DIALING if self._active is None else State.ROTATING)

    def _must_cut(self, active: Socket, now: float) -> bool:
        """The platform refuses a second socket and the old token is about to die."""
        cut_at = active.cut_at()
        return self._refuses_second and cut_at is not None and now >= cut_at

    # ------------------------------------------------------------------ endings

    def _token_died(self, generation: int, now: float, event: str, detail: str) -> None:
        """Emergency: not a network failure. With a newer token dial at once; else one refresh, then dial."""
        self._report_dead(generation, detail)
        if self._credential.usable(now) is None and self._credential.failed(now):
            self._refused(now, event, detail)
        else:
            self._dial(now, event, Why.EMERGENCY)

    def _refused(self, now: float, event: str, detail: str) -> None:
        self._due = max(self._credential.refused_until, self._pacer.earliest(now, burst=True))
        self._why = Why.EMERGENCY
        self._out.append(Setback("auth", detail, self._due))
        self._go(event, State.REFUSED)

    def _network_failed(self, now: float, event: str, detail: str, retry_after_s: float | None = None) -> None:
        due = self.backoff.failed(now, self._complete_at, retry_after_s)
        self._due, self._why = max(due, self._pacer.earliest(now, burst=False)), Why.NETWORK
        self._out.append(Setback("network", detail, self._due))
        self._go(event, State.BREAKER_OPEN if self.backoff.breaker_open else State.BACKING_OFF)

    # ------------------------------------------------------------------ inside

    def _report_dead(self, generation: int, cause: str) -> None:
        if self._credential.died(generation):
            self._out.append(ReportDead(generation, cause))

    def _forget_if_healthy(self, s: Socket, now: float) -> None:
        if s.healthy(now):
            self.backoff.reset()
            self._credential.healthy()

    def _open(self) -> list[Socket]:
        return [s for s in (self._active, self._other) if s is not None and s.opened_at is not None]

    def _find(self, socket: int) -> Socket | None:
        return next((s for s in (self._active, self._other) if s is not None and s.id == socket), None)

    def _require(self, s: Socket | None) -> Socket:
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
