"""RFC 6455 §5.2 on the server's side: unmasked, unfragmented frames as bytes. Pure."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

_SHORT = Struct("!BB").pack
_MEDIUM = Struct("!BBH").pack
_LONG = Struct("!BBQ").pack
_CODE = Struct("!H").pack
_FIN = 0x80
_SHORT_MAX_BYTES = 125
_MEDIUM_MAX_BYTES = 0xFFFF
_REASON_MAX_BYTES = 123


class Opcode(IntEnum):
    """The opcodes the simulator writes by itself."""

    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PONG = 10


def header(opcode: int, length_bytes: int) -> bytes:
    """The frame header of a whole message of this length."""
    if length_bytes <= _SHORT_MAX_BYTES:
        return _SHORT(_FIN | opcode, length_bytes)
    if length_bytes <= _MEDIUM_MAX_BYTES:
        return _MEDIUM(_FIN | opcode, 126, length_bytes)
    return _LONG(_FIN | opcode, 127, length_bytes)


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole message in one frame. A text frame's payload is not checked: invalid UTF-8 is a fault on offer."""
    return header(opcode, len(payload)) + payload


def close_frame(code: int, reason: str) -> bytes:
    """A close frame; a reason too long for a control frame is cut at a character."""
    text = reason.encode()[:_REASON_MAX_BYTES].decode(errors="ignore").encode()
    return frame(Opcode.CLOSE, _CODE(code) + text)
