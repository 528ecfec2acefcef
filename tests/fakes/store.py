"""A store of shared tokens in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from connector.core.sharing import LOCK_S, Lock, Seen, fingerprint, pack, unpack
from connector.core.token_clock import Grant
from connector.errors import SharingError
from connector.ports import Clock


@dataclass
class Shelf:
    """What the workers' stores have in common. While ``away`` every operation fails; ``looks`` counts them."""

    away: bool = False
    looks: int = 0
    readers: list[Callable[[str], None]] = field(default_factory=list)
    value: tuple[str, bytes, float] | None = None  # fingerprint, payload, its end on the clock
    lock: tuple[str, float] | None = None  # owner ("": paused, "refused:…": for a credential), its end

    def publish(self, message: str) -> None:
        """Tell everybody."""
        for reader in self.readers:
            reader(message)


class FakeStore:
    """Implements :class:`connector.auth.sharing.Store` for one worker."""

    def __init__(self, shelf: Shelf, clock: Clock, owner: str, credential: str = "") -> None:
        self._shelf = shelf
        self._clock = clock
        self._owner = owner
        self._refused = f"refused:{credential}"

    async def look(self, now: float, *, take: bool = False) -> Seen:
        """See :class:`connector.auth.sharing.Store`."""
        shelf = self._reached()
        shelf.looks += 1
        left_s = 0.0 if shelf.value is None else shelf.value[2] - now
        grant = unpack(shelf.value[1], left_s, now) if shelf.value is not None and left_s > 0 else None
        if shelf.lock is not None and shelf.lock[1] <= now:
            shelf.lock = None
        free = shelf.lock is None or (shelf.lock[0].startswith("refused:") and shelf.lock[0] != self._refused)
        if take and free:
            shelf.lock, free = (self._owner, now + LOCK_S), False
        if free or shelf.lock is None:
            return Seen(grant, left_s, Lock.FREE, 0.0)
        owner, ends_at = shelf.lock
        lock = {self._owner: Lock.OURS, "": Lock.PAUSED, self._refused: Lock.PAUSED}.get(owner, Lock.OTHERS)
        return Seen(grant, left_s, lock, ends_at - now)

    async def keep(self, grant: Grant, now: float) -> None:
        """See :class:`connector.auth.sharing.Store`."""
        shelf, packed, mark = self._reached(), pack(grant, now), fingerprint(grant.token)
        if packed is None:
            return
        ends_at = now + packed[1]
        if shelf.value is not None and shelf.value[2] > now and (shelf.value[0] == mark or shelf.value[2] >= ends_at):
            return
        shelf.value = (mark, packed[0], ends_at)
        shelf.publish(mark)

    async def release(self, pause_s: float = 0.0, *, refused: bool = False) -> None:
        """See :class:`connector.auth.sharing.Store`."""
        shelf = self._reached()
        if shelf.lock is not None and shelf.lock[0] == self._owner:
            rests = self._refused if refused else ""
            shelf.lock = (rests, self._clock.now() + pause_s) if pause_s > 0 else None
            shelf.publish("")

    async def bury(self, token: str) -> None:
        """See :class:`connector.auth.sharing.Store`."""
        shelf = self._reached()
        if shelf.value is not None and shelf.value[0] == fingerprint(token):
            shelf.value = None

    def _reached(self) -> Shelf:
        if self._shelf.away:
            raise SharingError("away, says the test")
        return self._shelf
