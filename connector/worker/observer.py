"""Telemetry events → log lines and metrics, under one name. Per-batch events make no line; floods make few."""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING

import structlog

from connector import telemetry
from connector.auth.events import TokenEvent, TokenGranted, TokenReportedDead, TokenRequestFailed
from connector.core.poison import PoisonRate
from connector.ports import LaneOwner
from connector.web.metrics import Children, Metrics
from connector.worker.board import Board

if TYPE_CHECKING:
    from connector.worker.tracing import Tracing  # OpenTelemetry is an extra

_SELDOM_S = 10.0

_log = structlog.get_logger("connector.stream")

LINES: dict[type[telemetry.Event], tuple[int, str]] = {
    telemetry.StreamState: (logging.INFO, "stream state"),
    telemetry.Dialing: (logging.INFO, "connecting"),
    telemetry.SocketOpened: (logging.INFO, "socket opened"),
    telemetry.DialFailed: (logging.DEBUG, "socket not opened"),
    telemetry.SocketClosed: (logging.INFO, "socket closed"),
    telemetry.RotationDone: (logging.INFO, "rotation done"),
    telemetry.Failed: (logging.WARNING, "connection failed"),
    telemetry.TokenDied: (logging.WARNING, "token died"),
    telemetry.HoleSuspected: (logging.WARNING, "positions did not come; asking again"),
    telemetry.GapRecorded: (logging.ERROR, "gap recorded"),
    telemetry.Unanchored: (logging.ERROR, "no snapshot to begin at; the stream begins at the platform's present"),
    telemetry.SnapshotWritten: (logging.INFO, "snapshot written"),
    telemetry.Poisoned: (logging.ERROR, "much cannot be read or written; look at the dead letters"),
    telemetry.Halted: (logging.ERROR, "stream stopped after a gap (on_gap: stop)"),
    telemetry.Told: (logging.INFO, "stream told what to do"),
    telemetry.Moved: (logging.WARNING, "position changed by an operator"),
    telemetry.Suspended: (logging.ERROR, "stream suspended"),
    telemetry.Restored: (logging.WARNING, "stream restored"),
    telemetry.StreamFailed: (logging.ERROR, "stream failed; it starts again from its last commit"),
    telemetry.LaneLost: (logging.DEBUG, "lane lost from sight"),
    telemetry.StreamLeft: (logging.INFO, "stream left this worker"),
}
SELDOM: dict[type[telemetry.Event], tuple[int, str]] = {
    telemetry.DeadLettered: (logging.WARNING, "item dead-lettered"),
    telemetry.ReadingPaused: (logging.INFO, "reading paused or resumed"),
}
"""At most one line in ten seconds for a stream, with the number of those that made none (``untold``)."""


