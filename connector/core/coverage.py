"""Which stretches of the platform's time a stream's sockets have covered, where the platform replays nothing. Pure.

A stream is whole while at least one socket is open that brings everything. What lies between is a *lapse*: from the
last instant up to which the stream is known to be whole to the moment the next socket had subscribed. Instants are
milliseconds of the platform's clock; None: it has not told the time.
"""

from __future__ import annotations

from dataclasses import dataclass

from connector.model import Lapse

BEFORE_MS = 5_000
"""Events reach us that late, and out of order among different keys: the last one seen proves little about its
moment."""
AFTER_MS = 2_000
"""The platform tells its time in whole seconds, and an answer takes a while."""


@dataclass(slots=True)
class _Stretch:
    """``proven_ms``: until then the socket is known to have brought everything."""

    since_ms: int | None
    proven_ms: int | None


class Coverage:
    """What the sockets of one stream have covered."""

    def __init__(self, whole_until_ms: int | None, *, broken: bool) -> None:
        """``broken``: the stream has begun, and nobody listens at present."""
        self._whole_until_ms = whole_until_ms
        self._broken = broken
        self._open: dict[int, _Stretch] = {}

    def opened(self, socket: int, at_ms: int | None) -> Lapse | None:
        """A socket has subscribed; returns what was missed before, if anything may have been."""
        self._open[socket] = _Stretch(at_ms, at_ms)
        if not self._broken:
            return None
        self._broken = False
        return _lapse(self._whole_until_ms, at_ms)

    def proven(self, socket: int, at_ms: int | None) -> None:
        """The platform has shown that the socket's subscriptions stand."""
        stretch = self._open.get(socket)
        if stretch is not None and at_ms is not None:
            stretch.proven_ms = at_ms
            self._whole_until_ms = max(at_ms, self._whole_until_ms or at_ms)

    def seen(self, time_ms: int | None) -> None:
        """An event of this time was written."""
        if time_ms is not None:
            self._whole_until_ms = max(time_ms, self._whole_until_ms or time_ms)

    def closed(self, socket: int, *, lapsed: bool = False) -> Lapse | None:
        """A socket, or its dial, has ended; ``lapsed``: it had ceased to bring events, nobody knows when.

        Returns what was missed although another socket is open.
        """
        stretch = self._open.pop(socket, None)
        if not self._open:
            self._broken = True
            if stretch is not None and lapsed:
                self._whole_until_ms = stretch.proven_ms
            return None
        if stretch is None or not lapsed:
            return None
        since_ms, until_ms = stretch.proven_ms, next(iter(self._open.values())).since_ms
        covered = since_ms is not None and until_ms is not None and until_ms <= since_ms
        return None if covered else _lapse(since_ms, until_ms)


def _lapse(since_ms: int | None, until_ms: int | None) -> Lapse:
    if since_ms is not None and until_ms is not None:
        since_ms = min(since_ms, until_ms)  # an event may be dated in the future
    return Lapse(None if since_ms is None else since_ms - BEFORE_MS, None if until_ms is None else until_ms + AFTER_MS)
