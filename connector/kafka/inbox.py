"""What reaches a lane's thread from the event loop: batches, and what the supervisor wants of the lane."""

from __future__ import annotations

import threading
import time
from enum import Enum, auto
from queue import Empty, SimpleQueue
from typing import NamedTuple

from connector.core.lane import InHand
from connector.model import Batch


class Mode(Enum):
    """What the supervisor wants of the lane."""

    RUN = auto()
    HOLD = auto()  # ownership is in doubt: begin nothing, keep everything
    FINISH = auto()  # commit what is in hand, then end


class InterruptedLaneError(Exception):
    """The mode changed while something was waited for."""


class _Renounce(NamedTuple):
    stream: str


class Inbox:
    """Any thread puts; the lane's thread collects. A change of mode wakes it."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Batch | _Renounce | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._deadline = float("inf")
        self.mode = Mode.RUN

    def put(self, batch: Batch) -> None:
        """Hand a batch over; never blocks."""
        self._queue.put(batch)

    def renounce(self, stream: str) -> None:
        """What the stream has put so far does not count any more, as far as it is not in a transaction."""
        self._queue.put(_Renounce(stream))

    def turn(self, mode: Mode, before: Mode | None = None) -> None:
        """Change the mode; with ``before`` only where that is the present one."""
        with self._lock:
            if before not in (None, self.mode):
                return
            self.mode = mode
        self._queue.put(None)

    def finish(self, deadline: float) -> None:
        """End, at the latest at the deadline (``time.monotonic``)."""
        self._deadline = deadline
        self.turn(Mode.FINISH)

    def collect(self, hand: InHand, timeout_s: float) -> None:
        """Take what streams have handed over; wait for the first of it at most so long."""
        try:
            item = self._queue.get(timeout=timeout_s) if timeout_s > 0 else self._queue.get_nowait()
            while True:
                if isinstance(item, _Renounce):
                    hand.renounce(item.stream)
                elif item is not None:
                    hand.arrive(item)
                item = self._queue.get_nowait()
        except Empty:
            return

    def collect_until(self, hand: InHand, instant: float) -> None:
        """Collect until the instant (``time.monotonic``), or until the lane is not to run on."""
        while self.mode is Mode.RUN and (left_s := instant - time.monotonic()) > 0:
            self.collect(hand, left_s)

    def still(self, *, needed: bool = True) -> None:
        """Raise where the lane must not go on with what it does: held, or beyond the deadline.

        Not ``needed``: nothing is in hand, and a lane that is to end need not even wait for its deadline.
        """
        over = not needed or time.monotonic() >= self._deadline
        if self.mode is Mode.HOLD or (self.mode is Mode.FINISH and over):
            raise InterruptedLaneError
