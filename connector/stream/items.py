"""What goes through a stream's ledger beside positions: an event as it was read, or what could not be read."""

from __future__ import annotations

import msgspec

from connector.core.dead_letter import sha256
from connector.core.frames import Unread
from connector.core.instants import Moment


class Item(msgspec.Struct, frozen=True, gc=False):
    """An event: its time, its document and its bytes."""

    moment: Moment | None
    document: object
    raw: bytes


def digest(item: Item | Unread) -> str:
    """The hash that tells whether two items are the same bytes."""
    return sha256(item.raw)
