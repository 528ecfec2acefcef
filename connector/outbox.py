"""What a stream has read and not yet committed: batches for the lane, and the buffer that says when to stop reading."""

from __future__ import annotations

from collections.abc import Callable

from connector.buffer import ENTRY_OVERHEAD_BYTES
from connector.model import Batch, Checkpoint, Entry
from connector.parts import Parts, StreamPlan

_ROOM = 0.5


class Outbox:
    """Entries of one stream on their way to the lane, in order. Belongs to the event loop's thread."""

    def __init__(self, plan: StreamPlan, parts: Parts, on_room: Callable[[], None]) -> None:
        """``on_room`` is called when the worker's buffer, which was full, has room again."""
        self._plan = plan
        self._sink = parts.sink
        self._worker = parts.shared.buffer
        self._on_room = on_room
        self._waits_for_worker = False
        self._entries: list[Entry] = []
        self._size_bytes = 0
        self._urgent = False
        self.incarnation = 0
        self.epoch = 0
        self.in_hand_events = 0
        self.in_hand_bytes = 0

    # ------------------------------------------------------------------ in

    def add(self, entry: Entry, *, urgent: bool = False) -> None:
        """One more entry of the present epoch."""
        self._entries.append(entry)
        self._size_bytes += len(entry.value)
        self._urgent = self._urgent or urgent

    def turn_epoch(self, epoch: int) -> None:
        """What is added from now on belongs to this epoch."""
        if epoch != self.epoch:
            self.submit()
            self.epoch = epoch

    def submit(self) -> tuple[int, int]:
        """Hand over what was added; returns how many entries and bytes that was."""
        entries, self._entries = self._entries, []
        size, self._size_bytes = self._size_bytes, 0
        urgent, self._urgent = self._urgent, False
        if entries:
            self._sink.submit(Batch(self._plan.name, self.incarnation, self.epoch, entries, size, urgent=urgent))
            in_hand_bytes = size + len(entries) * ENTRY_OVERHEAD_BYTES
            self.in_hand_events += len(entries)
            self.in_hand_bytes += in_hand_bytes
            self._worker.add(in_hand_bytes)
        return len(entries), size

    def begin(self, checkpoint: Checkpoint) -> None:
        """Write where a new stream begins."""
        self._sink.submit(Batch(self._plan.name, self.incarnation, checkpoint.epoch, [], start=checkpoint))

    def forget(self) -> None:
        """Nothing that was added or handed over counts any more."""
        self._entries.clear()
        self._size_bytes = 0
        self._urgent = False
        self._worker.add(-self.in_hand_bytes)
        self.in_hand_events = self.in_hand_bytes = 0

    # ------------------------------------------------------------------ out

    def committed(self, entries: int, size_bytes: int) -> None:
        """A transaction committed: room again."""
        freed_bytes = min(self.in_hand_bytes, size_bytes + entries * ENTRY_OVERHEAD_BYTES)
        self.in_hand_events = max(0, self.in_hand_events - entries)
        self.in_hand_bytes -= freed_bytes
        self._worker.add(-freed_bytes)

    @property
    def at_limit(self) -> bool:
        """Whether what was added must be handed over now: the stream's events are all in hand."""
        return self.in_hand_events + len(self._entries) >= self._plan.buffer_events

    def may_read(self, *, reading: bool) -> bool:
        """Whether sockets may be read; who does not read at present goes on when half of the buffer is free."""
        share = 1.0 if reading else _ROOM
        if self.in_hand_events >= self._plan.buffer_events * share:
            return False
        if self.in_hand_bytes >= self._plan.buffer_bytes * share:
            return False
        if self._worker.full and not self._waits_for_worker:
            self._waits_for_worker = True
            self._worker.wait(self._worker_has_room)
        return not self._worker.full

    def _worker_has_room(self) -> None:
        self._waits_for_worker = False
        self._on_room()
