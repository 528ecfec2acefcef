"""The ledger of a platform without positions: events are told apart by what they carry, and numbered here.

It stands where :class:`connector.core.ledger.Ledger` stands for platforms that number their events, and speaks the same
words. Rules (docs/adr/0011):

* an event whose identity was seen within the window (bounded by time and count) is a duplicate, dropped and counted;
* a fresh one gets the next *ordinal* of the epoch as its position, so that positions are contiguous by construction;
* of several sockets the one opened first leads: what it shows is due at once. What another shows and it has not is held
  until it shows it too, or ends, or a moment has passed: it may still bring what belongs before, since the new socket
  knows nothing of what happened before it subscribed;
* what the other showed before, of the same key, goes first: the leading socket has skipped it;
* once no socket was there, nobody can say what was missed: the gap has a time interval, and a new epoch begins.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Generic, NamedTuple

from connector.core.steps import Deliver, GapFound, HoleState, Item, Step, Unreadable, Verdict
from connector.model import Checkpoint, Gap, GapReason, Lapse

WINDOW_S = 300.0
WINDOW_EVENTS = 20_000
PATIENCE_S = 1.0
"""How long an event that only a later socket has shown waits for the leading one."""


class _Arrival(NamedTuple, Generic[Item]):
    """Something a socket showed. ``key``: None for what cannot be read."""

    identity: str
    key: str | bytes | None
    time_ms: int | None
    at: float
    item: Item


class Recent(Generic[Item]):
    """What one stream has shown lately. ``high``: the ordinal of the last event of the epoch."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        identity: Callable[[Item], str],
        key: Callable[[Item], str | bytes],
        hold_limit: int = 5000,
    ) -> None:
        """``identity``: the same for two deliveries of an event. ``key``: of what must stay in order."""
        self.epoch = checkpoint.epoch
        self.high: int | None = checkpoint.position or 0
        self._identity = identity
        self._key = key
        self._hold_limit = hold_limit
        self.max_time_ms = checkpoint.event_time_ms
        self._seen: dict[str, float] = {}
        self._numbered = checkpoint.dead_letters[-1].ordinal if checkpoint.dead_letters else 0
        self._held: dict[int, dict[str, _Arrival[Item]]] = {}
        self._newest = ""
        self._newest_on: set[int] = set()
        self._steps: list[Step[Item]] = []

    # ------------------------------------------------------------------ sockets

    def opened(self, socket: int, asked: int | None) -> None:  # noqa: ARG002 - nobody can ask for a position here
        """A socket is being opened."""
        self._held[socket] = {}

    def closed(self, socket: int) -> None:
        """A socket will deliver nothing more: what waited for it is due."""
        held = self._held.pop(socket, {})
        if self._held:
            leading = next(iter(self._held))
            waiting, self._held[leading] = self._held[leading], {}
            held.update(waiting)
        for arrival in held.values():
            self._settle(arrival)

    def caught_up(self, socket: int) -> bool:
        """Whether the socket itself has shown the newest event."""
        return socket in self._newest_on

    def silent(self, socket: int) -> None:
        """Nothing is asked of a socket here that it might keep silent about."""

    # ------------------------------------------------------------------ items

    def admit(self, socket: int, position: int, time_ms: int | None, item: Item, now: float) -> Verdict:  # noqa: ARG002 - there is none
        """Place an event; the platform gives no position."""
        return self._arrive(socket, _Arrival(self._identity(item), self._key(item), time_ms, now, item))

    def unreadable(self, socket: int, sha256: str, item: Item, now: float) -> Verdict:
        """Place an item that cannot be read."""
        return self._arrive(socket, _Arrival(sha256, None, None, now, item))

    def take(self) -> list[Step[Item]]:
        """What has become due, in order."""
        steps, self._steps = self._steps, []
        return steps

    @property
    def held(self) -> int:
        """Events that wait for the leading socket."""
        return sum(map(len, self._held.values()))

    # ------------------------------------------------------------------ time

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to decide."""
        first = min((arrival.at for held in self._held.values() for arrival in held.values()), default=None)
        return None if first is None else first + PATIENCE_S

    def expire(self, now: float) -> None:
        """What has waited long enough for the leading socket is due without it."""
        for held in list(self._held.values()):
            for arrival in [a for a in held.values() if now >= a.at + PATIENCE_S]:
                self._settle(arrival)

    # ------------------------------------------------------------------ holes

    def hole(self) -> HoleState:
        """Ordinals have none."""
        return HoleState.NONE

    def prove(self) -> None:
        """There is no hole to be proven."""

    def skip_oversize(self, socket: int) -> bool:  # noqa: ARG002 - it has no position
        """The socket ends with it, and what is missed until the next is a gap by time."""
        return False

    def lost_track(self, lapse: Lapse) -> None:
        """No socket was there, or none that brought everything: what was missed cannot be named."""
        self.epoch += 1
        self.high = 0
        self._numbered = 0
        self._steps.append(GapFound(Gap(self.epoch, None, None, lapse.since_ms, lapse.until_ms, GapReason.NO_RESUME)))

    # ------------------------------------------------------------------ inside

    def _arrive(self, socket: int, arrival: _Arrival[Item]) -> Verdict:
        identity = arrival.identity
        if identity in self._seen:
            if identity == self._newest:
                self._newest_on.add(socket)
            return Verdict.DUPLICATE
        if socket != next(iter(self._held)):
            held = self._held[socket]
            if identity in held:
                return Verdict.DUPLICATE
            held[identity] = arrival
            if len(held) > self._hold_limit:
                self._settle(next(iter(held.values())))
            return Verdict.DEFERRED
        for held in list(self._held.values()):
            for before in _skipped(arrival, held):
                self._settle(before)
        self._settle(arrival)
        self._newest_on.add(socket)
        return Verdict.DEFERRED

    def _settle(self, arrival: _Arrival[Item]) -> None:
        """It is fresh, and due."""
        identity = arrival.identity
        self._newest, self._newest_on = identity, {s for s, held in self._held.items() if held.pop(identity, None)}
        self._remember(identity, arrival.at)
        high = self.high or 0
        if arrival.key is None:
            self._numbered += 1
            self._steps.append(Unreadable(high, self._numbered, None, identity, arrival.item))
            return
        self._numbered = 0
        self.high = high + 1
        if arrival.time_ms is not None:
            self.max_time_ms = max(arrival.time_ms, self.max_time_ms or arrival.time_ms)
        self._steps.append(Deliver(self.high, arrival.time_ms, arrival.item))

    def _remember(self, identity: str, now: float) -> None:
        seen = self._seen
        seen[identity] = now
        while (oldest := next(iter(seen))) != identity and (len(seen) > WINDOW_EVENTS or seen[oldest] < now - WINDOW_S):
            del seen[oldest]


def _skipped(arrival: _Arrival[Item], held: dict[str, _Arrival[Item]]) -> list[_Arrival[Item]]:
    """What another socket showed of the same key that belongs before an arrival of the leading one."""
    if not held:
        return []
    same = [other for other in held.values() if other.key == arrival.key]
    if arrival.identity in held:
        return list(takewhile(lambda other: other.identity != arrival.identity, same))
    if arrival.time_ms is None:
        return []
    return [other for other in same if other.time_ms is not None and other.time_ms < arrival.time_ms]
