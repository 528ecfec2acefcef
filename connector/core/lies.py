"""Events whose positions turned out to be lies, remembered while a socket that was open then may show them again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic

from connector.core.steps import Item
from connector.core.views import Views

_REMEMBERED = 100


class Lies(Generic[Item]):
    """Digests of such events; ``digest`` is asked only where there is one, or may be one."""

    def __init__(self, digest: Callable[[Item], str]) -> None:
        self.digest = digest
        self._digests: deque[str] = deque(maxlen=_REMEMBERED)
        self._opens = 0

    def known(self, item: Item) -> str | None:
        """The digest of an event that is known for a lie, else None."""
        if not self._digests:
            return None
        digest = self.digest(item)
        return digest if digest in self._digests else None

    def remember(self, item: Item, opens: int) -> str:
        """An event is a lie; returns its digest. ``opens``: how many sockets had been opened by then."""
        digest = self.digest(item)
        self._digests.append(digest)
        self._opens = opens
        return digest

    def forget(self, views: Views[Item]) -> None:
        """Forget them once every socket was opened later: it resumes behind them."""
        if self._digests and all(view.number > self._opens for view in views):
            self._digests.clear()
