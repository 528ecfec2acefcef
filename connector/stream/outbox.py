"""What a stream has read and not yet committed: batches for the lane, and the buffer that says when to stop reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from connector.model import Batch, Checkpoint, Entry
from connector.stream.buffer import ENTRY_OVERHEAD_BYTES
from connector.stream.parts import Parts, StreamPlan

_ROOM = 0.5

Place = tuple[int, int]
"""Epoch and position."""


class _Lot(NamedTuple):
    """Entries of one epoch that are kept back; ``stops``: the stream ends with them."""

    epoch: int
    entries: list[Entry]
    stops: bool = False


class Outbox:
    """Entries of one stream on their way to the lane, in order. Belongs to the event loop's thread.

    A *wall* at a position keeps back what comes after it, while a snapshot is fetched and written there.
    """

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
        self._added = (0, 0)
        self._behind_wall: list[_Lot] = []
        self._wall: Place | None = None
        self._sealed = False
        self._on_wall: Callable[[], None] | None = None
        self.incarnation = 0
        self.epoch = 0
        self.snapshot_id: str | None = None
        self.handed: Place = (0, 0)
        self.handed_records = 0
        self._stopped = False
        self.in_hand_events = 0
        self.in_hand_bytes = 0

    # ------------------------------------------------------------------ in

    def start(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint."""
        self.epoch = checkpoint.epoch
        self.snapshot_id = checkpoint.snapshot_id
        self.handed = (checkpoint.epoch, checkpoint.position or 0)
        self.handed_records = checkpoint.snapshot_records
        self._stopped = False

    def add(self, entry: Entry, *, urgent: bool = False) -> None:
        """One more entry of the present epoch."""
        self._entries.append(entry)
        self._size_bytes += len(entry.value)
        self._urgent = self._urgent or urgent

    def turn_epoch(self, epoch: int) -> None:
        """What is added from now on belongs to this epoch."""
        if epoch != self.epoch:
            self.flush()
            self.epoch = epoch

    def submit(self) -> tuple[int, int]:
        """As :meth:`flush`; returns how many entries and bytes were added since the last call."""
        self.flush()
        added, self._added = self._added, (0, 0)
        return added

    def flush(self, *, stops: bool = False) -> None:
        """Hand over what was added, up to the wall; ``stops``: the stream ends with it, until an operator acts."""
        entries, self._entries = self._entries, []
        size, self._size_bytes = self._size_bytes, 0
        urgent, self._urgent = self._urgent, False
        if not entries:
            return
        self._added = (self._added[0] + len(entries), self._added[1] + size)
        self._take_in_hand(entries, size)
        if self._wall is None:
            self._hand_over(_Lot(self.epoch, entries, stops), size, urgent=urgent)
        else:
            self._behind_wall.append(_Lot(self.epoch, entries, stops))
            self._up_to_wall()

    def begin(self, checkpoint: Checkpoint) -> None:
        """Write where a new stream begins."""
        self._sink.submit(Batch(self._plan.name, self.incarnation, checkpoint.epoch, [], start=checkpoint))

    def complete(self, until_ms: int) -> None:
        """Nothing is missing up to an instant of the platform's clock, although nothing came.

        Not told while something is kept back: there may be a gap record in it.
        """
        if self._behind_wall or self._entries:
            return
        self._sink.submit(Batch(self._plan.name, self.incarnation, self.epoch, [], complete_until_ms=until_ms))

    def write(self, epoch: int, entries: list[Entry]) -> None:
        """Hand over entries at the wall itself, before what is behind it."""
        size = _size(entries)
        self._take_in_hand(entries, size)
        self._hand_over(_Lot(epoch, entries), size)

    def stop_with(self, entry: Entry) -> None:
        """The stream's last entry: it stops with it, until an operator lets it go on."""
        self.flush()
        self.add(entry)
        self.flush(stops=True)

    def forget(self) -> None:
        """Nothing that was added or handed over counts any more."""
        self._entries.clear()
        self._size_bytes = 0
        self._urgent = False
        self._added = (0, 0)
        self._behind_wall.clear()
        self._wall = self._on_wall = None
        self._worker.add(-self.in_hand_bytes)
        self.in_hand_events = self.in_hand_bytes = 0

    # ------------------------------------------------------------------ the wall

    @property
    def place(self) -> Place:
        """Epoch and position of the last entry, whether handed over or kept back."""
        if self._behind_wall:
            lot = self._behind_wall[-1]
            return lot.epoch, lot.entries[-1].position
        return self.handed

    def raise_wall(self, place: Place, on_reached: Callable[[], None] | None = None) -> None:
        """Keep back what comes after a place; ``on_reached`` is called, once, when all up to it is handed over.

        From then on nothing passes until :meth:`drop_wall`.
        """
        self._wall, self._on_wall, self._sealed = place, on_reached, False
        self._up_to_wall()

    def drop_wall(self) -> None:
        """Hand over what was kept back."""
        self._wall = self._on_wall = None
        behind, self._behind_wall = self._behind_wall, []
        for lot in behind:
            self._hand_over(lot, _size(lot.entries))

    def rewrite(self, change: Callable[[Entry], Entry]) -> None:
        """Change entries that are kept back: a gap record that now knows of its snapshot."""
        self._behind_wall = [
            lot._replace(entries=[change(entry) for entry in lot.entries]) for lot in self._behind_wall
        ]

    def _up_to_wall(self) -> None:
        wall = self._wall
        if wall is None or self._sealed:
            return
        while self._behind_wall:
            lot = self._behind_wall[0]
            before = [entry for entry in lot.entries if (lot.epoch, entry.position) <= wall]
            if before:
                self._hand_over(lot._replace(entries=before), _size(before))
            if len(before) < len(lot.entries):
                self._behind_wall[0] = lot._replace(entries=lot.entries[len(before) :])
                break
            self._behind_wall.pop(0)
        if (self._behind_wall or self.handed >= wall) and self._on_wall is not None:
            reached, self._on_wall, self._sealed = self._on_wall, None, True
            reached()

    def _hand_over(self, lot: _Lot, size_bytes: int, *, urgent: bool = False) -> None:
        epoch, entries, stops = lot
        records, position = self.handed_records, entries[0].position
        if records and (epoch, position) == self.handed:  # behind a position behind which a snapshot stands
            entries = [
                replace(entry, snapshot_records=max(records, entry.snapshot_records))
                if entry.position == position
                else entry
                for entry in entries
            ]
        self.handed = (epoch, entries[-1].position)
        self.handed_records = entries[-1].snapshot_records
        self._stopped = self._stopped or stops
        self._sink.submit(
            Batch(
                self._plan.name,
                self.incarnation,
                epoch,
                entries,
                size_bytes,
                urgent=urgent,
                snapshot_id=self.snapshot_id,
                stopped=self._stopped,
            )
        )

    # ------------------------------------------------------------------ out

    def committed(self, entries: int, size_bytes: int) -> None:
        """A transaction committed: room again."""
        freed_bytes = min(self.in_hand_bytes, size_bytes + entries * ENTRY_OVERHEAD_BYTES)
        self.in_hand_events = max(0, self.in_hand_events - entries)
        self.in_hand_bytes -= freed_bytes
        self._worker.add(-freed_bytes)

    def lane_has_room(self) -> bool:
        """Whether less is in hand than the buffer allows, without what is kept back: that is not being written."""
        events = self.in_hand_events - sum(len(lot.entries) for lot in self._behind_wall)
        size_bytes = self.in_hand_bytes - sum(_in_hand_bytes(lot.entries) for lot in self._behind_wall)
        return events < self._plan.buffer_events and size_bytes < self._plan.buffer_bytes

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
        full = self._worker.full(self.in_hand_bytes)
        if full and not self._waits_for_worker:
            self._waits_for_worker = True
            self._worker.wait(self._worker_has_room)
        return not full

    def _take_in_hand(self, entries: list[Entry], size_bytes: int) -> None:
        in_hand_bytes = size_bytes + len(entries) * ENTRY_OVERHEAD_BYTES
        self.in_hand_events += len(entries)
        self.in_hand_bytes += in_hand_bytes
        self._worker.add(in_hand_bytes)

    def _worker_has_room(self) -> None:
        self._waits_for_worker = False
        self._on_room()


def _size(entries: list[Entry]) -> int:
    return sum(len(entry.value) for entry in entries)


def _in_hand_bytes(entries: list[Entry]) -> int:
    return _size(entries) + len(entries) * ENTRY_OVERHEAD_BYTES
