"""What the status page shows of streams and lanes: plain values, and which of them changed. No I/O here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connector.core.fleet import LaneView, StreamView
from connector.core.status import StreamStatus

Row = dict[str, Any]
_UNKNOWN = StreamStatus(stream="", state="unknown")


def stream_row(view: StreamView) -> Row:
    """One stream. Instants in ms since the Unix epoch; a position is text, since JavaScript's numbers end at 2^53."""
    status = view.status or _UNKNOWN
    return {
        "name": view.name,
        "lane": view.lane,
        "worker": view.worker,
        "phase": view.phase.value,
        "target": view.target.value,
        "trace": view.trace,
        "state": status.state,
        "since_ms": status.since_ms or None,
        "rate": status.per_s,
        "events": status.events,
        "lag_s": status.lag_s,
        "committed_ms": status.committed_ms,
        "complete_ms": status.complete_until_ms,
        "epoch": status.epoch,
        "position": None if status.position is None else str(status.position),
        "in_hand": status.in_hand,
        "reading_paused": status.reading_paused,
        "token_ms": status.token_expires_ms,
        "rotations": status.rotations,
        "rotated_ms": status.rotated_ms,
        "overlap_ms": status.overlap_ms,
        "failures": status.failures,
        "next_dial_ms": status.next_dial_ms,
        "gaps": status.gaps,
        "gap_ms": status.gap_ms,
        "gap": status.gap,
        "duplicates": status.duplicates,
        "dead_letters": status.dead_letters,
    }


def lane_row(view: LaneView) -> Row:
    """One lane."""
    return {"lane": view.lane, "worker": view.worker, "state": view.state, "streams": view.streams}


class Difference:
    """What one viewer has not seen yet."""

    def __init__(self) -> None:
        self._streams: dict[str, Row] = {}
        self._lanes: Sequence[Row] = ()

    def since(self, streams: Sequence[Row], lanes: Sequence[Row]) -> Row:
        """The rows that are new or changed; ``names`` of all streams and all ``lanes``, where those have changed."""
        changed = [row for row in streams if self._streams.get(row["name"]) != row]
        told: Row = {"streams": changed}
        known = self._streams.keys()
        self._streams = {row["name"]: row for row in streams}
        if known != self._streams.keys():
            told["names"] = list(self._streams)
        if list(lanes) != list(self._lanes):
            told["lanes"] = self._lanes = list(lanes)
        return told
