"""What must not reach Kafka: parts of an event's value become null, and everything else keeps its bytes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from connector.core.pointer import steps_of

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
    if opening == b"{":
        members = _OBJECT.decode(raw)
        inner = _without(bytes(members[step]), rest) if step in members else None
        return None if inner is None else msgspec.json.encode({**members, step: msgspec.Raw(inner)})
    if opening == b"[" and step.isascii() and step.isdigit():
        elements = _ARRAY.decode(raw)
        index = int(step)
        inner = _without(bytes(elements[index]), rest) if index < len(elements) else None
        return (
            None
            if inner is None
            else msgspec.json.encode([*elements[:index], msgspec.Raw(inner), *elements[index + 1 :]])
        )
    return None
