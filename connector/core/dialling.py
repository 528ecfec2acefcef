"""What a stream's connection does with one socket: dial, and recover from whatever ended it. Pure.

The other half, two sockets and the facts that arrive, is :mod:`connector.core.handover`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.core.credential import Credential
from connector.core.reconnect import Backoff, DialPacer
from connector.core.rotation import Rotation
from connector.core.sockets import Socket
from connector.core.states import TRANSITIONS, Close, Command, Dial, Policy, ReportDead, Rotated, Setback, State, Why
from connector.core.steps import HoleState
from connector.errors import IllegalTransitionError
from connector.model import DialFailure, FailureKind, Token, Trouble

if TYPE_CHECKING:
    from random import Random

CLOSE_NORMAL = 1000
_DIAL_TIMEOUT_S = 10.0
_BURST = frozenset({Why.START, Why.ROTATION, Why.EMERGENCY})


class Dialling:
    """The state, the sockets (``_active`` delivers; ``_other`` is dialled, or overlaps), the newest token, the pace."""

    def __init__(self, policy: Policy, rng: Random, complete_at: float) -> None:
        """``complete_at``: until when the stream is known complete, as far as anybody knows."""
        self.state = State.AWAITING_TOKEN
        self.backoff = Backoff(policy.network, rng)
        self.paused = False
        self._policy = policy
        self._pacer = DialPacer()
        self._credential = Credential(policy.network, rng)
        self._rotation = Rotation(policy, rng, self._credential)
        self._active: Socket | None = None
        self._other: Socket | None = None
        self._last_id = 0
        self._due = 0.0
        self._why = Why.START
        self._complete_at = complete_at
        self._hole = HoleState.NONE
        self._out: list[Command] = []

    # ------------------------------------------------------------------ what others may ask

    @property
    def open_sockets(self) -> int:
        """How many sockets are open (0 to 2)."""
        return len(self._open())

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._active is not None

    @property
    def heard_at_s(self) -> float | None:
        """When the active socket last gave a sign of life; None where there is none yet (a handshake is no sign)."""
        return None if self._active is None else self._active.heard_at

    # ------------------------------------------------------------------ dialling

    def _dial(self, now: float, event: str, why: Why) -> None:
        """Dial with the newest token. Without a living one wait for it; too early, wait for the pace."""
        token = self._credential.usable(now)
        if token is None:
            self._report_dead(self._credential.generation, "expired")
            self._why = Why.EMERGENCY  # once there is one: at once
            self._go(event, State.AWAITING_TOKEN if self._active is None else State.LIVE)
            return
        earliest = self._earliest(now, why)
        if earliest > now:
            self._due, self._why = earliest, why  # never of a second socket: that is due when the pace allows it
            self._go(event, State.BACKING_OFF)
            return
        active = self._active
        unread = self.paused and self._policy.resumes  # replay covers it
        cut = active is not None and (unread or self._rotation.must_cut(active, self._hole, now))
        if active is not None and cut:
            reason = "token refresh" if why is Why.ROTATION else "asking again"
            self._let_go(active, now)
            self._out.append(Close(active.id, CLOSE_NORMAL, reason))
            self._active = None
        self._pacer.dialled(now)
        self._last_id += 1
        replaces = None if active is None else active.token.generation
        self._other = Socket(self._last_id, token, why, replaces, cut)
        self._out.append(Dial(self._last_id, token, why, now, self._timeout_s(token)))
        self._go(event, State.DIALING if self._active is None else State.ROTATING)

    def _earliest(self, now: float, why: Why) -> float:
        return self._pacer.earliest(now, burst=why in _BURST)

    def _timeout_s(self, token: Token) -> float:
        """The buffer is what the old token has left: a dial that takes longer is of no use."""
        return _DIAL_TIMEOUT_S if self._active is None else min(_DIAL_TIMEOUT_S, max(1.0, token.buffer_s))

    # ------------------------------------------------------------------ without a socket

    def _lone_failed(self, failed: Socket, failure: DialFailure, now: float) -> None:
        """No other socket is open."""
        trouble = failure.trouble
        match failure.kind:
            case FailureKind.UNAUTHORIZED:
                self._token_died(failed.token.generation, now, "unauthorized", trouble)
            case FailureKind.FORBIDDEN:
                self._credential.forbidden(now)
                self._refused(now, "forbidden", trouble)
            case FailureKind.EXPIRED_POSITION:
                self._dial(now, "expired_position", Why.NETWORK)
            case _:
                self._network_failed(now, "failed", trouble)

    def _lost(self, old: Socket, code: int, now: float, trouble: Trouble) -> None:
        """The only socket has ended."""
        if self._expired(old, code, now):
            self._token_died(old.token.generation, now, "expired", trouble)
        else:
            self._network_failed(now, "dropped", trouble)

    def _token_died(self, generation: int, now: float, event: str, trouble: Trouble) -> None:
        """Emergency: not a network failure. With a newer token dial at once; else one refresh, then dial."""
        self._report_dead(generation, trouble.detail)
        if generation == self._credential.generation:
            self._credential.refused(now)
        if self._credential.refused_until > now:
            self._refused(now, event, trouble)
        else:
            self._dial(now, event, Why.EMERGENCY)

    def _refused(self, now: float, event: str, trouble: Trouble) -> None:
        self._why = Why.EMERGENCY
        self._due = max(self._credential.refused_until, self._earliest(now, self._why))
        self._out.append(Setback("auth", trouble, self._due))
        self._go(event, State.REFUSED)

    def _network_failed(self, now: float, event: str, trouble: Trouble) -> None:
        self._why = Why.NETWORK
        self._due = max(self.backoff.failed(now, self._complete_at), self._earliest(now, self._why))
        self._out.append(Setback("network", trouble, self._due))
        self._go(event, State.BREAKER_OPEN if self.backoff.breaker_open else State.BACKING_OFF)

    # ------------------------------------------------------------------ inside

    def _expired(self, s: Socket, code: int, now: float) -> bool:
        """Whether a socket's end is its token's."""
        return code in self._policy.expired_codes or s.expired(now)

    def _report_dead(self, generation: int, cause: str) -> None:
        if self._credential.died(generation):
            self._out.append(ReportDead(generation, cause))

    def _let_go(self, s: Socket, now: float) -> None:
        """A socket has ended, or is about to: what it was good for."""
        self._forget_if_healthy(s, now)
        if s.healthy(now) and s.heard_at is not None and self._hole is HoleState.NONE:
            self._complete_at = max(self._complete_at, s.heard_at)  # it was quiet, not stale

    def _rotated(self, new: Socket, how: str, overlap_s: float, now: float) -> None:
        took_s = max(0.0, now - self._credential.staged_at)
        self._out.append(Rotated(new.token.generation, how, overlap_s, took_s))

    def _forget_if_healthy(self, s: Socket, now: float) -> None:
        if s.healthy(now):
            self.backoff.reset()
            self._credential.healthy(s.token.generation)

    def _open(self) -> list[Socket]:
        return [s for s in (self._active, self._other) if s is not None and s.opened_at is not None]

    def _only(self) -> Socket:
        if self._active is None:
            raise IllegalTransitionError(f"{self.state} without a socket")
        return self._active

    def _pair(self) -> tuple[Socket, Socket]:
        """The new socket and the old one."""
        if self._active is None or self._other is None:
            raise IllegalTransitionError(f"{self.state} without two sockets")
        return self._other, self._active

    def _go(self, event: str, target: State) -> None:
        if target not in TRANSITIONS[self.state].get(event, ()):
            raise IllegalTransitionError(f"{self.state} does not lead to {target} by {event!r}")
        self.state = target

    def _take(self) -> list[Command]:
        out, self._out = self._out, []
        return out
