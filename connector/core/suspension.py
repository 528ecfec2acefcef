"""Streams that are set aside because a topic of theirs cannot be written, and when to look again."""

from __future__ import annotations

from dataclasses import dataclass

_FIRST_S = 2.0
_LONGEST_S = 60.0
_FORGET_S = 300.0


@dataclass(slots=True)
class _Suspension:
    topic: str
    wait_s: float
    look_at: float
    lifted_at: float | None = None


class Suspensions:
    """Waits double for a topic that fails again soon after it was taken up (its metadata tell no write permission)."""

    def __init__(self) -> None:
        self._streams: dict[str, _Suspension] = {}

    def add(self, stream: str, topic: str, now: float) -> bool:
        """A topic of the stream failed; True where the stream was not suspended before."""
        former = self._streams.get(stream)
        if former is not None and former.lifted_at is None:
            return False
        wait_s = _FIRST_S
        if former is not None and former.lifted_at is not None and now - former.lifted_at < _FORGET_S:
            wait_s = min(_LONGEST_S, 2 * former.wait_s)
        self._streams[stream] = _Suspension(topic, wait_s, now + wait_s)
        return True

    def due(self, now: float) -> list[tuple[str, str]]:
        """Streams to look after now, each with its topic; the next look is due after another wait."""
        due = []
        for stream, s in self._streams.items():
            if s.lifted_at is None and now >= s.look_at:
                s.look_at = now + s.wait_s
                due.append((stream, s.topic))
        return due

    def lifted(self, stream: str, now: float) -> None:
        """The stream goes on."""
        self._streams[stream].lifted_at = now
