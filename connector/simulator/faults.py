"""The faults that are in force: windows of time and counts. Pure; instants are seconds on the machine's clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

TokenTroubleKind = Literal["429", "invalid_grant", "401", "500", "slow", "garbage"]
SnapshotTroubleKind = Literal["429", "500", "slow", "truncated", "garbage", "endless"]


@dataclass(slots=True)
class TokenTrouble:
    """The token endpoint misbehaves until an instant, or for so many requests more.

    ``delay_s`` is how long kind ``slow`` takes. ``retry_after_s`` goes with 429 and 500, as seconds or as a date.
    """

    kind: TokenTroubleKind
    until_s: float
    requests_left: float = math.inf
    retry_after_s: float | None = None
    http_date: bool = False
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SnapshotTrouble:
    """The snapshot endpoint misbehaves until an instant.

    ``slow`` stays silent after half of the body for ``delay_s``, ``truncated`` hangs up there; ``endless`` sends
    conversations of some 400 bytes up to ``size_bytes``, or as long as it is listened to.
    """

    kind: SnapshotTroubleKind
    until_s: float
    retry_after_s: float = 1.0
    delay_s: float = 60.0
    size_bytes: float = math.inf


@dataclass(frozen=True, slots=True)
class Refusal:
    """New sockets get this answer instead of an upgrade."""

    until_s: float
    status: int = 503
    retry_after_s: float | None = None
    body: str = ""


@dataclass(frozen=True, slots=True)
class _Value:
    until_s: float
    value: float


class FaultBoard:
    """What is wrong with the platform at an instant. A fault for stream None is for every stream."""

    def __init__(self) -> None:
        self._refusals: dict[str | None, Refusal] = {}
        self._closers: dict[str | None, _Value] = {}
        self._mutes: dict[str | None, _Value] = {}
        self._delays: dict[str | None, _Value] = {}
        self._stalls: dict[str | None, _Value] = {}
        self._token_trouble: TokenTrouble | None = None
        self._snapshot_trouble: SnapshotTrouble | None = None

    def refuse(self, stream: str | None, refusal: Refusal) -> None:
        """Refuse new sockets."""
        self._refusals[stream] = refusal

    def accept_then_close(self, stream: str | None, until_s: float, code: int) -> None:
        """Accept the handshake of new sockets and close them at once."""
        self._closers[stream] = _Value(until_s, code)

    def mute(self, stream: str | None, until_s: float, silent_until_s: float) -> None:
        """Sockets that open until the one instant are silent until the other."""
        self._mutes[stream] = _Value(until_s, silent_until_s)

    def delay_open(self, stream: str | None, until_s: float, delay_s: float) -> None:
        """Sockets that open until the instant are silent for so long."""
        self._delays[stream] = _Value(until_s, delay_s)

    def stall(self, stream: str | None, until_s: float) -> None:
        """Handshakes are not answered until the instant."""
        self._stalls[stream] = _Value(until_s, until_s)

    def trouble_tokens(
        self,
        kind: TokenTroubleKind,
        now_s: float,
        *,
        seconds: float | None = None,
        requests: int | None = None,
        retry_after_s: float | None = None,
        http_date: bool = False,
        delay_s: float = 0.0,
    ) -> None:
        """The token endpoint misbehaves for a time, for a number of requests (whichever ends first), or once."""
        if seconds is None and requests is None:
            requests = 1
        self._token_trouble = TokenTrouble(
            kind=kind,
            until_s=math.inf if seconds is None else now_s + seconds,
            requests_left=math.inf if requests is None else requests,
            retry_after_s=retry_after_s,
            http_date=http_date,
            delay_s=delay_s,
        )

    def trouble_snapshots(self, trouble: SnapshotTrouble) -> None:
        """The snapshot endpoint misbehaves."""
        self._snapshot_trouble = trouble

    def clear(self) -> None:
        """End every window."""
        for windows in (self._refusals, self._closers, self._mutes, self._delays, self._stalls):
            windows.clear()
        self._token_trouble = self._snapshot_trouble = None

    def refusal(self, stream: str, now_s: float) -> Refusal | None:
        """The refusal in force for a new socket."""
        found = (self._refusals.get(key) for key in (stream, None))
        return next((refusal for refusal in found if refusal is not None and now_s < refusal.until_s), None)

    def close_code_on_open(self, stream: str, now_s: float) -> int | None:
        """The code with which a new socket is closed at once."""
        value = _in_force(self._closers, stream, now_s)
        return None if value is None else int(value)

    def silent_until(self, stream: str, now_s: float, usual_delay_s: float) -> float:
        """Until when a socket that opens now is silent."""
        delay_s = _in_force(self._delays, stream, now_s)
        opened = now_s + (usual_delay_s if delay_s is None else delay_s)
        return max(opened, _in_force(self._mutes, stream, now_s) or 0.0)

    def stalled_until(self, stream: str, now_s: float) -> float | None:
        """Until when a handshake that arrives now stays unanswered."""
        return _in_force(self._stalls, stream, now_s)

    def take_token_trouble(self, now_s: float) -> TokenTrouble | None:
        """The trouble that the present token request meets; counts it."""
        trouble = self._token_trouble
        if trouble is None or now_s >= trouble.until_s or trouble.requests_left <= 0:
            return None
        trouble.requests_left -= 1
        return trouble

    def snapshot_trouble(self, now_s: float) -> SnapshotTrouble | None:
        """The trouble that the present snapshot request meets."""
        trouble = self._snapshot_trouble
        return trouble if trouble is not None and now_s < trouble.until_s else None


def _in_force(values: dict[str | None, _Value], stream: str, now_s: float) -> float | None:
    found = (values.get(key) for key in (stream, None))
    return next((each.value for each in found if each is not None and now_s < each.until_s), None)
