"""What pipelines are told beside the events: CloudEvents on ``{group}.notifications`` (CONTRACT.md "Topics").

A gap, a breaker that opened, a credential that is refused, a lane lost from sight: so that whoever reads the topics can
react, as WFM does when it computes adherence anew for a gap's interval. Best effort; the truth is in the gap records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from connector import telemetry
from connector.core.instants import rfc3339
from connector.core.states import State
from connector.model import Gap, Headers

VERSION = 1
GAP, BREAKER_OPEN, REFUSED, LANE_LOST = (
    f"ccaas.bridge.{kind}" for kind in ("gap", "breaker_open", "credential_refused", "lane_lost")
)
_TROUBLES = {State.BREAKER_OPEN: BREAKER_OPEN, State.REFUSED: REFUSED}


@dataclass(frozen=True, slots=True)
class Notification:
    """A record of the notifications topic, keyed by the stream."""

    stream: str
    value: bytes
    headers: Headers


class Notifier:
    """Telemetry in, notifications out. A trouble is told once, until the stream is live again."""

    def __init__(self, group: str, worker: str, platform_of: Mapping[str, str]) -> None:
        """``platform_of``: stream → its platform; follows the configuration."""
        self._group = group
        self._worker = worker
        self._platform_of = platform_of
        self._details: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()
        self._number = 0

    def notification(self, event: telemetry.Event, now_ms: int) -> Notification | None:
        """What an event is worth telling; None: nothing."""
        match event:
            case telemetry.GapRecorded(stream, gap):
                return self._of(GAP, stream, _interval(gap), now_ms)
            case telemetry.LaneLost(stream, lane):
                return self._of(LANE_LOST, stream, {"lane": lane}, now_ms)
            case telemetry.Failed(stream, _, _, detail):
                self._details[stream] = detail
            case telemetry.StreamState(stream, state):
                return self._moved(stream, State(state), now_ms)
        return None

    def _moved(self, stream: str, state: State, now_ms: int) -> Notification | None:
        if state is State.LIVE:
            self._told -= {(stream, kind) for kind in _TROUBLES.values()}
            self._details.pop(stream, None)
        kind = _TROUBLES.get(state)
        if kind is None or (stream, kind) in self._told:
            return None
        self._told.add((stream, kind))
        return self._of(kind, stream, {"detail": self._details.get(stream, "")}, now_ms)

    def _of(self, kind: str, stream: str, data: Mapping[str, Any], now_ms: int) -> Notification:
        self._number += 1
        platform = self._platform_of.get(stream, "")
        headers: Headers = [
            ("ce_specversion", "1.0"),
            ("ce_id", f"{self._worker}/{self._number}"),
            ("ce_source", f"/ccaas/{self._group}/{platform}/{stream}"),
            ("ce_type", kind),
            ("ce_time", rfc3339(now_ms)),
            ("content-type", "application/json"),
        ]
        value = {"v": VERSION, "stream": stream, "worker": self._worker, **data}
        return Notification(stream, orjson.dumps(value), headers)


def _interval(gap: Gap) -> dict[str, Any]:
    """Which positions, and which time they fell into, as the gap record has it."""
    return {
        "epoch": gap.epoch,
        "from": gap.first,
        "to": gap.last,
        "from_time": None if gap.first_time_ms is None else rfc3339(gap.first_time_ms),
        "to_time": None if gap.last_time_ms is None else rfc3339(gap.last_time_ms),
        "reason": str(gap.reason),
    }
