"""Unreadable items between two positions: told apart by hash and count, numbered when they become due.

Sockets deliver the same items again, in an overlap or after a reconnect: the n-th item with a hash after a position
is the same on all of them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Generic

from connector.core.steps import Item, Unreadable
from connector.model import DeadLetterId

REMEMBERED = 1000
"""So many hashes are kept since the last position; of more, that many fewer are compared and the rest is counted."""


class Unreadables(Generic[Item]):
    """What waits after each position, and what became due already after the last one accounted for.

    ``covered``: so many positions after that one are known to be accounted for by what became due. Only a checkpoint
    between them and the next event can say so.
    """

    def __init__(self, recorded: Sequence[DeadLetterId]) -> None:
        self._due: deque[str] = deque((letter.sha256 for letter in recorded), maxlen=REMEMBERED)
        self._numbered = recorded[-1].ordinal if recorded else 0
        self.covered = max((letter.ordinal for letter in recorded if letter.covers), default=0)
        self._waiting: dict[int, list[tuple[str, Item]]] = {}

    def __bool__(self) -> bool:
        """Whether any waits, or was due since the last position."""
        return bool(self._waiting) or self._numbered > 0

    def waits_after(self, position: int) -> bool:
        """Whether any waits after this position."""
        return position in self._waiting

    def count(self, high: int) -> int:
        """How many there are after the last position, due or waiting."""
        return self._numbered + len(self._waiting.get(high, ()))

    def known(self, after: int, digest: str, nth: int, ordinal: int, *, current: bool) -> bool:
        """Whether the nth item with this hash, the ordinal-th of all, after a position is here already.

        ``current``: the position is the last one accounted for, after which items may have become due.
        """
        count = sum(waiting == digest for waiting, _ in self._waiting.get(after, ()))
        if current:
            if ordinal <= self._numbered - len(self._due):
                return True
            count += self._due.count(digest)
        return nth <= count

    def add(self, after: int, digest: str, item: Item) -> None:
        """Keep an item until it is due."""
        self._waiting.setdefault(after, []).append((digest, item))

    def forget(self, after: int | None) -> None:
        """Let go of what waits after a position that could not be held: it comes again."""
        if after is not None:
            self._waiting.pop(after, None)

    def pop(self, after: int) -> list[tuple[str, Item]]:
        """Let go of what waits after a position that turned out to be none."""
        return self._waiting.pop(after, [])

    def move(self, after: int, to: int) -> None:
        """What waits after one position waits after another."""
        if after in self._waiting:
            self._waiting.setdefault(to, []).extend(self._waiting.pop(after))

    def due(self, after: int, covered: int, shown: Counter[str] | None = None) -> list[Unreadable[Item]]:
        """What waits after the last position, numbered; the first ``covered`` of all since it stand for positions.

        ``shown``: only so many of each hash; what else waits goes on waiting.
        """
        steps, left = [], []
        taken: Counter[str] = Counter(self._due)
        for digest, item in self._waiting.pop(after, ()):
            taken[digest] += 1
            if shown is not None and taken[digest] > shown[digest]:
                left.append((digest, item))
                continue
            self._numbered += 1
            covers = after + self._numbered if self._numbered <= covered else None
            steps.append(Unreadable(after, self._numbered, covers, digest, item))
            self._due.append(digest)
        if left:
            self._waiting[after] = left
        return steps

    def passed(self) -> None:
        """The stream went on: what was due belongs to a former position."""
        self._due.clear()
        self._numbered = self.covered = 0
