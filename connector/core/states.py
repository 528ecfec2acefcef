"""The vocabulary of a stream's connection: its states, which input leads where, policy, and commands.

The transition table is data: :mod:`connector.core.handover` refuses what it does not contain, and the state diagram
in DESIGN.md is drawn from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from connector.core.reconnect import NetworkPolicy
from connector.model import Token, Trouble

TOKEN_REVOKED = 4001
"""The close code of a connection whose platform told in words that its token is dead."""


class State(StrEnum):
    """Where a stream's connection stands."""

    AWAITING_TOKEN = "awaiting_token"  # noqa: S105 - a state, not a secret
    DIALING = "dialing"
    LIVE = "live"
    ROTATION_DUE = "rotation_due"
    ROTATING = "rotating"
    OVERLAP = "overlap"
    BACKING_OFF = "backing_off"
    BREAKER_OPEN = "breaker_open"
    REFUSED = "refused"
    STOPPED = "stopped"


class Why(StrEnum):
    """What a dial is for."""

    START = "start"
    ROTATION = "rotation"
    EMERGENCY = "emergency"
    NETWORK = "network"
    PROBE = "probe"  # a hole: ask once more from before it


_S = State
TRANSITIONS: dict[State, dict[str, tuple[State, ...]]] = {
    _S.AWAITING_TOKEN: {"token": (_S.DIALING, _S.BACKING_OFF)},
    _S.DIALING: {
        "opened": (_S.LIVE, _S.ROTATION_DUE),
        "unauthorized": (_S.AWAITING_TOKEN, _S.DIALING, _S.BACKING_OFF, _S.REFUSED),
        "forbidden": (_S.REFUSED,),
        "failed": (_S.BACKING_OFF, _S.BREAKER_OPEN),
        "expired_position": (_S.DIALING, _S.BACKING_OFF, _S.AWAITING_TOKEN),
    },
    _S.LIVE: {
        "token": (_S.ROTATION_DUE,),
        "suspected": (_S.ROTATION_DUE,),
        "leaving": (_S.ROTATION_DUE,),
        "expired": (_S.AWAITING_TOKEN, _S.REFUSED),
        "dropped": (_S.BACKING_OFF, _S.BREAKER_OPEN),
    },
    _S.ROTATION_DUE: {
        "due": (_S.ROTATING, _S.DIALING, _S.LIVE),
        "resolved": (_S.LIVE,),
        "expired": (_S.DIALING, _S.BACKING_OFF, _S.AWAITING_TOKEN, _S.REFUSED),
        "dropped": (_S.BACKING_OFF, _S.BREAKER_OPEN),
    },
    _S.ROTATING: {
        "opened": (_S.OVERLAP, _S.LIVE, _S.ROTATION_DUE),
        "unauthorized": (_S.LIVE, _S.ROTATION_DUE),
        "failed": (_S.ROTATION_DUE,),
        "old_closed": (_S.DIALING,),
    },
    _S.OVERLAP: {
        "caught_up": (_S.LIVE, _S.ROTATION_DUE),
        "quiet": (_S.LIVE, _S.ROTATION_DUE),
        "time_up": (_S.LIVE, _S.ROTATION_DUE),
        "paused": (_S.LIVE, _S.ROTATION_DUE),
        "old_closed": (_S.LIVE, _S.ROTATION_DUE),
        "new_expired": (_S.LIVE, _S.ROTATION_DUE),
        "new_closed": (_S.ROTATION_DUE,),
        "new_silent": (_S.ROTATION_DUE,),
    },
    _S.BACKING_OFF: {"due": (_S.DIALING, _S.AWAITING_TOKEN)},
    _S.BREAKER_OPEN: {"due": (_S.DIALING, _S.AWAITING_TOKEN)},
    _S.REFUSED: {"due": (_S.DIALING, _S.AWAITING_TOKEN)},
    _S.STOPPED: {},
}
"""state → input → the states it may lead to; "stop" leads from every state to STOPPED. DESIGN.md's diagram is drawn
from this table."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a platform's and the worker's configuration say about connections.

    ``resumes``: a socket brings what was before it too, so that what is closed unread is not lost.
    """

    network: NetworkPolicy = field(default_factory=NetworkPolicy)
    expired_codes: frozenset[int] = frozenset({1008, 4001})
    overlap: bool = True
    resumes: bool = True
    reissue_revokes: bool = False
    jitter_s: tuple[float, float] = (0.05, 0.1)
    ping_s: float = 20.0
    keepalive_s: float | None = None
    silence_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a socket with this token, not before the instant; give up after ``timeout_s``."""

    socket: int
    token: Token
    why: Why
    not_before_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket, or cancel its dial."""

    socket: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a ping."""

    socket: int


@dataclass(frozen=True, slots=True)
class Pong:
    """Send an unsolicited pong (RFC 6455 §5.5.3): whoever is between must not take the connection for idle."""

    socket: int


@dataclass(frozen=True, slots=True)
class Silent:
    """Tell the ledger: the socket lives, and will not show what is missing."""

    socket: int


@dataclass(frozen=True, slots=True)
class ReportDead:
    """Tell the token service that a generation is dead."""

    generation: int
    cause: str


@dataclass(frozen=True, slots=True)
class Rotated:
    """A rotation is complete. ``how`` is the input that ended it; ``overlap_s`` is 0 for a sequential one.

    ``took_s``: since the newest token was there.
    """

    generation: int
    how: str
    overlap_s: float
    took_s: float


@dataclass(frozen=True, slots=True)
class Setback:
    """Something failed: ``path`` is ``network``, ``rotation`` or ``auth``; the next attempt is at ``next_at_s``."""

    path: str
    trouble: Trouble
    next_at_s: float | None


Command = Dial | Close | Ping | Pong | Silent | ReportDead | Rotated | Setback
