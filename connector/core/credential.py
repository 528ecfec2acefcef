"""Which token a stream dials with, and what it does about one that is refused (DESIGN.md §4, "Emergency"). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.core.reconnect import NetworkPolicy
from connector.model import Token

if TYPE_CHECKING:
    from random import Random


class Credential:
    """The newest token, the generations known to be dead, and how often a fresh one was refused in a row.

    ``refused_until``: no dial with a refused stream's next token before that. ``staged_at``: when the newest came.
    """

    def __init__(self, policy: NetworkPolicy, rng: Random) -> None:
        self._policy = policy
        self._rng = rng
        self._newest: Token | None = None
        self._dead = 0
        self.refusals = 0
        self.refused_until = 0.0
        self.staged_at = 0.0

    @property
    def generation(self) -> int:
        """The newest token's; 0 where none has come."""
        return 0 if self._newest is None else self._newest.generation

    def offer(self, token: Token, now: float) -> bool:
        """A token came; False where it is not newer than any before."""
        if token.generation <= self.generation:
            return False
        self._newest, self.staged_at = token, now
        return True

    def usable(self, now: float) -> Token | None:
        """The newest token, if it lives."""
        token = self._newest
        if token is None or token.generation <= self._dead:
            return None
        return token if token.expires_at_s is None or now < token.expires_at_s else None

    def died(self, generation: int) -> bool:
        """A generation is dead; False where that, or the death of a later one, is known."""
        if generation <= self._dead:
            return False
        self._dead = generation
        return True

    def refused(self, now: float) -> None:
        """The newest token was refused or died; from the second time in a row on there is a back-off."""
        self.refusals += 1
        if self.refusals > 1:
            self._back_off(now)

    def forbidden(self, now: float) -> None:
        """A permission is missing: no new token helps."""
        self.refusals += 1
        self._back_off(now)

    def healthy(self, generation: int) -> None:
        """A socket was good: forget what was refused before, unless a later token was."""
        if generation >= self.generation:
            self.refusals = 0
            self.refused_until = 0.0

    def _back_off(self, now: float) -> None:
        doublings = min(max(self.refusals - 2, 0), 32)
        cap = min(self._policy.backoff_max_s, self._policy.backoff_s * 2.0**doublings)
        self.refused_until = now + self._rng.uniform(cap / 2, cap)
