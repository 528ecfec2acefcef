"""What a ledger answers: a verdict on each item, and the steps of a stream's history in their order."""

from __future__ import annotations

from enum import Enum, auto
from typing import Generic, NamedTuple, Protocol, TypeVar

from connector.model import Gap, Lapse

Item = TypeVar("Item")


class Verdict(Enum):
    """What became of an item."""

    FRESH = auto()  # the next position: deliver it now; nothing else is due
    DUPLICATE = auto()  # seen before
    DEFERRED = auto()  # the ledger took the item; something may be due


class HoleState(Enum):
    """What is known of the first hole."""

    NONE = auto()
    WAIT = auto()  # an open socket, or the next one, may still deliver the range
    PROBE = auto()  # every open socket has skipped it: dial once more from before it
    PROVEN = auto()  # a socket dialled since has skipped it too


class Deliver(NamedTuple, Generic[Item]):
    """An event, in its place."""

    position: int
    time_ms: int | None
    item: Item


class Unreadable(NamedTuple, Generic[Item]):
    """An item without a usable position: the ``ordinal``-th after position ``after``; covers a position or not."""

    after: int
    ordinal: int
    covers: int | None
    sha256: str
    item: Item


class GapFound(NamedTuple):
    """Positions that are missing for good."""

    gap: Gap


Step = Deliver[Item] | Unreadable[Item] | GapFound


class EventLedger(Protocol[Item]):
    """What a pipeline asks of a ledger, by positions (:mod:`core.ledger`) or by content (:mod:`core.recent`)."""

    high: int | None
    """Everything up to this position is accounted for."""
    max_time_ms: int | None
    """The latest event time up to there."""

    @property
    def held(self) -> int:
        """Events that are kept back."""
        ...

    def opened(self, socket: int, asked: int | None) -> None:
        """A socket is being opened that resumes at or after ``asked``."""
        ...

    def closed(self, socket: int) -> None:
        """A socket will deliver nothing more. Then :meth:`take`."""
        ...

    def caught_up(self, socket: int) -> bool:
        """Whether the socket itself has shown the newest event."""
        ...

    def silent(self, socket: int) -> None:
        """A socket that lives will not show what is missing."""
        ...

    def admit(self, socket: int, position: int, time_ms: int | None, item: Item, now: float) -> Verdict:
        """Place an event."""
        ...

    def unreadable(self, socket: int, sha256: str, item: Item, now: float) -> Verdict:
        """Place an item that cannot be read."""
        ...

    def take(self) -> list[Step[Item]]:
        """What has become due, in order."""
        ...

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to decide."""
        ...

    def expire(self, now: float) -> None:
        """Stop waiting for what would have explained an item. Then :meth:`take`."""
        ...

    def hole(self) -> HoleState:
        """What is known of the first hole."""
        ...

    def prove(self) -> None:
        """Declare the first hole a gap. Then :meth:`take`."""
        ...

    def skip_oversize(self, socket: int) -> bool:
        """Account for an item that is too large; False where nothing can be said. Then :meth:`take`."""
        ...

    def lost_track(self, lapse: Lapse) -> None:
        """The stream broke and cannot be resumed: a gap by time. Then :meth:`take`."""
        ...
