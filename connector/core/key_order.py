"""P2 of one topic: of each key, positions never decrease and records are in one partition. In bounded memory.

What was last seen of a key is kept in two generations of at most :data:`KEYS` keys. Once the young one is full, the old
one is forgotten but for the highest point in each partition; a key that was forgotten and comes again is judged by
that. Records of a stream reach a partition in the stream's order, so that what is forgotten lies behind every record
still to come: only a key that is moved back behind a quarter of a million others is told of one record too many.
"""

from __future__ import annotations

from typing import Final

KEYS: Final = 250_000

_Last = tuple[int, int, int]  # partition, epoch, position


class KeyOrder:
    """Takes the records of one topic in the order of each partition; counts what breaks the order."""

    def __init__(self, keys: int = KEYS) -> None:
        """``keys``: the size of a generation."""
        self.out_of_order = 0
        self.split = 0
        """How often a key went to another partition than before."""
        self._most = keys
        self._young: dict[bytes, _Last] = {}
        self._old: dict[bytes, _Last] = {}
        self._forgotten: dict[int, tuple[int, int]] = {}

    def add(self, key: bytes, partition: int, epoch: int, position: int) -> None:
        """One record."""
        last = self._young.get(key)
        if last is None:
            last = self._old.get(key)
            if last is None and self._forgotten and (epoch, position) < self._forgotten.get(partition, (0, 0)):
                self.out_of_order += 1
                return
        if last is not None:
            if last[0] != partition:
                self.split += 1
            elif (epoch, position) < last[1:]:
                self.out_of_order += 1
                return
        self._young[key] = (partition, epoch, position)
        if len(self._young) >= self._most:
            self._forget()

    def _forget(self) -> None:
        for key, (partition, epoch, position) in self._old.items():
            if key not in self._young and self._forgotten.get(partition, (0, 0)) < (epoch, position):
                self._forgotten[partition] = (epoch, position)
        self._old, self._young = self._young, {}
