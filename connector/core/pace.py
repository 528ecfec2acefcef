"""How many requests an address may make: a token bucket each, a bounded number of them."""

from __future__ import annotations

from collections import OrderedDict

REQUESTS_PER_S = 100.0
BURST = 2000.0
"""A health check that looks at every stream asks once for each, one after the other."""
_ADDRESSES = 4096
"""Remembered at once; the one that asked longest ago is forgotten first, its bucket then being full again or nearly."""


class Pace:
    """Token buckets by client address (``now`` in seconds, any monotonic clock)."""

    def __init__(self, per_s: float = REQUESTS_PER_S, burst: float = BURST, addresses: int = _ADDRESSES) -> None:
        self._per_s = per_s
        self._burst = burst
        self._most = addresses
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, address: str, now: float) -> float:
        """Take one request of the address: 0 where it may go on, else the seconds until one would be let in."""
        left, at = self._buckets.pop(address, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_s)
        allowed = left >= 1
        self._buckets[address] = (left - 1 if allowed else left, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._per_s
