"""What a prerequisite turned out to be, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Of a prerequisite. Only ``FAILS`` keeps the bridge from its promise."""

    OK = "ok"
    WARNS = "warns"  # it will work, not as well as it could
    FAILS = "fails"
    SKIPPED = "skipped"  # cannot be told, or not without disturbing a bridge that runs


@dataclass(frozen=True, slots=True)
class Finding:
    """One prerequisite. ``mend``: what to do, where something is to be done. Neither text holds a secret."""

    prerequisite: str
    state: State
    detail: str
    mend: str = ""


def ok(prerequisite: str, detail: str) -> Finding:
    """It is there."""
    return Finding(prerequisite, State.OK, detail)


def fails(prerequisite: str, detail: str, mend: str) -> Finding:
    """It is not."""
    return Finding(prerequisite, State.FAILS, detail, mend)


def skipped(prerequisite: str, why: str) -> Finding:
    """It was not looked at."""
    return Finding(prerequisite, State.SKIPPED, why)
