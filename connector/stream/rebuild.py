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
from connector.core.envelope import settled
from connector.core.snapshot import SnapshotRecords
from connector.model import SOME_TIME, Entry, Gap, Lapse, TopicLimits
from connector.ports import Snapshot
from connector.stream.anchor import DUE, fetch_snapshot
from connector.stream.outbox import Outbox, Place
from connector.stream.parts import Parts, StreamPlan

_CHUNK = 500
_CHUNK_BYTES = 1_048_576


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
        self._owed = False
        self._lapse = SOME_TIME
        self._patient_until = 0.0
        self._walled = False
        self._placing: tuple[Place, str] | None = None
        self._reached = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def active(self) -> bool:
        """Whether a snapshot is being fetched or written."""
        return self._task is not None

    def gap(self, entry: Entry, gap: Gap) -> None:
        """A gap was found: its record, which says what became of the snapshot, waits for it."""
        outbox = self._outbox
        outbox.flush()
        if not self._walled:  # a snapshot that was asked for before the gap was found may lack what is missing
            self._raise_wall()
            self._cancel()
            self._start()
        outbox.turn_epoch(gap.epoch)
        if self._placing is not None and (gap.epoch, gap.last or 0) <= self._placing[0]:
            outbox.add(settled(entry, "done", self._placing[1]))
            return
        outbox.add(entry)
        self._gaps.append(_Marked(entry, gap))

    def resume(self, lapse: Lapse) -> None:
        """The checkpoint says that a snapshot is due, or was begun and not ended."""
        self._owed = True
        self._lapse = lapse
        self._start()

    def stop(self) -> None:
        """Give up; the checkpoint still says what is due."""
        self._cancel()
        self._gaps.clear()
        self._owed = self._walled = False

    def committed(self) -> None:
        """A transaction committed: there may be room for more of the snapshot."""
        self._room.set()

    # ------------------------------------------------------------------ inside

    def _start(self) -> None:
        self._task = self._parts.shared.spawn(self._run())

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._placing = None

    def _raise_wall(self) -> None:
        self._walled = True
        self._patient_until = self._parts.shared.clock.now() + self._plan.snapshot_patience_s
        self._outbox.raise_wall(self._outbox.place)
        self._outbox.snapshot_id = DUE

    async def _run(self) -> None:
        while self._owed or self._gaps:
            walled, epoch = self._walled, self._outbox.epoch
            snapshot = await self._fetch()
            self._outbox.flush()
            if snapshot is None:
                self._settle_gaps("failed", None)
                self._owed = self._owed and walled  # without a wall it is asked for until it is had, if there is one
                self._outbox.snapshot_id = DUE if self._owed else None
                self._drop_wall()
                continue
            try:
                if epoch == self._outbox.epoch:  # else nobody can tell which sequence its position belongs to
                    await self._place(snapshot)
            finally:
                snapshot.close()
        self._task = None
        self._drop_wall()

    async def _fetch(self) -> Snapshot | None:
        """Behind a wall only for so long; without one nothing waits for it."""
        if not self._walled:
            return await fetch_snapshot(self._plan, self._parts, None, self._lapse)
        left_s = max(0.0, self._patient_until - self._parts.shared.clock.now())
        try:
            async with asyncio.timeout(left_s):  # a token may not come either
                return await fetch_snapshot(self._plan, self._parts, left_s, self._missed())
        except TimeoutError:
            return None

    def _missed(self) -> Lapse:
        """The time that all gaps take which a snapshot is to make good, one that was owed before too."""
        lapses = [Lapse(m.gap.first_time_ms, m.gap.last_time_ms) for m in self._gaps]
        if self._owed:
            lapses.append(self._lapse)
        begins, ends = [lapse.since_ms for lapse in lapses], [lapse.until_ms for lapse in lapses]
        return Lapse(
            min((ms for ms in begins if ms is not None), default=None),
            None if None in ends else max((ms for ms in ends if ms is not None), default=None),
        )

    async def _place(self, snapshot: Snapshot) -> None:
        """Write a snapshot behind the events that it holds; gaps behind it want another one."""
        outbox, snapshot_id = self._outbox, uuid.uuid4().hex
        outbox.snapshot_id = snapshot_id
        places = [(m.gap.epoch, m.gap.last or 0) for m in self._gaps]
        upto = max([(outbox.epoch, snapshot.position), *places[:1]])  # it was taken after the first gap was found
        self._settle_gaps("done", snapshot_id, sum(place <= upto for place in places))
        self._reached.clear()
        self._walled, self._placing = True, (upto, snapshot_id)
        outbox.raise_wall(upto, self._wall_reached)
        await self._reached.wait()
        await self._write(snapshot, snapshot_id)
        self._owed = False
        self._patient_until = self._parts.shared.clock.now() + self._plan.snapshot_patience_s

    def _wall_reached(self) -> None:
        self._placing = None
        self._reached.set()

    async def _write(self, snapshot: Snapshot, snapshot_id: str) -> None:
        outbox, envelope, topic = self._outbox, self._parts.envelope, self._plan.topic
        partitions = self._parts.shared.limits.get(topic, TopicLimits(1)).partitions
        now_ms = time.time_ns() // 1_000_000
        records = SnapshotRecords(envelope, topic, snapshot_id, snapshot.as_of_ms, now_ms, outbox.handed_records)
        place = outbox.handed
        outbox.write(place[0], records.begin(place, partitions))
        chunk: list[Entry] = []
        chunk_bytes = 0
        for raw in snapshot.conversations():
            chunk.append(records.conversation(place, raw))
            chunk_bytes += len(raw)
            if len(chunk) == _CHUNK or chunk_bytes >= _CHUNK_BYTES:
                await self._wait_for_room()
                outbox.write(place[0], chunk)
                chunk, chunk_bytes = [], 0
        if chunk:
            outbox.write(place[0], chunk)
        outbox.snapshot_id = None
        outbox.write(place[0], records.end(place, partitions))
        self._parts.shared.observe(telemetry.SnapshotWritten(self._plan.name, snapshot_id, place[1], len(snapshot)))

    async def _wait_for_room(self) -> None:
        await asyncio.sleep(0)  # sockets and other streams come first
        while not self._outbox.lane_has_room():
            self._room.clear()
            await self._room.wait()

    def _drop_wall(self) -> None:
        self._walled = False
        self._outbox.drop_wall()

    def _settle_gaps(self, outcome: str, snapshot_id: str | None, count: int | None = None) -> None:
        """Gap records learn what became of their snapshot."""
        marked, self._gaps = (self._gaps, []) if count is None else (self._gaps[:count], self._gaps[count:])
        new = {id(m.entry): settled(m.entry, outcome, snapshot_id) for m in marked}
        self._outbox.rewrite(lambda entry: new.get(id(entry), entry))
