"""What a ledger answers: a verdict on each item, and the steps of a stream's history in their order."""

from __future__ import annotations

from enum import Enum, auto
from typing import Generic, NamedTuple, TypeVar

from connector.model import Gap

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
