"""What the simulator did, as tests compare it with. Pure; instants are seconds on the machine's clock."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Literal

from connector.simulator.timeline import Run

CloseParty = Literal["simulator", "client", "network"]


@dataclass(frozen=True, slots=True)
class CloseRecord:
    """How a socket ended; code 1006 where there was no close frame (RFC 6455 §7.1.5)."""

    at_s: float
    code: int
    by: CloseParty
    reason: str


def lost(at_s: float) -> CloseRecord:
    """A connection that broke, or was let go, without a close frame."""
    return CloseRecord(at_s, 1006, "network", "connection lost")


@dataclass(slots=True)
class SocketRecord:
    """A socket's life. ``asked``: the position in the query; ``start``: it began after this one.

    ``sent`` are the positions that were handed to TCP, ``frames_aside`` what is not of the sequence: noise and
    events sent once more.
    """

    stream: str
    token: int
    asked: int | None
    start: int
    expired_position: bool
    opened_at_s: float
    number: int = 0
    sent: tuple[Run, ...] = ()
    sent_events: int = 0
    frames_aside: int = 0
    closed: CloseRecord | None = None


@dataclass(slots=True)
class Overlap:
    """How many sockets a stream has, had at most, and how long there were two or more."""

    now: int = 0
    most: int = 0
    seconds: float = 0.0
    _since_s: float = 0.0

    def change(self, by: int, now_s: float) -> None:
        """A socket more or less."""
        if self.now > 1:
            self.seconds += now_s - self._since_s
        self._since_s = now_s
        self.now += by
        self.most = max(self.most, self.now)

    def seconds_at(self, now_s: float) -> float:
        """Seconds with two sockets so far, those of the present overlap included."""
        return self.seconds + (now_s - self._since_s if self.now > 1 else 0.0)


class SimulatorLedger:
    """Sockets, overlaps and counts of the whole platform."""

    def __init__(self) -> None:
        self.sockets: list[SocketRecord] = []
        self.overlaps: defaultdict[str, Overlap] = defaultdict(Overlap)
        self.counts: Counter[str] = Counter()

    def opened(self, record: SocketRecord) -> None:
        """A socket was accepted; numbers its record."""
        self.sockets.append(record)
        record.number = len(self.sockets)
        self.overlaps[record.stream].change(+1, record.opened_at_s)
        self.counts["opens"] += 1
        self.counts["expired_positions"] += record.expired_position

    def closed(self, record: SocketRecord, close: CloseRecord, *, expiry: bool) -> None:
        """A socket ended; ``expiry``: because its token had died."""
        record.closed = close
        self.overlaps[record.stream].change(-1, close.at_s)
        self.counts["closes"] += 1
        self.counts["expiry_closes"] += expiry

    def of(self, stream: str) -> list[SocketRecord]:
        """The stream's sockets in the order in which they opened."""
        return [record for record in self.sockets if record.stream == stream]
