"""From a WebSocket message to events, byte for byte (guide §2: a JSON object or array per frame).

An array is cut into its elements' own bytes, never re-encoded: odd spacing, escapes and numbers like ``1.0`` reach
the topic as the platform wrote them. What cannot be read is returned as such, in its place.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import orjson

from connector.core.pointer import compile_pointer

_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])


class Event(NamedTuple):
    """An item with a position."""

    position: int
    document: dict[str, object]
    raw: bytes


class Unread(NamedTuple):
    """An item that is not an event; ``reason`` says why."""

    reason: str
    raw: bytes


class FrameReader:
    """Reads messages of a platform whose events carry their position at a JSON pointer."""

    def __init__(self, position_pointer: str) -> None:
        self._position = compile_pointer(position_pointer)

    def read(self, frame: bytes) -> list[Event | Unread]:
        """The frame's items, in order. Never raises for what a platform sends."""
        try:
            document = orjson.loads(frame)
        except orjson.JSONDecodeError:
            return self._salvage(frame)
        if type(document) is dict:
            return [self._item(document, frame)]
        if type(document) is list:
            elements = _cut(frame)
            if elements is not None and len(elements) == len(document):
                return [self._item(*pair) for pair in zip(document, elements, strict=True)]
            return [Unread("not_json", frame)]
        return [Unread("not_an_object", frame)]

    def _item(self, document: object, raw: bytes) -> Event | Unread:
        if type(document) is not dict:
            return Unread("not_an_object", raw)
        position = self._position(document)
        if type(position) is int and position > 0:
            return Event(position, document, raw)
        return Unread("no_position" if position is None else "bad_position", raw)

    def _salvage(self, frame: bytes) -> list[Event | Unread]:
        """One bad element must not take the frame's good ones with it."""
        elements = _cut(frame) if frame[:64].lstrip()[:1] == b"[" else None
        return [Unread("not_json", frame)] if elements is None else [self._read_element(raw) for raw in elements]

    def _read_element(self, raw: bytes) -> Event | Unread:
        try:
            return self._item(orjson.loads(raw), raw)
        except orjson.JSONDecodeError:
            return Unread("not_json", raw)


def _cut(frame: bytes) -> list[bytes] | None:
    """The elements of an array, each its own bytes; None where the frame is not cleanly an array."""
    try:
        return [bytes(element) for element in _ELEMENTS.decode(frame)]
    except (msgspec.DecodeError, RecursionError):
        return None
