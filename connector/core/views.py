"""What sockets have shown of a stream, each for itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple

from connector.core.steps import Item


class Leap(NamedTuple):
    """A position that did not follow on this socket, and what the socket had shown before it."""

    position: int
    last: int | None
    ordinal: int
    hashes: Counter[str]


@dataclass(slots=True)
class View(Generic[Item]):
    """A socket, the ``number``-th that was opened, resuming at or after ``asked``.

    ``stepped_back``: the last event it showed goes back, and nobody knows yet what that means; unreadable items since
    then are in ``stash``. ``stale``: so many resets before the present epoch is what it still shows. ``silent``: it
    will not show what is missing.
    """

    number: int
    asked: int | None
    last: int | None = None
    ordinal: int = 0
    hashes: Counter[str] = field(default_factory=Counter)
    leaps: list[Leap] = field(default_factory=list)
    stepped_back: bool = False
    stash: list[tuple[str, Item]] = field(default_factory=list)
    stale: int = 0
    silent: bool = False

    @property
    def after(self) -> int:
        """The position that unreadable items of this socket stand behind."""
        return self.last if self.last is not None else self.asked or 0

    def moved_to(self, position: int) -> None:
        """It showed an event."""
        self.last = position
        self.silent = False
        if self.ordinal:
            self.ordinal = 0
            self.hashes = Counter()

    def count(self, digest: str) -> int:
        """It showed an unreadable item; returns how many with this hash since the last event."""
        self.ordinal += 1
        self.hashes[digest] += 1
        return self.hashes[digest]

    def leapt_to(self, position: int, high: int) -> None:
        """It showed an event that does not follow; leaps that are bridged by now are forgotten."""
        self.leaps = [leap for leap in self.leaps if leap.position > high]
        if self.last != position:
            self.leaps.append(Leap(position, self.last, self.ordinal, self.hashes.copy()))
        self.moved_to(position)

    def went_before(self, position: int) -> Leap | None:
        """It goes on before a position that it leapt to: the first of the leaps it takes back."""
        taken_back = [leap for leap in self.leaps if leap.position > position]
        if not taken_back:
            return None
        del self.leaps[-len(taken_back) :]
        return taken_back[0]

    def arrives(self, position: int, *, later: bool) -> bool:
        """Whether it, which showed a former sequence, shows the present one. ``later``: than any event seen."""
        if later:
            self.stale = 0
            return True
        if position_goes_back := position < self.after:
            self.stale -= 1
        self.moved_to(position)
        return position_goes_back and not self.stale

    def back_to(self, leap: Leap) -> None:
        """As if it had never leapt."""
        self.last, self.ordinal, self.hashes = leap.last, leap.ordinal, leap.hashes


class Views(Generic[Item]):
    """The sockets that are open or being opened: ``of`` each its view. ``opens`` counts all that ever were."""

    def __init__(self) -> None:
        self.of: dict[int, View[Item]] = {}
        self.opens = 0

    def __iter__(self) -> Iterator[View[Item]]:
        return iter(self.of.values())

    def opened(self, socket: int, asked: int | None) -> None:
        """A socket is being opened."""
        self.opens += 1
        self.of[socket] = View(self.opens, asked)

    def closed(self, socket: int) -> None:
        """A socket will show nothing more."""
        self.of.pop(socket, None)

    def regular(self) -> bool:
        """Whether every socket shows nothing but events of the present epoch."""
        return not any(view.ordinal or view.stale for view in self)

    def listen(self) -> None:
        """Something is missing: whoever was silent until now may still show it."""
        for view in self:
            view.silent = False

    def skipping(self, high: int) -> list[View[Item]]:
        """The sockets, if none will show what is behind ``high``; those of a former epoch don't matter."""
        views = [view for view in self if not view.stale]
        return views if all(view.silent or (view.last is not None and view.last > high) for view in views) else []
