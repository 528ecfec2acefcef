"""W3C Trace Context (https://www.w3.org/TR/trace-context/) that a platform sends along, passed on with its events."""

from __future__ import annotations

import re

from connector.core.pointer import Lookup

_IDS = "-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_is_traceparent = re.compile(f"00{_IDS}|(?!00|ff)[0-9a-f]{{2}}{_IDS}(-[!-~]*)?").fullmatch
"""Versions to come may have more behind a hyphen."""


def traceparent(found: object) -> str | None:
    """What is a ``traceparent`` (section 3.2.2); None for what is none: it is not passed on."""
    if not isinstance(found, str) or _is_traceparent(found) is None:
        return None
    return found


class TraceContext:
    """Which ``traceparent`` belongs to an event: its own, else that of the newest handshake."""

    def __init__(self, own: Lookup | None) -> None:
        """``own``: where it stands in an event; None: nowhere."""
        self._own = own
        self._handshake: str | None = None
        self.told = own is not None
        """Whether an event can have one at all."""

    def opened(self, found: str | None) -> None:
        """A handshake's answer had this header."""
        self._handshake = traceparent(found)
        self.told = self._own is not None or self._handshake is not None

    def of(self, document: object) -> str | None:
        """The event's."""
        return (traceparent(self._own(document)) if self._own is not None else None) or self._handshake
