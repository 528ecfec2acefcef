"""Workers that share tokens: what a stored value means, who asks the OAuth server, and when. Pure.

Rules: a stored token's life is what the store says is left of it, never an instant of a clock; a token is known by
itself (its fingerprint), since every worker counts generations of its own; nobody waits without a bound, and who
cannot share asks for itself. This module must not know Redis, encryption or tasks; ``connector.auth.sharing`` does.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

import msgspec

from connector.core.token_clock import BUFFER_SHARE, RETRY_AFTER_MAX_S, Freshness, Grant, lifetime_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connector.errors import TokenError
    from connector.model import Token

REQUEST_S, SHORT_REQUEST_S = (
    10.0,
    2.0,
)  # the longest that a request to a token endpoint may take, and where time is short
LOCK_S = 12.0  # longer than a request; a worker that dies with it costs as much
JITTER_S = 2.0  # before a scheduled attempt: the guide's "0-2000 milliseconds"
PAUSE_S = 1.0  # between attempts of all workers together while the endpoint fails
UNKNOWN_LIFE_S = 3600.0  # how long a token is kept that does not say how long it lives; its death ends it sooner
PROBE_S, PROBE_MAX_S = 0.5, 5.0  # between attempts to reach a store that is away
_REFUSALS = frozenset({400, 401, 403})
_LATE_S = 1.0  # a store that claims more life than this beyond the whole is not believed


@dataclass(frozen=True, slots=True)
class Need:
    """Why a worker asks: its present token and what that is worth. ``left_s``: 0: none, None: unknown."""

    token: Token | None
    freshness: Freshness
    left_s: float | None
    buffer_s: float

    @property
    def lives(self) -> bool:
        """Whether streams have a token meanwhile; else it is a start, or an emergency."""
        return self.freshness is not Freshness.INVALID


class Lock(Enum):
    """Who may ask the OAuth server."""

    FREE = "free"
    OURS = "ours"
    OTHERS = "others"
    PAUSED = "paused"  # the endpoint has just failed somebody, or refused our credential: not we


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store holds. ``grant`` is None where nothing usable is there; ``left_s`` is its token's life."""

    grant: Grant | None
    left_s: float
    lock: Lock
    lock_left_s: float


class Step(StrEnum):
    """What to do next."""

    ADOPT = "adopt"
    TAKE = "take"  # the lock, and look again
    ASK = "ask"  # the OAuth server: the lock is ours
    WAIT = "wait"  # for whoever asks, then look again
    OBEY = "obey"  # the pause
    ALONE = "alone"  # waited enough: ask without the lock


def decide(need: Need, seen: Seen, waited_s: float) -> Step:
    """What a look at the store leads to."""
    if adoptable(need, seen):
        return Step.ADOPT
    match seen.lock:
        case Lock.OURS:
            return Step.ASK
        case Lock.FREE:
            return Step.TAKE
        case Lock.PAUSED:
            return Step.OBEY
        case Lock.OTHERS:
            return Step.WAIT if waited_s < patience_s(need) else Step.ALONE


def adoptable(need: Need, seen: Seen) -> bool:
    """Whether the stored token serves as if we had asked for it ourselves.

    Never the one we have, dead or not. Who has a live token takes one that is not in its buffer yet; who has none takes
    what still has a quarter of that, and refreshes it at once.
    """
    if seen.grant is None or is_same(need, seen.grant):
        return False
    life_s = lifetime_s(seen.grant)
    buffer_s = min(need.buffer_s, BUFFER_SHARE * (UNKNOWN_LIFE_S if life_s is None else life_s))
    return seen.left_s > (buffer_s if need.lives else buffer_s / 4)


def is_same(need: Need, grant: Grant) -> bool:
    """Whether a grant brings nothing but the token we have, dead or not."""
    return need.token is not None and grant.token == need.token.value


def patience_s(need: Need) -> float:
    """How long to wait for another worker: one lock's life, and no more than half of what our token has left."""
    return LOCK_S if not need.lives else min(LOCK_S, (need.left_s or math.inf) / 2)


