"""Network recovery: when to dial again. Never consulted by, nor fed from, a token rotation (guide §3).

Full jitter (the delay is uniform between 0 and the cap, so that it does not vanish at the cap); failures are
forgotten only by healthy time, never by a successful handshake alone; the breaker closes by itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

HEALTHY_ADVANCED_S = 2.0
"""Open so long with the ledger advanced: healthy."""
HEALTHY_OPEN_S = 10.0
"""Open so long at all: healthy."""

RETRY_AFTER_MAX_S = 300.0
"""A Retry-After is obeyed so far; beyond, a clock is more likely wrong than the platform away."""


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """Configuration ``network`` and the platform's retention, in seconds (None: the platform keeps nothing)."""

    backoff_s: float = 1.0
    backoff_max_s: float = 30.0
    breaker_failures: int = 5
    breaker_s: float = 30.0
    retention_s: float | None = None


def healthy(open_for_s: float, *, advanced: bool) -> bool:
    """Whether a socket was good for long enough to forget the failures before it."""
    return open_for_s >= HEALTHY_OPEN_S or (advanced and open_for_s >= HEALTHY_ADVANCED_S)


class Backoff:
    """Consecutive failures of one stream's network, and the instant of the next attempt."""

    def __init__(self, policy: NetworkPolicy, rng: Random) -> None:
        self._policy = policy
        self._rng = rng
        self.failures = 0

    @property
    def breaker_open(self) -> bool:
        """Whether so many failed in a row that the platform is left alone for a while."""
        return self.failures >= self._policy.breaker_failures

    def reset(self) -> None:
        """Forget the failures: a socket has been healthy."""
        self.failures = 0

    def failed(self, now: float, complete_at: float, retry_after_s: float | None = None) -> float:
        """Count a failure; returns the instant of the next attempt.

        ``complete_at``: until when the stream is known complete. Once a quarter of the retention has passed since,
        positions are at risk, and no wait is longer than an eighth of the retention. Retry-After (RFC 9110 §10.2.3)
        is obeyed all the same.
        """
        policy = self._policy
        self.failures += 1
        cap = min(policy.backoff_max_s, policy.backoff_s * 2.0 ** min(self.failures - 1, 32))
        wait = policy.breaker_s if self.breaker_open else self._rng.uniform(0, cap)
        due = now + wait
        if policy.retention_s is not None:
            due = min(due, max(complete_at + policy.retention_s / 4, now + policy.retention_s / 8))
        return max(due, now + min(retry_after_s or 0.0, RETRY_AFTER_MAX_S))


class DialPacer:
    """At most one dial a second; with ``burst`` (a rotation, an emergency) it may be the second within a second.

    None before the instant that the platform asked for (Retry-After).
    """

    def __init__(self) -> None:
        self._dialled: deque[float] = deque(maxlen=2)
        self._told_until = 0.0

    def told(self, now: float, retry_after_s: float | None) -> None:
        """The platform refused a dial, and may have said for how long."""
        self._told_until = max(self._told_until, now + min(retry_after_s or 0.0, RETRY_AFTER_MAX_S))

    def earliest(self, now: float, *, burst: bool) -> float:
        """The first instant, not before now, at which a dial is allowed."""
        instant = max(now, self._told_until)
        if not self._dialled or (burst and len(self._dialled) < 2):  # noqa: PLR2004 - the burst is two
            return instant
        return max(instant, (self._dialled[0] if burst else self._dialled[-1]) + 1.0)

    def dialled(self, instant: float) -> None:
        """Remember a dial."""
        self._dialled.append(instant)
