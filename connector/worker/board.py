"""What this worker's streams are doing: telemetry folded into a status each (:mod:`connector.core.status`)."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from connector import telemetry
from connector.core.states import State
from connector.core.status import StreamStatus

_SMOOTHING = 0.3  # of each second's rate
_WELL = frozenset({State.LIVE, State.OVERLAP, State.ROTATING, State.ROTATION_DUE})


class Board:
    """The statuses of this worker's streams. All methods belong to the event loop's thread."""

    def __init__(self, platform_of: Mapping[str, str]) -> None:
        """``platform_of``: stream → its platform, whose token it uses; follows the configuration."""
        self._platform_of = platform_of
        self._statuses: dict[str, StreamStatus] = {}
        self._counted: dict[str, int] = {}
        self._tokens: dict[str, tuple[int | None, str]] = {}

    def statuses(self, streams: Iterable[str]) -> list[StreamStatus]:
        """Copies, in the given order; a stream of which nothing is known yet is starting."""
        return [self._told(stream) for stream in streams]

    def _told(self, stream: str) -> StreamStatus:
        status = copy.copy(self._of(stream))
        status.token_expires_ms, status.token_trouble = self._tokens.get(self._platform_of.get(stream, ""), (None, ""))
        return status

    def token_granted(self, platform: str, lifetime_s: float | None) -> None:
        """A platform has a token."""
        self._tokens[platform] = (None if lifetime_s is None else _now_ms() + round(lifetime_s * 1000), "")

    def token_failed(self, platform: str, trouble: str) -> None:
        """A request for a token failed."""
        self._tokens[platform] = (self._tokens.get(platform, (None, ""))[0], trouble)

    def tick(self, elapsed_s: float) -> None:
        """About once a second: how fast events came since the last time."""
        for stream, status in self._statuses.items():
            fresh = status.events - self._counted.get(stream, 0)
            self._counted[stream] = status.events
            per_s = status.per_s + _SMOOTHING * (fresh / elapsed_s - status.per_s)
            status.per_s = round(per_s, 2)

    def __call__(self, event: telemetry.Event) -> None:
        """Take a telemetry event; a stream that has left is forgotten."""
        if type(event) is telemetry.StreamLeft:
            self._statuses.pop(event.stream, None)
            self._counted.pop(event.stream, None)
            return
        fold = _FOLDS.get(type(event))
        if fold is not None:
            fold(self._of(event.stream), event)

    def _of(self, stream: str) -> StreamStatus:
        status = self._statuses.get(stream)
        if status is None:
            status = self._statuses[stream] = StreamStatus(stream=stream, since_ms=_now_ms())
        return status


def _dialing(status: StreamStatus, event: telemetry.Dialing) -> None:
    """Before its first commit here, a stream stands where it resumes."""
    if status.position is None:
        status.position = event.position


def _read(status: StreamStatus, event: telemetry.BatchRead) -> None:
    status.events += event.events
    status.duplicates += event.duplicates
    status.in_hand = event.in_hand_events


def _committed(status: StreamStatus, event: telemetry.Committed) -> None:
    checkpoint = event.checkpoint
    status.epoch, status.position, status.lag_s = checkpoint.epoch, checkpoint.position, event.lag_s
    status.complete_until_ms, status.committed_ms = checkpoint.complete_until_ms, _now_ms()


def _moved(status: StreamStatus, event: telemetry.StreamState) -> None:
    status.state, status.since_ms = event.state, _now_ms()
    status.halted = status.halted and event.state == State.STOPPED
    if event.state in _WELL:
        status.trouble, status.fault, status.failures, status.next_dial_ms = "", "", 0, None


def _failed(status: StreamStatus, event: telemetry.Failed) -> None:
    status.trouble, status.failures = event.detail, event.failures
    status.next_dial_ms = None if event.next_in_s is None else _now_ms() + round(event.next_in_s * 1000)


def _token_died(status: StreamStatus, event: telemetry.TokenDied) -> None:
    status.trouble = event.cause


def _rotated(status: StreamStatus, event: telemetry.RotationDone) -> None:
    status.rotations += 1
    status.rotated_ms, status.overlap_ms = _now_ms(), round(event.overlap_s * 1000)


def _gap(status: StreamStatus, event: telemetry.GapRecorded) -> None:
    gap = event.gap
    which = "" if gap.first is None else f" {gap.first}" if gap.first == gap.last else f" {gap.first}\u2013{gap.last}"
    status.gaps += 1
    status.gap_ms, status.gap = _now_ms(), f"{gap.reason}{which}"


def _relocated(status: StreamStatus, event: telemetry.Moved) -> None:
    status.epoch, status.position = event.epoch, event.position


def _dead_lettered(status: StreamStatus, _event: telemetry.DeadLettered) -> None:
    status.dead_letters += 1


def _paused(status: StreamStatus, event: telemetry.ReadingPaused) -> None:
    status.reading_paused = event.paused


def _suspended(status: StreamStatus, event: telemetry.Suspended) -> None:
    status.suspended = f"topic {event.topic}: {event.reason}"


def _restored(status: StreamStatus, _event: telemetry.Restored) -> None:
    status.suspended = ""


def _halted(status: StreamStatus, _event: telemetry.Halted) -> None:
    status.halted = True


def _faulty(status: StreamStatus, event: telemetry.StreamFailed) -> None:
    status.fault = event.error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


_FOLDS: dict[type[telemetry.Event], Callable[[StreamStatus, Any], None]] = {
    telemetry.Dialing: _dialing,
    telemetry.StreamState: _moved,
    telemetry.BatchRead: _read,
    telemetry.Committed: _committed,
    telemetry.Failed: _failed,
    telemetry.TokenDied: _token_died,
    telemetry.RotationDone: _rotated,
    telemetry.GapRecorded: _gap,
    telemetry.Moved: _relocated,
    telemetry.DeadLettered: _dead_lettered,
    telemetry.ReadingPaused: _paused,
    telemetry.Suspended: _suspended,
    telemetry.Restored: _restored,
    telemetry.Halted: _halted,
    telemetry.StreamFailed: _faulty,
}
"""What each event does to its stream's status; those that are not here say nothing about it."""
