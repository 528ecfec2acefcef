"""What a stream has read and not yet committed: batches for the lane, and the buffer that says when to stop reading."""

from __future__ import annotations

from collections.abc import Callable

from connector.buffer import ENTRY_OVERHEAD_BYTES
from connector.model import Batch, Checkpoint, Entry
from connector.parts import Parts, StreamPlan

_ROOM = 0.5

Place = tuple[int, int]
"""Epoch and position."""


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
        self._behind_wall: list[tuple[int, list[Entry]]] = []
        self._wall: Place | None = None
        self._sealed = False
        self._on_wall: Callable[[], None] | None = None
        self.incarnation = 0
        self.epoch = 0
        self.snapshot_id: str | None = None
        self.handed: Place = (0, 0)
        self._handed_records = 0
        self.in_hand_events = 0
        self.in_hand_bytes = 0

    # ------------------------------------------------------------------ in

    def start(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint."""
        self.epoch = checkpoint.epoch
        self.snapshot_id = checkpoint.snapshot_id
        self.handed = (checkpoint.epoch, checkpoint.position or 0)
        self._handed_records = checkpoint.snapshot_records

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
        """Hand over what was added, up to the wall; returns how many entries and bytes were added."""
        entries, self._entries = self._entries, []
        size, self._size_bytes = self._size_bytes, 0
        urgent, self._urgent = self._urgent, False
        if not entries:
            return 0, 0
        in_hand_bytes = size + len(entries) * ENTRY_OVERHEAD_BYTES
        self.in_hand_events += len(entries)
        self.in_hand_bytes += in_hand_bytes
        self._worker.add(in_hand_bytes)
        if self._wall is None:
            self._hand_over(entries, size, urgent=urgent)
        else:
            self._behind_wall.append((self.epoch, entries))
            self._up_to_wall()
        return len(entries), size

    def begin(self, checkpoint: Checkpoint) -> None:
        """Write where a new stream begins."""
        self._sink.submit(Batch(self._plan.name, self.incarnation, checkpoint.epoch, [], start=checkpoint))

    def write(self, entries: list[Entry]) -> None:
        """Hand over entries at the wall itself, before what is behind it."""
        size = _size(entries)
        in_hand_bytes = size + len(entries) * ENTRY_OVERHEAD_BYTES
        self.in_hand_events += len(entries)
        self.in_hand_bytes += in_hand_bytes
        self._worker.add(in_hand_bytes)
        self._hand_over(entries, size)

    def stopped(self, entry: Entry) -> None:
        """Hand over the stream's last entry: it stops with it, until an operator lets it go on."""
        self._sink.submit(Batch(self._plan.name, self.incarnation, self.epoch, [entry], len(entry.value), stopped=True))

    def forget(self) -> None:
        """Nothing that was added or handed over counts any more."""
        self._entries.clear()
        self._size_bytes = 0
        self._urgent = False
        self._behind_wall.clear()
        self._wall = self._on_wall = None
        self._worker.add(-self.in_hand_bytes)
        self.in_hand_events = self.in_hand_bytes = 0

    # ------------------------------------------------------------------ the wall

    @property
    def place(self) -> Place:
        """Epoch and position of the last entry, whether handed over or kept back."""
        if self._behind_wall:
            epoch, entries = self._behind_wall[-1]
            return epoch, entries[-1].position
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
        for epoch, entries in behind:
            self._hand_over(entries, _size(entries), epoch=epoch)

    def rewrite(self, change: Callable[[Entry], Entry]) -> None:
        """Change entries that are kept back: a gap record that now knows of its snapshot."""
        self._behind_wall = [(epoch, [change(entry) for entry in entries]) for epoch, entries in self._behind_wall]

    def _up_to_wall(self) -> None:
        wall = self._wall
        if wall is None or self._sealed:
            return
        while self._behind_wall:
            epoch, entries = self._behind_wall[0]
            before = [entry for entry in entries if (epoch, entry.position) <= wall]
            if before:
                self._hand_over(before, _size(before), epoch=epoch)
            if len(before) < len(entries):
                self._behind_wall[0] = (epoch, entries[len(before) :])
                break
            self._behind_wall.pop(0)
        if (self._behind_wall or self.handed >= wall) and self._on_wall is not None:
            reached, self._on_wall, self._sealed = self._on_wall, None, True
            reached()

    def _hand_over(
        self, entries: list[Entry], size_bytes: int, *, urgent: bool = False, epoch: int | None = None
    ) -> None:
        epoch = self.epoch if epoch is None else epoch
        records = self._handed_records
        if records and (epoch, entries[0].position) == self.handed:  # behind a position behind which a snapshot stands
            position = entries[0].position
            entries = [
                entry._replace(snapshot_records=max(records, entry.snapshot_records))
                if entry.position == position
                else entry
                for entry in entries
            ]
        self.handed = (epoch, entries[-1].position)
        self._handed_records = entries[-1].snapshot_records
        self._sink.submit(
            Batch(
                self._plan.name,
                self.incarnation,
                epoch,
                entries,
                size_bytes,
                urgent=urgent,
                snapshot_id=self.snapshot_id,
            )
        )

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


def _size(entries: list[Entry]) -> int:
    return sum(len(entry.value) for entry in entries)
