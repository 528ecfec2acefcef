"""JSON pointers (RFC 6901), compiled once and followed for every event."""

from __future__ import annotations

import re
from collections.abc import Callable

Lookup = Callable[[object], object]

is_index = re.compile(r"0|[1-9][0-9]{0,17}").fullmatch
"""Whether a step can be a place in an array."""


def steps_of(pointer: str) -> list[str]:
    """The names and numbers on the pointer's way; raises ValueError where it is none."""
    if not pointer.startswith("/"):
        raise ValueError(f"{pointer!r} is not a JSON pointer: it starts with '/'")
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]


def compile_pointer(pointer: str) -> Lookup:
    """A function that returns what the pointer leads to, or None where it leads nowhere."""
    steps = steps_of(pointer)
    if len(steps) == 1:
        name = steps[0]

        def member(document: object) -> object:
            return document.get(name) if type(document) is dict else None

        return member

    def follow(document: object) -> object:
        for step in steps:
            if isinstance(document, dict):
                document = document.get(step)
            elif isinstance(document, list) and is_index(step) and int(step) < len(document):
                document = document[int(step)]
            else:
                return None
        return document

    return follow
