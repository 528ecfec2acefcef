"""How far a stream had come, told from its records alone: what a lost checkpoint said (CONTRACT.md)."""

from __future__ import annotations

from dataclasses import dataclass, field

from connector.core.unreadables import REMEMBERED
from connector.model import Checkpoint, DeadLetterId

Place = tuple[int, int]
"""Epoch and position."""


@dataclass(slots=True)
class StreamRecovery:
    """Takes in a stream's committed records, in any order of partitions."""

    stream: str
    _at: Place = (0, -1)
    _timed: tuple[Place, int] | None = None
    _complete_until_ms: int | None = None
    _offsets: dict[str, dict[int, int]] = field(default_factory=dict)
    _letters: dict[Place, dict[int, DeadLetterId]] = field(default_factory=dict)

    def event(self, at: Place, time_ms: int | None) -> None:
        """An event record; ``time_ms`` is its ``ce_time``."""
        self._at = max(self._at, at)
        if time_ms is not None:
            self._timed = max(self._timed or (at, time_ms), (at, time_ms))
            self._complete_until_ms = max(self._complete_until_ms or time_ms, time_ms)

    def written(self, topic: str, partition: int, offset: int) -> None:
        """Any record of the stream in an event topic; the greatest offset counts."""
        of_topic = self._offsets.setdefault(topic, {})
        of_topic[partition] = max(offset, of_topic.get(partition, -1))

    def accounted(self, at: Place) -> None:
        """A gap up to and including a position, or a dead letter of a record that Kafka did not take."""
        self._at = max(self._at, at)

    def dead_letter(self, after: Place, letter: DeadLetterId) -> None:
        """An unreadable item behind a position."""
        self._at = max(self._at, after)
        self._letters.setdefault(after, {})[letter.ordinal] = letter

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint that belongs to these records; None where there are none."""
        epoch, position = self._at
        if position < 0:
            return None
        behind = sorted(self._letters.get(self._at, {}).items())
        return Checkpoint(
            self.stream,
            epoch=epoch,
            position=position,
            event_time_ms=None if self._timed is None else self._timed[1],
            complete_until_ms=self._complete_until_ms,
            offsets=self._offsets,
            dead_letters=tuple(letter for _, letter in behind)[-REMEMBERED:],
        )
