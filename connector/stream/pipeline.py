"""One stream to its topics. Read this first.

    frame ─ FrameReader ─ Ledger ─ Envelope ─▶ Batch ─ Sink (the lane's transactions)

Sockets come and go (:mod:`connector.stream.connection`); what arrives on any of them goes through one ledger, so that
the overlap of a rotation, a replay after a drop and a platform's duplicate all end the same way. A turn of the event
loop makes one batch: its first frame schedules the hand-over, which runs when the sockets have nothing more.
"""

from __future__ import annotations

import asyncio
import time

from connector import telemetry
from connector.core.dead_letter import sha256
from connector.core.envelope import IMPLAUSIBLE_MS, UNFIT
from connector.core.frames import Event, Unread
from connector.core.instants import read_time
from connector.core.steps import Deliver, EventLedger, GapFound, HoleState, Unreadable, Verdict
from connector.model import Checkpoint, Lapse
from connector.stream.anchor import Anchor
from connector.stream.connection import StreamConnection
from connector.stream.continuity import Continuity
from connector.stream.gaps import Gaps
from connector.stream.items import Item, ledger_of
from connector.stream.outbox import Outbox
from connector.stream.parts import Parts, StreamPlan
from connector.stream.quiet import QuietWatch


class StreamPipeline:
    """One stream while its lane is ours. All methods belong to the event loop's thread."""

    def __init__(self, plan: StreamPlan, parts: Parts) -> None:
        self.plan = plan
        self._parts = parts
        self._envelope = parts.envelope
        self._outbox = Outbox(plan, parts, parts.shared.guarded(self._consider_reading))
        self._gaps = Gaps(plan, parts, self._outbox, self._halt)
        self._quiet = QuietWatch(plan, parts, self._whole_until, self._outbox.complete)
        self._anchor = Anchor(plan, parts, self._outbox, self._go_on)
        self._continues = False
        self._timer: asyncio.TimerHandle | None = None
        self._guarded_hand_over = parts.shared.guarded(self._hand_over)
        self._begin(Checkpoint(plan.name))

    def _begin(self, checkpoint: Checkpoint) -> None:
        """A ledger and sockets that go on from the checkpoint."""
        plan = self.plan
        self._ledger: EventLedger[Item | Unread] = ledger_of(plan, self._parts, checkpoint)
        self._continuity = Continuity(plan, self._parts, checkpoint, broken=self._continues)
        self.connection = StreamConnection(plan, self._parts, self)
        self._outbox.start(checkpoint)
        self._hole = HoleState.NONE
        self._oversize_at: int | None = None
        self._position_refused = False
        self.halted = False
        self._touched: dict[int, bool] = {}
        self._duplicates = 0
        self._scheduled = False
        self._now, self._horizon_ms = 0.0, 0

    # ------------------------------------------------------------------ life

    def start(self, checkpoint: Checkpoint | None, incarnation: int = 0) -> None:
        """Go on from a checkpoint; None: the stream is new, and its first commit says where it begins."""
        self._outbox.incarnation = incarnation
        if checkpoint is None or checkpoint.anew:
            self._anchor.start()
            return
        self._continues = True
        self._go_on(checkpoint)

    def _go_on(self, checkpoint: Checkpoint) -> None:
        self._begin(checkpoint)
        self.connection.start()
        self._quiet.start()
        if checkpoint.snapshot_id is not None:
            self._gaps.rebuild.resume(Lapse(checkpoint.complete_until_ms, None))

    def _halt(self) -> None:
        """By ``on_gap: stop``: nothing more is read until an operator lets the stream go on."""
        self.halted = True
        self._observe(telemetry.Halted(self.plan.name, self._ledger.high or 0))
        self._quiet.stop()
        self.connection.stop("stopped after a gap")

    def stop(self, reason: str) -> None:
        """Stop reading, hand over what was read, close the sockets."""
        self._hand_over()
        self.abandon(reason)

    def abandon(self, reason: str) -> None:
        """Close the sockets; what was read and not handed over counts as not read."""
        self._anchor.stop()
        self._touched.clear()
        self._quiet.stop()
        self._gaps.rebuild.stop()
        self.connection.stop(reason)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._outbox.forget()

    def restart(self, checkpoint: Checkpoint, incarnation: int) -> None:
        """Kafka stands before what was read: begin again from there."""
        self.abandon("starting again")
        self.start(checkpoint, incarnation)

    def committed(self, checkpoint: Checkpoint, entries: int, size_bytes: int) -> None:
        """Room again: a transaction committed."""
        self._anchor.committed(checkpoint)
        self._outbox.committed(entries, size_bytes)
        self._gaps.rebuild.committed()
        self._consider_reading()

    # ------------------------------------------------------------------ for the connection

    def dialling(self, socket: int) -> int | None:
        """See :class:`connector.stream.reader.Reader`."""
        position = self._ledger.high if self.plan.resumes else None
        self._ledger.opened(socket, position)
        refused, self._position_refused = self._position_refused, False
        return None if refused else position

    def opened(self, socket: int) -> None:
        """See :class:`connector.stream.reader.Reader`."""
        self._missed(self._continuity.opened(socket))

    def proven(self, socket: int) -> None:
        """See :class:`connector.stream.reader.Reader`."""
        self._continuity.proven(socket)

    def _missed(self, lapse: Lapse | None) -> None:
        """What no socket brought is a gap, unless the platform replays it."""
        if lapse is not None and (self._ledger.high is None or not self.plan.resumes):
            self._tell_time()
            self._ledger.lost_track(lapse)
            self._deliver_due(None)
            self._submit()

    def position_refused(self) -> None:
        """See :class:`connector.stream.reader.Reader`."""
        self._position_refused = True

    def oversize(self, socket: int) -> None:
        """See :class:`connector.stream.reader.Reader`."""
        again, self._oversize_at = self._oversize_at == self._ledger.high, self._ledger.high
        if again and self._ledger.skip_oversize(socket):
            self._tell_time()
            self._deliver_due(None)
            self._submit()

    def silent(self, socket: int) -> None:
        """See :class:`connector.stream.reader.Reader`."""
        self._ledger.silent(socket)

    def closed(self, socket: int, *, lapsed: bool = False) -> None:
        """See :class:`connector.stream.reader.Reader`."""
        self._hand_over()
        self._tell_time()
        self._ledger.closed(socket)
        self._deliver_due(None)
        self._submit()
        self._missed(self._continuity.closed(socket, self._ledger.max_time_ms, lapsed=lapsed))

    def hole(self) -> HoleState:
        """See :class:`connector.stream.reader.Reader`."""
        self._tell_time()
        hole = self._judge_hole()
        self._submit()
        return hole

    # ------------------------------------------------------------------ the path of an event

    def frame(self, socket: int, frame: bytes) -> None:
        """Everything in one message, up to the batch."""
        if not self._scheduled:
            self._open_batch()
        self._touched.setdefault(socket, False)
        ledger, envelope, outbox, time_of = self._ledger, self._envelope, self._outbox, self.plan.event_time
        for item in () if self.halted else self._parts.frames.read(frame):
            if isinstance(item, Event):
                position, document, raw = item.position, item.document, item.raw
                moment = read_time(time_of(document))
                time_ms = moment[0] if moment is not None and moment[0] < self._horizon_ms else None
                verdict = ledger.admit(socket, position, time_ms, Item(moment, document, raw), self._now)
                if verdict is Verdict.FRESH:
                    entry, urgent = envelope.event(outbox.epoch, position, moment, document, raw)
                    outbox.add(entry, urgent=urgent)
                    self._touched[socket] = True
                    continue
            else:
                verdict = ledger.unreadable(socket, sha256(item.raw), item, self._now)
            if verdict is Verdict.DUPLICATE:
                self._duplicates += 1
            else:
                self._deliver_due(socket)
                if self.halted:
                    break
        if outbox.at_limit:
            self._hand_over()

    def _open_batch(self) -> None:
        self._scheduled = True
        self._now = self._parts.shared.clock.now()
        self._tell_time()
        asyncio.get_running_loop().call_soon(self._guarded_hand_over)

    def _tell_time(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        self._horizon_ms = now_ms + IMPLAUSIBLE_MS
        self._envelope.at(now_ms, self._parts.shared.limits)

    def _deliver_due(self, socket: int | None) -> None:
        """What the ledger has let go of, in order."""
        for step in self._ledger.take():
            if self.halted:
                return
            match step:
                case Deliver(position, _, Item(moment, document, raw)):
                    entry, urgent = self._envelope.event(self._outbox.epoch, position, moment, document, raw)
                    self._outbox.add(entry, urgent=urgent)
                    if socket is not None:
                        self._touched[socket] = True
                case Unreadable(after, _, _, _, item):
                    reason = item.reason if isinstance(item, Unread) else "position_back"
                    self._outbox.add(self._envelope.dead_letter(self._outbox.epoch, step, item.raw, reason))
                    self._observe(telemetry.DeadLettered(self.plan.name, after, reason))
                case GapFound(gap):
                    self._gaps.record(gap)

    # ------------------------------------------------------------------ hand-over

    def _hand_over(self) -> None:
        """Give the lane what was read in this turn of the loop, and tell the connection what it meant."""
        self._scheduled = False
        touched, self._touched = self._touched, {}
        if any(touched.values()):
            self._quiet.fresh()
        hole = self._judge_hole()
        self._submit()
        for socket, fresh in touched.items():
            caught_up = self._ledger.caught_up(socket)
            self.connection.progressed(socket, self._now, fresh=fresh, caught_up=caught_up, hole=hole)
        self._consider_reading()
        deadline = self._ledger.deadline()
        if deadline is not None and self._timer is None:
            wait_s = max(0.0, deadline - self._parts.shared.clock.now())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._parts.shared.guarded(self._expire))

    def _expire(self) -> None:
        """The ledger has waited long enough for an explanation."""
        self._timer = None
        self._tell_time()
        self._ledger.expire(self._parts.shared.clock.now())
        self._deliver_due(None)
        self._hand_over()

    def _whole_until(self) -> float | None:
        """When the platform last showed that it brings all, while nothing is missing and nothing is kept back."""
        whole = self._hole is HoleState.NONE and self._ledger.high is not None and self.connection.reading
        return self._continuity.whole_until_s(self.connection.heard_at_s) if whole else None

    def _judge_hole(self) -> HoleState:
        """What the first hole is; one that is proven becomes a gap record."""
        while (hole := self._ledger.hole()) is HoleState.PROVEN:
            self._ledger.prove()
            self._deliver_due(None)
        if hole is not HoleState.NONE and self._hole is HoleState.NONE:
            self._observe(telemetry.HoleSuspected(self.plan.name, self._ledger.high or 0, self._ledger.held))
        self._hole = hole
        return hole

    def _submit(self) -> None:
        entries, size_bytes = self._outbox.submit()
        for after in self._envelope.unfit():
            self._observe(telemetry.DeadLettered(self.plan.name, after, UNFIT))
        duplicates, self._duplicates = self._duplicates, 0
        if not (entries or duplicates):
            return
        clamped, redacted = self._envelope.counted()
        counts = (entries, size_bytes, duplicates, clamped, self._outbox.in_hand_events, self._outbox.in_hand_bytes)
        self._observe(telemetry.BatchRead(self.plan.name, *counts, redacted))

    def _consider_reading(self) -> None:
        """Stop reading when the buffer is full; go on when there is room (P6: nothing is dropped)."""
        connection, outbox = self.connection, self._outbox
        reading = outbox.may_read(reading=connection.reading)
        if reading == connection.reading:
            return
        if reading:
            connection.resume()
        else:
            connection.pause()
        self._observe(telemetry.ReadingPaused(self.plan.name, not reading, outbox.in_hand_events, outbox.in_hand_bytes))

    def _observe(self, event: telemetry.Event) -> None:
        self._parts.shared.observe(event)
