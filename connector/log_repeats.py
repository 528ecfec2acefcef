"""Keeps a library's log from drowning the rest: librdkafka tries a lost broker again and again, and says so."""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from collections.abc import Callable

EVERY_S = 10.0
_KINDS_MAX = 256
_differs = re.compile(r"\d+").sub


class Repeats(logging.Filter):
    """Lets a message through once in ``EVERY_S``; the next one tells how many like it were held back.

    Messages are alike where they differ in nothing but digits (client numbers, addresses, durations). Threads may log.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._lock = threading.Lock()
        self._kinds: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """See :meth:`logging.Filter.filter`."""
        kind, now = _differs("0", record.getMessage()), self._now()
        with self._lock:
            said_at, held_back = self._kinds.get(kind, (-math.inf, 0))
            if now - said_at < EVERY_S:
                self._kinds[kind] = (said_at, held_back + 1)
                return False
            if len(self._kinds) >= _KINDS_MAX:
                self._kinds.clear()
            self._kinds[kind] = (now, 0)
        if held_back:
            record.msg, record.args = f"{record.getMessage()} ({held_back} more like it were held back)", ()
        return True
