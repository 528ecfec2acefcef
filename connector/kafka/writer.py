"""The lane writer: a thread that turns a lane's batches into transactions (DESIGN.md §3, KAFKA.md).

Its life is a loop of producers: open (init, read the checkpoint, reconcile what is in hand) → serve (transactions,
one after the other) → a doubt → open again. It never sends again what it does not know to be uncommitted.
"""

from __future__ import annotations

import logging
import threading
import time

from connector.core.boundary import Boundary
from connector.core.checkpoint import LANES_KEY, encode
from connector.core.lane import Freed, InHand
from connector.core.transaction import Cure, cure
from connector.errors import CheckpointVersionError
from connector.kafka.checkpoints import LaneCheckpoints, lanes_record
from connector.kafka.inbox import Inbox, InterruptedLaneError, Mode
from connector.kafka.remedies import Remedies
from connector.kafka.reports import DeliveryReports
from connector.kafka.services import LaneServices
from connector.kafka.takeover import Takeover
from connector.kafka.transactor import SLOW_COMMIT_S, Doubt, RecordRefusedError, Transactor
from connector.model import Batch

_IDLE_S = 1.0
_LOOK_S = 2.0
_OWNERSHIP_POLL_S = 0.05

_log = logging.getLogger("connector.lane")


class LaneWriter:
    """Implements :class:`connector.ports.Lane`."""

    def __init__(self, lane: int, services: LaneServices) -> None:
        self.lane = lane
        self.ended = threading.Event()
        self.state = "opening"
        self._services = services
        self._inbox = Inbox()
        self._hand = InHand()
        self._checkpoints = LaneCheckpoints(services.client, lane)
        self._transactor: Transactor | None = None
        self._reports = DeliveryReports()
        self._remedies = Remedies(lane, services, self._hand)
        self._announced = False
        self._thread = threading.Thread(target=self._run, name=f"lane-{lane}", daemon=True)

    # ------------------------------------------------------------------ from the event loop

    def start(self) -> None:
        """Open the lane."""
        self._thread.start()

    def submit(self, batch: Batch) -> None:
        """See :meth:`connector.ports.Sink.submit`."""
        self._inbox.put(batch)

    def renounce(self, stream: str) -> None:
        """See :meth:`connector.ports.Lane.renounce`."""
        self._inbox.renounce(stream)

    def hold(self) -> None:
        """Begin no transaction: the group lost sight of this worker (rule 13)."""
        self._inbox.turn(Mode.HOLD, before=Mode.RUN)

    def resume(self) -> None:
        """The lane is ours again: init, read, drop what is committed, go on."""
        self._inbox.turn(Mode.RUN, before=Mode.HOLD)

    def finish(self, deadline: float) -> None:
        """Commit what is in hand until ``deadline`` (``time.monotonic``), then end; ``ended`` is set."""
        self._inbox.finish(deadline)

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            while self._live_once():
                pass
            self.state = "ended"
        except CheckpointVersionError as error:
            _log.error("lane %d is refused: %s", self.lane, error)
            self.state = f"refused: {error}"
        finally:
            self._discard()
            self.ended.set()

    def _live_once(self) -> bool:
        """One producer's life; False when the lane ends."""
        try:
            if self._inbox.mode is Mode.HOLD:
                self._wait_while_held()
            self._inbox.collect(self._hand, 0.0)
            if self._inbox.mode is Mode.FINISH and not self._hand.waiting():
                return False
            self._open()
            self._serve()
        except InterruptedLaneError:
            self._hand.roll_back()
            return self._inbox.mode is not Mode.FINISH
        except Doubt as doubt:
            self._answer(doubt)
        except CheckpointVersionError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of the bridge's own must not end a lane in silence
            _log.exception("a fault of the bridge in lane %d", self.lane)
            self._answer(Doubt("fault", Cure.RENEW, f"{type(error).__name__}: {error}"))
        return True

    def _open(self) -> None:
        """A new producer and epoch; then what Kafka says (rules 1, 2, 8)."""
        self._discard()
        self._reports = DeliveryReports()
        self.state = "opening"
        services, started = self._services, time.monotonic()
        while self.lane not in services.membership().lanes:  # an init would fence the present owner
            if self._inbox.mode is not Mode.RUN:
                raise InterruptedLaneError
            self._inbox.collect(self._hand, _OWNERSHIP_POLL_S)
        self._transactor = Transactor(services.client, self.lane, list(services.limits().values()), self._still)
        takeover = Takeover(self.lane, services, self._transactor, still=self._still_needed, tell=self._say)
        read = takeover.read(self._checkpoints, control=not self._announced)
        self._check_lanes()
        for rewound in self._hand.reconcile(read):
            _log.error("lane %d: %s starts again: %s", self.lane, rewound.checkpoint.stream, rewound.why)
            self._services.post(services.listener.rewound, self.lane, rewound.checkpoint, rewound.incarnation)
        if not self._announced:
            self._announced = True
            self._services.post(services.listener.lane_opened, self.lane, read)
        self.state = "serving"
        _log.info("lane %d open: %d streams, %.3f s", self.lane, len(read), time.monotonic() - started)

    def _check_lanes(self) -> None:
        reason = self._checkpoints.mismatch(self._services.lanes)
        if reason is not None:
            self._services.post(self._services.listener.mismatched, reason)
            self._inbox.turn(Mode.FINISH)
            raise InterruptedLaneError

    def _serve(self) -> None:
        """Transactions, one after the other, until the mode changes or there is a doubt."""
        first = True
        while self._inbox.mode is not Mode.HOLD:
            self._still()
            self._inbox.collect(
                self._hand, _IDLE_S if self._inbox.mode is Mode.RUN and not self._hand.waiting() else 0.0
            )
            self._remedies.restore_due()
            for r in self._hand.renounced():
                self._services.post(self._services.listener.renounced, self.lane, r.stream, r.checkpoint, r.incarnation)
            if self._transact(first=first):
                first = False
            elif self._inbox.mode is Mode.FINISH:
                raise InterruptedLaneError
            else:
                self._current().poll()

    # ------------------------------------------------------------------ one transaction

    def _transact(self, *, first: bool) -> bool:
        """Write what is in hand; False where nothing was."""
        services, transactor, hand = self._services, self._current(), self._hand
        now = time.monotonic()
        batch = hand.take(self._remedies.limit or services.commit.max_events) if hand.waiting() else None
        if batch is None:
            self._free(hand.dropped())
            return False
        self._reports = DeliveryReports()
        self._inbox.collect_until(hand, transactor.ready_at)
        transactor.begin()
        self._fill(batch, Boundary(services.commit, now, services.budget.reserve(self.lane, now)))
        self._flush()
        wall_ms = time.time_ns() // 1_000_000
        for checkpoint in hand.checkpoints(self._reports.offsets):
            transactor.checkpoint(checkpoint.stream, encode(checkpoint, services.worker, wall_ms), self._reports.own)
        if first:
            self._prove(transactor)
        self._flush()
        took_s = transactor.commit()
        services.committed(self.lane, hand.records, time.monotonic() - now)
        self._remedies.committed(hand.records)
        self._free([*hand.dropped(), *hand.committed()])  # in this order: a checkpoint told never goes back
        if took_s > SLOW_COMMIT_S:
            raise Doubt(
                "commit", Cure.RENEW, f"it took {took_s:.3f} s: there may be a straggler", passing="slow_commit"
            )
        return True

    def _fill(self, batch: Batch | None, boundary: Boundary) -> None:
        """Produce what is in hand, and what arrives until the transaction is due."""
        while True:
            if batch is not None:
                self._produce(batch)
                boundary.add(len(batch.entries), batch.size_bytes, urgent=batch.urgent)
            room = boundary.room()
            if self._remedies.limit is not None:
                room = min(room, self._remedies.limit - self._hand.records)
            if room <= 0:
                return
            batch = self._hand.take(room)
            if batch is None:
                self._current().poll()
                left_s = boundary.due_at() - time.monotonic()
                if left_s <= 0 or self._inbox.mode is not Mode.RUN:
                    return
                self._inbox.collect(self._hand, left_s)

    def _produce(self, batch: Batch) -> None:
        report = self._reports.of(batch.stream)
        produce = self._current().produce
        for i, entry in enumerate(batch.entries):
            try:
                produce(entry, report)
            except RecordRefusedError as error:
                batch.entries[i] = self._remedies.refuse(batch.stream, entry, str(error))
                produce(batch.entries[i], report)

    def _prove(self, transactor: Transactor) -> None:
        """The first transaction after every init: ownership, and in lane 0 the number of lanes (rules 10, 12)."""
        services = self._services
        membership = services.membership()
        if self.lane not in membership.lanes or membership.metadata is None:
            raise Doubt("ownership", Cure.RENEW, "the lane is not assigned at the moment")
        if self.lane == 0 and self._checkpoints.made_for is None:
            transactor.checkpoint(LANES_KEY, lanes_record(services.lanes), self._reports.own)
        transactor.prove_ownership(self._checkpoints.next_offset, membership.metadata)

    def _flush(self) -> None:
        """Wait until all is delivered. For a topic that has gone the client would wait half a minute (rule 3)."""
        look_at = time.monotonic() + _LOOK_S
        while not self._current().flush():
            self._still()
            if time.monotonic() >= look_at:
                if self._remedies.unwritable({topic for _, topic in self._hand.writes()}):
                    raise Doubt("flush", Cure.TOPIC, "a topic cannot be written")
                look_at = time.monotonic() + _LOOK_S
        self._check_deliveries()

    def _check_deliveries(self) -> None:
        failure = self._reports.telling()
        if failure is not None:
            error = self._current().cause() if cure(failure.error)[0] is Cure.RENEW else failure.error
            what = cure(error, of_checkpoint=failure.stream is None)[0]
            raise Doubt("delivery", what, f"{error} on {failure.topic}")

    # ------------------------------------------------------------------ doubts

    def _answer(self, doubt: Doubt) -> None:
        """What is due beside a new producer."""
        records, writes = self._hand.records, self._hand.writes()
        self._hand.roll_back()
        self._services.renewed(doubt.passing or doubt.cure)
        if doubt.passing:
            _log.info("lane %d renews its producer: %s", self.lane, doubt)
            return
        _log.warning("lane %d renews its producer: %s", self.lane, doubt)
        self.state = f"in doubt: {doubt}"
        if doubt.cure is Cure.NOT_OURS:
            self._services.post(self._services.listener.lane_refused, self.lane)
            self.hold()
            return
        until = time.monotonic() + self._remedies.answer(doubt, records, writes, self._reports.failures)
        self._inbox.collect_until(self._hand, until)

    # ------------------------------------------------------------------ waiting

    def _wait_while_held(self) -> None:
        self.state = "held"
        self._discard()
        while self._inbox.mode is Mode.HOLD:
            self._inbox.collect(self._hand, _IDLE_S)

    def _still(self) -> None:
        self._check_deliveries()
        self._inbox.still()

    def _still_needed(self) -> None:
        """While the lane opens: one that is to end and has nothing in hand need not."""
        self._inbox.still(needed=self._hand.waiting())

    def _say(self, state: str) -> None:
        self.state = state

    def _discard(self) -> None:
        if self._transactor is not None:
            self._transactor.discard()
            self._transactor = None

    def _current(self) -> Transactor:
        if self._transactor is None:
            raise Doubt("producer", Cure.RENEW, "there is none")
        return self._transactor

    def _free(self, freed: list[Freed]) -> None:
        for f in freed:
            self._services.post(self._services.listener.committed, self.lane, f.checkpoint, f.entries, f.size_bytes)
