"""Messages a reader cannot use: what the poison fault puts on the wire. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from connector.simulator.wire import Opcode

PoisonKind = Literal["bad_json", "invalid_utf8", "no_position", "string_position", "deep_nesting", "oversized", "raw"]

_DEEP_LEVELS = 100_000


@dataclass(frozen=True, slots=True)
class Poison:
    """One unreadable message.

    ``embeddable``: valid JSON that may stand in an array among events; the others spoil a frame of their own.
    """

    data: bytes
    opcode: Opcode = Opcode.TEXT
    embeddable: bool = False


@dataclass(frozen=True, slots=True)
class PoisonOrder:
    """What someone asked for: ``data`` is the payload of kind ``raw``, ``size_bytes`` the size of ``oversized``."""

    kind: PoisonKind
    data: bytes = b""
    size_bytes: int = 0
    binary: bool = False


def make_poison(order: PoisonOrder, position_name: str, position: int) -> Poison:
    """The poison for the position it stands at (or near, where it is noise)."""
    opcode = Opcode.BINARY if order.binary else Opcode.TEXT
    if order.kind == "raw":
        return Poison(order.data, opcode)
    if order.kind == "no_position":
        nameless = b'{"eventType":"conversation.update","note":"no position, near %d"}' % position
        return Poison(nameless, opcode, embeddable=True)
    name = position_name.encode()
    if order.kind == "string_position":
        worded = b'{"%b":"x%d","eventType":"conversation.update"}' % (name, position)
        return Poison(worded, opcode, embeddable=True)
    start = b'{"%b":%d,"eventType":"conversation.update","note":' % (name, position)
    filler = b"x" * max(0, order.size_bytes - len(start) - 3)
    rest = {
        "bad_json": b"",
        "invalid_utf8": b'"\xff\xfe\xc3("}',
        "deep_nesting": b"[" * _DEEP_LEVELS + b"]" * _DEEP_LEVELS + b"}",
        "oversized": b'"' + filler + b'"}',
    }
    return Poison(start + rest[order.kind], opcode)