def request_s(need: Need) -> float:
    """How long a request to the OAuth server may take: one that hangs must leave time for another."""
    if not need.lives or need.left_s is None:
        return REQUEST_S
    return min(REQUEST_S, max(SHORT_REQUEST_S, need.left_s / 2))


def jitter_s(need: Need, uniform: Callable[[float, float], float], *, alone: bool) -> float:
    """The pause before an attempt: a scheduled one, and an emergency or a start only where no lock orders them.

    Alone, a scheduled one has a third of the token's rest: no lock keeps twenty workers from asking at once.
    """
    if not need.lives:
        return uniform(0.0, JITTER_S) if alone else 0.0
    left_s = need.left_s or JITTER_S
    return uniform(0.0, left_s / 3 if alone else min(JITTER_S, left_s / 4))


def is_refusal(error: TokenError) -> bool:
    """Whether the credential was refused (RFC 6749 §5.2): no fault of the endpoint, and others may have a better one.

    While a client's secret is rotated, some workers have the old one and some the new.
    """
    return error.status in _REFUSALS


def credential_mark(place: str, credential: Sequence[str]) -> str:
    """Tells the credentials of workers with one OAuth client apart: 12 bits, too few to be of help to find one."""
    return hashlib.sha256("\0".join((place, *credential)).encode()).hexdigest()[:3]


def pause_s(error: TokenError) -> float:
    """How long all workers leave an endpoint in peace that has failed one of them."""
    return min(RETRY_AFTER_MAX_S, max(PAUSE_S, error.retry_after_s or 0.0))


def probe_in_s(failures: int, uniform: Callable[[float, float], float]) -> float:
    """When to look for the store again after so many failures in a row (1, 2, …); half of it is chance."""
    longest_s = min(PROBE_MAX_S, PROBE_S * math.ldexp(1, min(failures, 8) - 1))
    return uniform(longest_s / 2, longest_s)


def fingerprint(token: str) -> str:
    """A token's name where the token itself must not be: SHA-256, 64 hexadecimal digits."""
    return hashlib.sha256(token.encode()).hexdigest()


class _Stored(msgspec.Struct, forbid_unknown_fields=False):
    """A grant as it is stored; ``life_s`` is the whole life, ``answered_after_s`` the time that the request took."""

    token: str
    life_s: float
    answered_after_s: float
    expires_in_s: float | None = None
    date_s: float | None = None
    exp_s: float | None = None
    iat_s: float | None = None


_decoder = msgspec.json.Decoder(_Stored)


def pack(grant: Grant, now: float) -> tuple[bytes, float] | None:
    """A grant just answered, to be stored, and how long: the rest of its token's life in seconds.

    None where the token is not worth it, or where its facts contradict each other: such are judged by each worker.
    """
    life_s = lifetime_s(grant)
    age_s = now - grant.sent_at_s
    left_s = (UNKNOWN_LIFE_S if life_s is None else life_s) - age_s
    if grant.dead_by_date or left_s < PAUSE_S:
        return None
    facts = (grant.expires_in_s, grant.date_s, grant.exp_s, grant.iat_s)
    return msgspec.json.encode(_Stored(grant.token, left_s + age_s, age_s, *facts)), left_s


def unpack(payload: bytes, left_s: float, now: float) -> Grant | None:
    """A stored grant on our clock, of which the store says that ``left_s`` are left; None where it cannot be one."""
    try:
        stored = _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    age_s = stored.life_s - left_s
    if not (0 < left_s < math.inf) or not (-_LATE_S <= age_s < math.inf) or not stored.token:
        return None
    sent_at_s = now - max(0.0, age_s)
    answered_at_s = min(now, sent_at_s + max(0.0, stored.answered_after_s))
    facts = (stored.expires_in_s, stored.date_s, stored.exp_s, stored.iat_s)
    return Grant(stored.token, sent_at_s, *facts, answered_at_s=answered_at_s)
