"""Until when a stream is whole, where the platform replays nothing: its sockets' facts, with the platform's time."""

from __future__ import annotations

from connector.core.coverage import Coverage
from connector.model import Checkpoint, Lapse
from connector.stream.parts import Parts, StreamPlan


class Continuity:
    """What the sockets of one stream have covered (:mod:`connector.core.coverage`)."""

    def __init__(self, plan: StreamPlan, parts: Parts, checkpoint: Checkpoint, *, broken: bool) -> None:
        """``broken``: the stream has begun, and nobody listens."""
        self._coverage = Coverage(checkpoint.complete_until_ms, broken=broken)
        self._by_proof = plan.identity is not None
        self._tokens = parts.tokens
        self._clock = parts.shared.clock
        self._proven_at_s: float | None = None

    def opened(self, socket: int) -> Lapse | None:
        """A socket is open; returns what was missed before."""
        return self._coverage.opened(socket, self._tokens.platform_time_ms())

    def proven(self, socket: int) -> None:
        """The platform has shown that the socket brings all that was asked for."""
        self._coverage.proven(socket, self._tokens.platform_time_ms())
        self._proven_at_s = self._clock.now()

    def closed(self, socket: int, seen_ms: int | None, *, lapsed: bool) -> Lapse | None:
        """A socket has ended; ``seen_ms``: the latest event time. Returns what another that is open did not cover."""
        self._coverage.seen(seen_ms)
        return self._coverage.closed(socket, lapsed=lapsed)

    def whole_until_s(self, heard_at_s: float | None) -> float | None:
        """The last instant at which a socket that lives, and was heard then, is known to have brought everything."""
        return self._proven_at_s if self._by_proof and heard_at_s is not None else heard_at_s
