"""After a gap: the platform's state by REST, in its place in the order (DESIGN.md §6, the guide's edge case 2).

The sockets stay open and are read up to the buffer; what they bring is kept back behind the gap record until the
snapshot is here, whole, with the position N that it stands for. Then: the gap record, the events up to N, ``begin``, a
record for each conversation in as many transactions as they need, ``end``; and what came after N. The checkpoint says
that a snapshot is due from the gap record on, and no longer from ``end`` on, so that a crash in between starts it anew,
with a new id.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass

from connector import telemetry
from connector.anchor import DUE, fetch_snapshot
from connector.core.snapshot import SnapshotRecords
from connector.model import Entry, Gap, TopicLimits
from connector.outbox import Outbox
from connector.parts import Parts, StreamPlan
from connector.ports import Snapshot

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class _Marked:
    """A gap record that is kept back, and its gap."""

    entry: Entry
    gap: Gap


class Rebuild:
    """Brings snapshots into one stream. Belongs to the event loop's thread."""

    def __init__(self, plan: StreamPlan, parts: Parts, outbox: Outbox) -> None:
        self._plan = plan
        self._parts = parts
        self._outbox = outbox
        self._gaps: list[_Marked] = []
        self._task: asyncio.Task[None] | None = None
        self._reached = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def active(self) -> bool:
        """Whether a snapshot is being fetched or written."""
        return self._task is not None

    def gap(self, entry: Entry, gap: Gap) -> None:
        """A gap was found: its record, which says what became of the snapshot, waits for it."""
        outbox = self._outbox
        if not self.active:
            outbox.submit()
            outbox.raise_wall(outbox.place)
            outbox.snapshot_id = DUE
            self._start()
        outbox.turn_epoch(gap.epoch)
        outbox.add(entry)
        self._gaps.append(_Marked(entry, gap))

    def resume(self) -> None:
        """The checkpoint says that a snapshot is due, or was begun and not ended."""
        self._start()

    def stop(self) -> None:
        """Give up; the checkpoint still says what is due."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._gaps.clear()

    def committed(self) -> None:
        """A transaction committed: there may be room for more of the snapshot."""
        self._room.set()

    # ------------------------------------------------------------------ inside

    def _start(self) -> None:
        self._task = self._parts.shared.spawn(self._run())

    async def _run(self) -> None:
        while True:
            snapshot = await fetch_snapshot(self._plan, self._parts, self._plan.snapshot_patience_s)
            self._outbox.submit()
            if snapshot is None:
                self._settle_gaps("failed", None)
                self._outbox.snapshot_id = None
                break
            try:
                await self._place(snapshot)
            finally:
                snapshot.close()
            if not self._gaps:
                break
        self._task = None
        self._outbox.drop_wall()

    async def _place(self, snapshot: Snapshot) -> None:
        """Write a snapshot behind the events that it holds; gaps behind it want another one."""
        outbox, snapshot_id = self._outbox, uuid.uuid4().hex
        outbox.snapshot_id = snapshot_id
        places = [(m.gap.epoch, m.gap.last or 0) for m in self._gaps]
        upto = max([(outbox.epoch, snapshot.position), *places[:1]])  # it was taken after the first gap was found
        self._settle_gaps("done", snapshot_id, sum(place <= upto for place in places))
        self._reached.clear()
        outbox.raise_wall(upto, self._reached.set)
        await self._reached.wait()
        await self._write(snapshot, snapshot_id)

    async def _write(self, snapshot: Snapshot, snapshot_id: str) -> None:
        outbox, envelope, topic = self._outbox, self._parts.envelope, self._plan.topic
        partitions = self._parts.shared.limits.get(topic, TopicLimits(1)).partitions
        now_ms = time.time_ns() // 1_000_000
        records = SnapshotRecords(envelope, topic, snapshot_id, snapshot.as_of_ms, now_ms)
        place = outbox.handed
        outbox.write(records.begin(place, partitions))
        chunk: list[Entry] = []
        for raw in snapshot.conversations():
            chunk.append(records.conversation(place, raw))
            if len(chunk) == _CHUNK:
                await self._wait_for_room()
                outbox.write(chunk)
                chunk = []
        if chunk:
            outbox.write(chunk)
        outbox.snapshot_id = None
        outbox.write(records.end(place, partitions))
        self._parts.shared.observe(telemetry.SnapshotWritten(self._plan.name, snapshot_id, place[1], len(snapshot)))

    async def _wait_for_room(self) -> None:
        while self._outbox.in_hand_events >= self._plan.buffer_events + _CHUNK:
            self._room.clear()
            await self._room.wait()

    def _settle_gaps(self, outcome: str, snapshot_id: str | None, count: int | None = None) -> None:
        """Gap records learn what became of their snapshot."""
        settled, self._gaps = (self._gaps, []) if count is None else (self._gaps[:count], self._gaps[count:])
        envelope = self._parts.envelope
        new = {
            id(m.entry): envelope.gap(m.gap, m.gap.last or 0, snapshot=outcome, snapshot_id=snapshot_id)
            for m in settled
        }
        self._outbox.rewrite(lambda entry: new.get(id(entry), entry))
