"""What a stream is doing, as workers tell each other and the management API tells operators.

A worker publishes each of its lanes as :class:`LaneStatus` records of the control topic, under ``$status/{lane}`` and,
where a lane has many streams, ``$status/{lane}/{part}``, so that any worker can answer for the whole group. It is a
view, never a truth: nothing decides by it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

VERSION = 1
STATUS_KEY = "$status/"
STARTING = "starting"
_DEBOUNCE_S = 1.0
_EVERY_S = 10.0
_STALE_S = 35.0
"""A lane's status that is older says nothing, where the group cannot be asked who owns the lane."""

_STREAMS_A_RECORD = 80
_LONGEST_TEXT = 300
"""Characters, of six bytes at most: a record of the two stays below Kafka's 1 MB whatever happens."""

_NEEDS_HELP = {
    "refused": "the platform refuses the credential or lacks a permission for it",
    "breaker_open": "the circuit breaker is open: the platform cannot be reached",
}


class StreamStatus(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One stream, as the worker that has its lane sees it. Instants in ms since the Unix epoch, by its wall clock.

    ``state`` is the connection's (:class:`connector.core.states.State`), or ``starting``. Counts are since the worker
    first had the stream. ``trouble``: the last failure since the stream was last well. ``suspended``: which topic
    cannot be written, and why. ``token_trouble``: why no token can be had, while there is none.
    """

    stream: str
    state: str = STARTING
    since_ms: int = 0
    trouble: str = ""
    suspended: str = ""
    halted: bool = False
    fault: str = ""
    token_trouble: str = ""
    token_expires_ms: int | None = None
    epoch: int = 0
    position: int | None = None
    committed_ms: int | None = None
    complete_until_ms: int | None = None
    lag_s: float | None = None
    events: int = 0
    per_s: float = 0.0
    in_hand: int = 0
    reading_paused: bool = False
    duplicates: int = 0
    dead_letters: int = 0
    gaps: int = 0
    gap_ms: int | None = None
    gap: str = ""
    failures: int = 0
    next_dial_ms: int | None = None
    rotations: int = 0
    rotated_ms: int | None = None
    overlap_ms: int | None = None

    @property
    def failing(self) -> str:
        """Why the stream needs help, in a sentence; empty where it does not, or is about to help itself."""
        if self.suspended:
            return f"suspended: {self.suspended}"
        if self.fault:
            return f"a fault of the bridge, it starts again from its last commit: {self.fault}"
        if self.halted:
            return "stopped after a gap, as on_gap: stop asks; resume it once the gap is looked at"
        if self.state in _NEEDS_HELP:
            return f"{_NEEDS_HELP[self.state]}{': ' if self.trouble else ''}{self.trouble}"
        if self.state == "awaiting_token" and self.token_trouble:
            return f"no token can be had: {self.token_trouble}"
        return ""

    @property
    def news(self) -> Hashable:
        """What others should hear of at once when it changes."""
        return (self.state, self.failing, self.reading_paused, self.gaps, self.rotations, self.dead_letters > 0)


class LaneStatus(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A lane and its streams, or a part of them, as their owner publishes them at ``at_ms`` (its wall clock)."""

    v: int = VERSION
    lane: int
    worker: str
    at_ms: int
    state: str
    streams: list[StreamStatus]


_TEXTS = ("trouble", "suspended", "fault", "token_trouble", "gap")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(LaneStatus)


def parts(streams: Sequence[StreamStatus]) -> list[Sequence[StreamStatus]]:
    """What goes into each of a lane's records."""
    return [streams[first : first + _STREAMS_A_RECORD] for first in range(0, len(streams), _STREAMS_A_RECORD)]


def key_of(lane: int, part: int) -> str:
    """The key of a lane's record."""
    return f"{STATUS_KEY}{lane}/{part}" if part else f"{STATUS_KEY}{lane}"


def encode(status: LaneStatus) -> bytes:
    """The record's value; long texts are cut."""
    return _encoder.encode(replace(status, streams=[_short(stream) for stream in status.streams]))


def _short(status: StreamStatus) -> StreamStatus:
    texts = {name: getattr(status, name) for name in _TEXTS}
    long = {name: f"{text[: _LONGEST_TEXT - 1]}…" for name, text in texts.items() if len(text) > _LONGEST_TEXT}
    return replace(status, **long) if long else status


def decode(value: bytes) -> LaneStatus | None:
    """A record's value; None for what another version wrote, or what is none: a view can do without it."""
    try:
        status = _decoder.decode(value)
    except msgspec.DecodeError:
        return None
    return status if status.v == VERSION else None


class Bulletins:
    """When a part of a lane's status is published: on a change, at most once a second, and else every ten seconds."""

    def __init__(self) -> None:
        self._told: dict[tuple[int, int], tuple[float, Hashable]] = {}

    def due(self, lane: int, part: int, streams: Sequence[StreamStatus], now: float) -> bool:
        """Whether this part of the lane's status is to be published now; the caller then does so."""
        news = tuple(status.news for status in streams)
        at, told = self._told.get((lane, part), (float("-inf"), None))
        if now - at < (_EVERY_S if news == told else _DEBOUNCE_S):
            return False
        self._told[lane, part] = (now, news)
        return True

    def keep(self, lanes: frozenset[int]) -> None:
        """Forget every other lane: it is told at once when it comes back."""
        for lane, part in list(self._told):
            if lane not in lanes:
                del self._told[lane, part]


class Heard(msgspec.Struct, frozen=True):
    """A lane's status as it came from the topic, and when (``time.monotonic`` of this worker, or what is like it)."""

    status: LaneStatus
    at_s: float


def owner_of(lane: int, owners: Mapping[int, str] | None, heard: Heard | None, now: float) -> str | None:
    """The worker that has a lane: by the group's word, or where it cannot be had, by a fresh status; None: nobody."""
    if owners is not None:
        return owners.get(lane)
    if heard is not None and now - heard.at_s < _STALE_S:
        return heard.status.worker
    return None
