"""What one socket does next. Pure: the shell in ``sockets`` writes, waits and asks again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from connector.simulator.ledger import SocketRecord
from connector.simulator.stream import StreamLog
from connector.simulator.tokens import IssuedToken


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until the instant (seconds, the machine's clock), unless something happens."""

    until_s: float


@dataclass(frozen=True, slots=True)
class Ending:
    """Close with this code; ``expiry``: because the token has died."""

    code: int
    reason: str
    expiry: bool = False


@dataclass(slots=True)
class Session:
    """State of one accepted socket.

    ``slot`` is the last one sent. ``order`` is an ending that someone asked for; it waits while the socket is frozen,
    since a frozen platform sends nothing. ``aside`` holds frames outside the sequence.
    """

    log: StreamLog
    token: IssuedToken
    record: SocketRecord
    slot: int
    silent_until_s: float
    close_code: int
    clock_skew_s: float
    frozen_until_s: float = 0.0
    order: Ending | None = None
    aside: deque[bytes] = field(default_factory=deque)
    first_slot: int = 0

    def __post_init__(self) -> None:
        self.first_slot = self.slot

    def frozen(self, now_s: float) -> bool:
        """Whether nothing may be sent or answered."""
        return now_s < self.frozen_until_s

    def ending(self, now_s: float) -> Ending | Rest:
        """Whether the socket is to be closed now, or when to ask again."""
        if self.frozen(now_s):
            return Rest(self.frozen_until_s)
        if self.order is not None:
            return self.order
        ended = self.token.ended(now_s + self.clock_skew_s)
        if ended is not None:
            return Ending(self.close_code, ended, expiry=True)
        return Rest(self.token.expires_at_s - self.clock_skew_s)

    def sending(self, now_s: float) -> bytes | Rest:
        """The bytes to send next, which count as sent, or when to ask again."""
        held_until_s = max(self.frozen_until_s, self.silent_until_s)
        if now_s < held_until_s:
            return Rest(held_until_s)
        if self.aside:
            self.record.frames_aside += 1
            return self.aside.popleft()
        head = self.log.timeline.head(now_s)
        if self.slot >= head:
            return Rest(self.log.timeline.time_of(self.slot + 1))
        self.slot, data = self.log.burst(self.slot, head)
        return data

    def hear(self, text: str) -> None:
        """A text message of the client: these platforms do not listen."""

    def repeat(self, count: int) -> None:
        """Send the last events of this socket once more."""
        first = max(self.first_slot, self.slot - count)
        while first < self.slot:
            first, data = self.log.burst(first, self.slot)
            self.aside.append(data)

    def write_down(self) -> None:
        """Bring the record up to date with what was sent."""
        self.record.sent = tuple(self.log.positions.runs(self.first_slot, self.slot))
        self.record.sent_events = self.slot - self.first_slot
