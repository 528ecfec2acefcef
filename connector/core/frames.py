"""From a WebSocket message to events, byte for byte (guide §2: a JSON object or array per frame).

An array is cut into its elements' own bytes, never re-encoded: odd spacing, escapes and numbers like ``1.0`` reach
the topic as the platform wrote them. What cannot be read is returned as such, in its place.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec
import orjson

from connector.core.pointer import compile_pointer

_SPACE = b" \t\r\n"
_SCAN_MAX_BYTES = 4 * 1024 * 1024
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|["\[\]{},]', re.DOTALL).finditer
_CLOSES = {b"[": b"]", b"{": b"}"}
_ENDS = frozenset(_CLOSES.values())
_is_array = re.compile(rb"[ \t\r\n]*\[").match
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])


class Event(msgspec.Struct, frozen=True, gc=False):
    """An item with a position. One is made for each event: a struct takes a quarter of a named tuple's time."""

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
            return self._salvage(frame)
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
        elements = (_cut(frame) or _scan(frame)) if _is_array(frame) else None
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


def _scan(frame: bytes) -> list[bytes] | None:
    """The elements of an array by its brackets and quotes alone, whatever is between them; None where they don't pair.

    An element with a NaN in it, or nested deeper than parsers go, is cut out like any other.
    """
    if len(frame) > _SCAN_MAX_BYTES:
        return None
    elements: list[bytes] = []
    closing: list[bytes] = []
    begin = 0
    for token in _TOKENS(frame):
        mark = token.group()
        if mark in _CLOSES:
            closing.append(_CLOSES[mark])
            begin = begin or token.end()
        elif mark == b",":
            if len(closing) == 1:
                elements.append(frame[begin : token.start()].strip(_SPACE))
                begin = token.end()
        elif mark in _ENDS:
            if not closing or closing.pop() != mark:
                return None
            if not closing:
                elements.append(frame[begin : token.start()].strip(_SPACE))
                return [raw for raw in elements if raw] if not frame[token.end() :].strip(_SPACE) else None
        elif mark == b'"':
            return None
    return None
