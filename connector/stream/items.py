"""What goes through a stream's ledger beside positions: an event as it was read, or what could not be read."""

from __future__ import annotations

import msgspec

from connector.core.dead_letter import sha256
from connector.core.frames import Unread
from connector.core.instants import Moment
from connector.core.ledger import Ledger
from connector.core.recent import Recent
from connector.core.steps import EventLedger
from connector.model import Checkpoint
from connector.stream.parts import Parts, StreamPlan


class Item(msgspec.Struct, frozen=True, gc=False):
    """An event: its time, its document and its bytes."""

    moment: Moment | None
    document: object
    raw: bytes


def digest(item: Item | Unread) -> str:
    """The hash that tells whether two items are the same bytes."""
    return sha256(item.raw)


def ledger_of(plan: StreamPlan, parts: Parts, checkpoint: Checkpoint) -> EventLedger[Item | Unread]:
    """The ledger that fits the platform: by the positions that it gives, or by what its events carry."""
    identity = plan.identity
    if identity is None:
        return Ledger(checkpoint, contiguous=plan.contiguous, hold_limit=plan.buffer_events, digest=digest)

    def carried(item: Item | Unread) -> str:
        return identity(item.document) if isinstance(item, Item) else sha256(item.raw)

    def key(item: Item | Unread) -> str | bytes:
        return parts.envelope.key(item.document) if isinstance(item, Item) else parts.envelope.identity.stream

    return Recent(checkpoint, identity=carried, key=key, hold_limit=plan.buffer_events)
