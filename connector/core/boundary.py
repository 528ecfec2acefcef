"""When a transaction ends: group commit, clocked by the commits themselves (DESIGN.md §3, "Transaction")."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

_BURST_S = 0.1
_SHARED_S = 1.0
"""How long after a change of lanes the budget counts as shared."""
_DEBT_S = 2.0
"""Urgent commits may run ahead of the budget; what they leave to others to wait is no longer than this."""


@dataclass(frozen=True, slots=True)
class CommitPolicy:
    """Configuration ``commit``: linger in seconds, bounds of one transaction, commits a second of the worker."""

    linger_s: float = 0.002
    max_events: int = 5000
    max_bytes: int = 8_388_608
    max_per_second: float = 200.0


class Boundary:
    """The open transaction of a lane: what is in it, and when it is to be committed."""

    def __init__(self, policy: CommitPolicy, opened_at: float, not_before: float) -> None:
        """``not_before``: the instant the worker's commit budget allows."""
        self._policy = policy
        self._linger_until = opened_at + policy.linger_s
        self._not_before = not_before
        self._urgent = False
        self.events = 0
        self.size_bytes = 0

    def add(self, events: int, size_bytes: int, *, urgent: bool) -> None:
        """Records were produced into the transaction."""
        self.events += events
        self.size_bytes += size_bytes
        self._urgent = self._urgent or urgent

    def room(self) -> int:
        """How many more records fit."""
        return max(0, self._policy.max_events - self.events) if self.size_bytes < self._policy.max_bytes else 0

    def due_at(self) -> float:
        """When to commit: at once where an urgent event is in it, else after the linger and within the budget."""
        return 0.0 if self._urgent else max(self._linger_until, self._not_before)


class CommitBudget:
    """Commits a second of one worker, shared by its lanes' threads (generic cell rate, a tenth of a second's burst).

    It keeps many quiet lanes from drowning the brokers in commits; a lane that commits alone is not slowed.
    """

    def __init__(self, max_per_second: float) -> None:
        self._lock = Lock()
        self._interval_s = 1.0 / max_per_second
        self._next = 0.0
        self._lane: int | None = None
        self._shared_until = 0.0

    def reserve(self, lane: int, now: float) -> float:
        """Take one commit; returns the instant from which it may happen."""
        with self._lock:
            if lane != self._lane:
                if self._lane is not None:
                    self._shared_until = now + _SHARED_S
                self._lane = lane
            if now >= self._shared_until:
                return now
            earliest = max(now, self._next - _BURST_S)
            self._next = min(max(now, self._next) + self._interval_s, now + _DEBT_S)
            return earliest
