"""Sets of positions that are large and mostly without holes: pages of a byte for each, and spans.

A page in which every position came once, as nearly all do, is the same page for all: what stays is half a byte a
position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PAGE: Final = 256
_NEVER: Final = b"\x00"
_MOST: Final = 255
_UNSEEN: Final = bytes([1]) + bytes(255)  # translates "never" to 1, all else to 0
_AGAIN: Final = bytes(2) + bytes([1]) * 254
_ALL_ONCE: Final = bytes([1]) * _PAGE


class Span(NamedTuple):
    """Positions ``first`` to ``last``, both included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


class PositionCounts:
    """How often each position was added: a byte for each, in pages; a page that is absent was never touched."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray | bytes] = {}
        self.again = 0  # additions beyond the first of a position

    def add(self, position: int) -> None:
        """Count one more."""
        number, offset = divmod(position, _PAGE)
        page = self._pages.get(number)
        if not isinstance(page, bytearray):
            page = self._pages[number] = bytearray(_PAGE if page is None else page)
        times = page[offset]
        if times:
            self.again += 1
        if times < _MOST:
            page[offset] = times + 1
        if page == _ALL_ONCE:
            self._pages[number] = _ALL_ONCE

    def extent(self) -> Span | None:
        """From the lowest to the highest position added."""
        if not self._pages:
            return None
        low, high = min(self._pages), max(self._pages)
        first = low * _PAGE + _PAGE - len(self._pages[low].lstrip(_NEVER))
        return Span(first, high * _PAGE + len(self._pages[high].rstrip(_NEVER)) - 1)

    def within(self, span: Span) -> int:
        """So many different positions inside ``span`` were added."""
        return sum(len(part) - part.count(_NEVER) for _, part in self._parts(span))

    def repeated(self) -> Iterator[Span]:
        """Runs of positions added more than once (a page's edge may split one)."""
        for number in sorted(self._pages):
            yield from _runs(self._pages[number].translate(_AGAIN), number * _PAGE)

    def absent(self, span: Span) -> Iterator[Span]:
        """Runs of positions inside ``span`` that were never added (a page's edge may split one)."""
        at = span.first
        for start, part in self._parts(span):
            if start > at:
                yield Span(at, start - 1)
            yield from _runs(part.translate(_UNSEEN), start)
            at = start + len(part)
        if at <= span.last:
            yield Span(at, span.last)

    def _parts(self, span: Span) -> Iterator[tuple[int, bytearray | bytes]]:
        for number in self._numbers(span):
            base = number * _PAGE
            low, high = max(span.first, base), min(span.last, base + _PAGE - 1)
            if low <= high:
                yield low, self._pages[number][low - base : high - base + 1]

    def _numbers(self, span: Span) -> Iterable[int]:
        """The pages that ``span`` may touch, in order."""
        first, last = span.first // _PAGE, span.last // _PAGE
        if last - first < len(self._pages):
            return (number for number in range(first, last + 1) if number in self._pages)
        return sorted(self._pages)


def _runs(flags: bytes | bytearray, base: int) -> Iterator[Span]:
    """The runs of 1 in a string of 0 and 1."""
    start = flags.find(1)
    while start >= 0:
        end = flags.find(0, start)
        if end < 0:
            end = len(flags)
        yield Span(base + start, base + end - 1)
        start = flags.find(1, end)


def joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Overlapping and adjacent spans as one; ``spans`` sorted."""
    current: Span | None = None
    for span in spans:
        if current is None:
            current = span
        elif span.first <= current.last + 1:
            current = Span(current.first, max(current.last, span.last))
        else:
            yield current
            current = span
    if current is not None:
        yield current


def without(spans: Iterable[Span], holes: list[Span]) -> Iterator[Span]:
    """What is left of ``spans`` outside ``holes``; both sorted, ``holes`` joined."""
    for span in spans:
        at = span.first
        for hole in holes:
            if hole.last < at:
                continue
            if hole.first > span.last:
                break
            if hole.first > at:
                yield Span(at, hole.first - 1)
            at = hole.last + 1
        if at <= span.last:
            yield Span(at, span.last)