class Observer:
    """Call it with a telemetry event. ``board`` keeps what streams are doing; ``others`` see every event too."""

    def __init__(
        self, metrics: Metrics, board: Board, *others: telemetry.Observer, tracing: Tracing | None = None
    ) -> None:
        self._metrics = metrics
        self._board = board
        self._others: tuple[telemetry.Observer, ...] = others if tracing is None else (*others, tracing)
        self._tracing = tracing
        self._events, self._event_bytes = Children(metrics.events), Children(metrics.event_bytes)
        self._buffer_events, self._buffer_bytes = Children(metrics.buffer_events), Children(metrics.buffer_bytes)
        self._commits, self._position = Children(metrics.commits), Children(metrics.position)
        self._complete_until, self._lag = Children(metrics.complete_until), Children(metrics.lag_seconds)
        self._states: dict[str, str] = {}
        self._poison: defaultdict[str, PoisonRate] = defaultdict(PoisonRate)
        self._last: dict[tuple[str, type[telemetry.Event]], tuple[float, int]] = {}

    def __call__(self, event: telemetry.Event) -> None:
        """Count it, and tell it if it makes a line."""
        if type(event) is telemetry.BatchRead:
            self._read(event)
        elif type(event) is telemetry.Committed:
            self._committed(event)
        else:
            self._count(event)
            self._tell(event)
        self._board(event)
        if type(event) is telemetry.DeadLettered and self._poison[event.stream].trips(time.monotonic()):
            self(telemetry.Poisoned(event.stream, event.after, event.reason))
        for other in self._others:
            other(event)

    def token(self, event: TokenEvent) -> None:
        """Count an event of a token service; it has told its own line."""
        if self._tracing is not None:
            self._tracing.token(event)
        metrics = self._metrics
        if isinstance(event, TokenGranted):
            metrics.tokens.labels(event.name, "shared" if event.shared else "granted").inc()
            self._board.token_granted(event.name, event.lifetime_s)
            if event.exp_s is not None:
                metrics.token_expiry.labels(event.name).set(event.exp_s)
            if event.skew_s is not None:
                metrics.clock_skew.labels(event.name).set(event.skew_s)
        elif isinstance(event, TokenRequestFailed):
            self._board.token_failed(event.name, event.detail)
            outcome = f"http_{event.status}" if event.status else "unreachable"
            metrics.tokens.labels(event.name, outcome if event.asked else "paused").inc()
        elif isinstance(event, TokenReportedDead):
            metrics.tokens.labels(event.name, "reported_dead").inc()
        else:
            metrics.tokens.labels(event.name, "unchanged").inc()

    def lane_committed(self, lane: int, records: int, took_s: float) -> None:
        """Count a transaction; may be called by any thread."""
        self._metrics.lane_commits.observe(took_s)
        if self._tracing is not None:
            self._tracing.committed(lane, records, took_s)

    def watch_token(self, platform: str, left_s: Callable[[], float | None]) -> None:
        """Show at every scrape how long the platform's token has to live; None: unused, or unknown."""

        def shown() -> float:
            left = left_s()
            return math.nan if left is None else left

        self._metrics.token_left.labels(platform).set_function(shown)

    def redis_changed(self, up: bool) -> None:  # noqa: FBT001 - a state, called by who has it
        """Count whether tokens can be shared; the link has told its own line."""
        self._metrics.redis_up.labels("tokens").set(up)

    def _read(self, event: telemetry.BatchRead) -> None:
        metrics, stream = self._metrics, event.stream
        self._events[stream].inc(event.events)
        self._event_bytes[stream].inc(event.size_bytes)
        self._buffer_events[stream].set(event.in_hand_events)
        self._buffer_bytes[stream].set(event.in_hand_bytes)
        if event.duplicates:
            metrics.duplicates.labels(stream).inc(event.duplicates)
        if event.clamped:
            metrics.timestamps_clamped.labels(stream).inc(event.clamped)
        if event.redacted:
            metrics.redacted.labels(stream).inc(event.redacted)

    def _committed(self, event: telemetry.Committed) -> None:
        stream = event.stream
        self._commits[stream].inc()
        if event.checkpoint.position is not None:
            self._position[stream].set(event.checkpoint.position)
        if event.checkpoint.complete_until_ms is not None:
            self._complete_until[stream].set(event.checkpoint.complete_until_ms / 1000)
        if event.lag_s is not None:
            self._lag[stream].set(event.lag_s)

    def _count(self, event: telemetry.Event) -> None:  # noqa: C901, PLR0912 - one case an event, nothing else
        metrics, stream = self._metrics, event.stream
        match event:
            case telemetry.StreamState(_, state):
                former = self._states.get(stream)
                if former is not None:
                    metrics.stream_state.labels(stream, former).set(0)
                metrics.stream_state.labels(stream, state).set(1)
                metrics.breaker_open.labels(stream).set(state == "breaker_open")
                self._states[stream] = state
            case telemetry.Dialing(_, _, why):
                metrics.connects.labels(stream, why).inc()
            case telemetry.RotationDone(_, _, how, overlap_s, took_s):
                metrics.rotations.labels(stream, how).inc()
                metrics.rotation_overlap.observe(overlap_s)
                metrics.rotation_took.observe(took_s)
            case telemetry.Failed(_, "network", cause, _, next_in_s):
                metrics.network_failures.labels(stream, cause).inc()
                metrics.backoff_seconds.labels(stream).set(next_in_s or 0.0)
            case telemetry.Failed(_, "rotation", cause):
                metrics.rotation_failures.labels(stream, cause).inc()
            case telemetry.Failed() | telemetry.TokenDied():
                metrics.auth_failures.labels(stream).inc()
            case telemetry.HoleSuspected():
                metrics.holes.labels(stream).inc()
            case telemetry.GapRecorded(_, gap):
                metrics.gaps.labels(stream, gap.reason).inc()
                if gap.first is not None and gap.last is not None:
                    metrics.gap_positions.labels(stream).inc(gap.last - gap.first + 1)
            case telemetry.DeadLettered(_, _, reason):
                metrics.dead_letters.labels(stream, reason).inc()
            case telemetry.Poisoned():
                metrics.poison_alerts.labels(stream).inc()
            case telemetry.ReadingPaused(_, paused):
                metrics.reading_paused.labels(stream).set(paused)
            case telemetry.Suspended():
                metrics.suspended.labels(stream).set(1)
            case telemetry.Restored():
                metrics.suspended.labels(stream).set(0)
            case telemetry.StreamFailed():
                metrics.stream_faults.labels(stream).inc()
            case telemetry.StreamLeft():
                metrics.forget(stream)
                for gauge in (self._buffer_events, self._buffer_bytes, self._position, self._complete_until, self._lag):
                    gauge.pop(stream, None)  # one that is set again must be a new one
                self._states.pop(stream, None)
                self._poison.pop(stream, None)

    def _tell(self, event: telemetry.Event) -> None:
        facts = {"signal": telemetry.signal_of(event)}
        facts |= {field.name: getattr(event, field.name) for field in fields(event)}
        line = LINES.get(type(event))
        if line is not None:
            _log.log(line[0], line[1], **facts)
            return
        level, text = SELDOM[type(event)]
        key, now = (event.stream, type(event)), time.monotonic()
        at, untold = self._last.get(key, (float("-inf"), 0))
        if now - at < _SELDOM_S:
            self._last[key] = (at, untold + 1)
            return
        self._last[key] = (now, 0)
        _log.log(level, text, **facts, untold=untold)


class CountedOwner:
    """A lane owner that is told after its rebalances are counted. Implements :class:`connector.ports.LaneOwner`."""

    def __init__(self, owner: LaneOwner, metrics: Metrics) -> None:
        self._owner = owner
        self._rebalances = metrics.rebalances

    def assigned(self, lanes: frozenset[int]) -> None:
        """See :meth:`connector.ports.LaneOwner.assigned`."""
        self._rebalances.labels("assigned").inc()
        self._owner.assigned(lanes)

    def revoked(self, lanes: frozenset[int], deadline: float) -> None:
        """See :meth:`connector.ports.LaneOwner.revoked`."""
        self._rebalances.labels("revoked").inc()
        self._owner.revoked(lanes, deadline)

    def lost(self, lanes: frozenset[int]) -> None:
        """See :meth:`connector.ports.LaneOwner.lost`."""
        self._rebalances.labels("lost").inc()
        self._owner.lost(lanes)
