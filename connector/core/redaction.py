"""What must not reach Kafka: parts of an event's value become null, and everything else keeps its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from connector.core.pointer import is_index, steps_of

NOTHING = b"null"
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


class Redaction:
    """Removes what JSON pointers lead to; ``whole``: all of the value, whatever it is."""

    def __init__(self, pointers: Sequence[str] = (), *, whole: bool = False) -> None:
        self._paths = [] if whole else [(pointer, steps_of(pointer)) for pointer in dict.fromkeys(pointers)]
        self._whole = whole

    def apply(self, raw: bytes) -> tuple[bytes, list[str]]:
        """The value without them, and the pointers that led somewhere (``""``: all of it).

        A value that cannot be cut is removed whole: what cannot be seen through must not pass.
        """
        if self._whole:
            return NOTHING, [""]
        found = []
        for pointer, steps in self._paths:
            try:
                cleared = _without(raw, steps)
            except (msgspec.MsgspecError, RecursionError):
                return NOTHING, [""]
            if cleared is not None:
                raw = cleared
                found.append(pointer)
        return raw, found


def _without(raw: bytes, steps: Sequence[str]) -> bytes | None:
    """The JSON value with null where the steps lead; None where they lead nowhere."""
    if not steps:
        return NOTHING
    step, rest = steps[0], steps[1:]
    opening = raw.lstrip()[:1]
    parts: Any
    place: Any
    if opening == b"{":
        parts, place = _OBJECT.decode(raw), step
        there = place in parts
    elif opening == b"[" and is_index(step):
        parts, place = _ARRAY.decode(raw), int(step)
        there = place < len(parts)
    else:
        return None
    inner = _without(bytes(parts[place]), rest) if there else None
    if inner is None:
        return None
    parts[place] = msgspec.Raw(inner)
    return msgspec.json.encode(parts)
