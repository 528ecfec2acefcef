"""What this worker's streams are doing: telemetry folded into a status each (:mod:`connector.core.status`)."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable

from connector import telemetry
from connector.core.states import State
from connector.core.status import StreamStatus
from connector.model import Gap

_SMOOTHING = 0.3  # of each second's rate
_WELL = frozenset({State.LIVE, State.OVERLAP, State.ROTATING, State.ROTATION_DUE})


class Board:
    """The statuses of this worker's streams. All methods belong to the event loop's thread."""

    def __init__(self, platform_of: dict[str, str]) -> None:
        """``platform_of``: stream → its platform, whose token it uses."""
        self._platform_of = platform_of
        self._statuses: dict[str, StreamStatus] = {}
        self._counted: dict[str, int] = {}
        self._tokens: dict[str, tuple[int | None, str]] = {}

    def statuses(self, streams: Iterable[str]) -> list[StreamStatus]:
        """Copies, in the given order; a stream of which nothing is known yet is starting."""
        return [self._told(stream) for stream in streams]

    def _told(self, stream: str) -> StreamStatus:
        status = copy.copy(self._of(stream))
        status.token_expires_ms, status.token_trouble = self._tokens.get(self._platform_of[stream], (None, ""))
        return status

    def token(self, platform: str, expires_ms: int | None, trouble: str = "") -> None:
        """A platform's token, and why there is none."""
        self._tokens[platform] = (expires_ms, trouble)

    def tick(self, elapsed_s: float) -> None:
        """About once a second: how fast events came since the last time."""
        for stream, status in self._statuses.items():
            fresh = status.events - self._counted.get(stream, 0)
            self._counted[stream] = status.events
            per_s = status.per_s + _SMOOTHING * (fresh / elapsed_s - status.per_s)
            status.per_s = round(per_s, 2)

    def __call__(self, event: telemetry.Event) -> None:
        """Take a telemetry event."""
        status = self._of(event.stream)
        match event:
            case telemetry.BatchRead(_, events, _, duplicates, _, in_hand):
                status.events += events
                status.duplicates += duplicates
                status.in_hand = in_hand
            case telemetry.Committed():
                _committed(status, event)
            case telemetry.StreamState(_, state):
                _moved(status, state)
            case telemetry.Failed(_, _, detail, next_in_s, failures):
                status.trouble, status.failures = detail, failures
                status.next_dial_ms = None if next_in_s is None else _now_ms() + round(next_in_s * 1000)
            case telemetry.TokenDied(_, _, cause):
                status.trouble = cause
            case telemetry.RotationDone(_, _, _, overlap_s):
                status.rotations += 1
                status.rotated_ms, status.overlap_ms = _now_ms(), round(overlap_s * 1000)
            case telemetry.GapRecorded(_, gap):
                status.gaps += 1
                status.gap_ms, status.gap = _now_ms(), describe(gap)
            case telemetry.DeadLettered():
                status.dead_letters += 1
            case telemetry.ReadingPaused(_, paused):
                status.reading_paused = paused
            case _:
                _needs_help(status, event)

    def _of(self, stream: str) -> StreamStatus:
        status = self._statuses.get(stream)
        if status is None:
            status = self._statuses[stream] = StreamStatus(stream=stream, since_ms=_now_ms())
        return status


def _committed(status: StreamStatus, event: telemetry.Committed) -> None:
    checkpoint = event.checkpoint
    status.epoch, status.position, status.lag_s = checkpoint.epoch, checkpoint.position, event.lag_s
    status.complete_until_ms, status.committed_ms = checkpoint.complete_until_ms, _now_ms()


def _moved(status: StreamStatus, state: str) -> None:
    status.state, status.since_ms = state, _now_ms()
    status.halted = status.halted and state == State.STOPPED
    if state in _WELL:
        status.trouble, status.fault, status.failures, status.next_dial_ms = "", "", 0, None


def _needs_help(status: StreamStatus, event: telemetry.Event) -> None:
    match event:
        case telemetry.Suspended(_, topic, reason):
            status.suspended = f"topic {topic}: {reason}"
        case telemetry.Restored():
            status.suspended = ""
        case telemetry.Halted():
            status.halted = True
        case telemetry.StreamFailed(_, fault):
            status.fault = fault


def describe(gap: Gap) -> str:
    """A gap in a few words: why, and which positions."""
    which = "" if gap.first is None else f" {gap.first}" if gap.first == gap.last else f" {gap.first}\u2013{gap.last}"
    return f"{gap.reason}{which}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
