"""When a stream dials for a second socket while the first lives, and when it must do without a second. Pure.

A rotation has no back-off of the network's kind: the old socket lives, nothing is interrupted. What is refused is still
not asked for again all the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.core.credential import Credential
from connector.core.sockets import Socket
from connector.core.states import Policy
from connector.core.steps import HoleState
from connector.model import FailureKind

if TYPE_CHECKING:
    from random import Random

CUT_BEFORE_S = 5.0
_REDIAL_PACE_S = 1.0
_REDIAL_SLOWEST_S = 30.0
_REFUSES_SECOND = frozenset({FailureKind.THROTTLED, FailureKind.REJECTED})


class Rotation:
    """``refuses_second``: the platform did not take a second socket, the last time it was asked."""

    def __init__(self, policy: Policy, rng: Random, credential: Credential) -> None:
        self._policy = policy
        self._rng = rng
        self._credential = credential
        self._redials = 0
        self.refuses_second = False

    def due(self, active: Socket, now: float) -> float:
        """A newer token is staged: when to dial with it."""
        policy = self._policy
        due = now if policy.reissue_revokes else now + self._jitter()
        if not policy.overlap and not policy.reissue_revokes and active.token.expires_at_s is not None:
            due = max(due, self._cut_at(active))
        return max(due, self._credential.refused_until)

    def redial(self, active: Socket, now: float, kind: FailureKind | None) -> float:
        """The new socket came to nothing (``kind``: its dial's failure): when to dial again.

        After the jitter, later once a second. A platform that refuses a second socket is asked less often, every
        half minute at least, and at the latest when the old socket must be given up.
        """
        first, self._redials = not self._redials, self._redials + 1
        if kind is FailureKind.FORBIDDEN:
            self._credential.forbidden(now)
            return self._credential.refused_until
        if kind in _REFUSES_SECOND:
            self.refuses_second = True
        if kind is FailureKind.EXPIRED_POSITION:
            return now + _REDIAL_PACE_S
        if first:
            return now + self._jitter()
        if not self.refuses_second:
            return now + _REDIAL_PACE_S
        left_s = self._cut_at(active) - now
        if left_s <= _REDIAL_PACE_S:
            return now + max(0.0, left_s)
        return now + min(max(_REDIAL_PACE_S, left_s / 8), _REDIAL_SLOWEST_S)

    def starved(self) -> None:
        """The new socket was open and showed nothing, while the old one delivered: twice in a row is a refusal too."""
        self.refuses_second = self.refuses_second or self._redials > 0

    def settled(self) -> None:
        """One socket is left: the next redial is the first again."""
        self._redials = 0

    def must_cut(self, active: Socket, hole: HoleState, now: float) -> bool:
        """Whether the old socket must be closed before the dial.

        Where a second one is refused: at the last moment; or at once where a hole keeps everything back anyway.
        """
        if not self._policy.overlap:
            return True
        return self.refuses_second and (hole is HoleState.PROBE or now >= self._cut_at(active))

    def _cut_at(self, active: Socket) -> float:
        """The last moment: shortly before the old token dies. Of unknown life, it has a buffer from the refresh on."""
        token = active.token
        expires = token.expires_at_s
        if expires is None:
            expires = self._credential.staged_at + token.buffer_s
        return expires - min(CUT_BEFORE_S, token.buffer_s / 4)

    def _jitter(self) -> float:
        return self._rng.uniform(*self._policy.jitter_s)
