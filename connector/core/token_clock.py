"""When to ask for a token: what an answer says about its life, and the schedule that follows from it. Pure.

Rules: only differences of two instants of the *platform's* clock become a lifetime; the lifetime then runs on the
bridge's clock from the moment the request was sent; the local wall clock decides nothing. This module must not know
HTTP, tasks or who uses the token; ``connector.auth`` does.
"""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import orjson

from connector.model import Token

if TYPE_CHECKING:
    from collections.abc import Callable

BUFFER_SHARE = 0.3  # a buffer is at most this share of the token's life
LONGEST_LIFE_S = 10 * 365 * 86_400.0  # beyond it a number is no lifetime but a mistake (milliseconds, "never")
LATEST_EPOCH_S = 1e11  # the same for instants (RFC 7519 §2: NumericDate is in seconds)
BACKOFF_S = 1.0
BACKOFF_MAX_S = 30.0
RETRY_FLOOR_S = 0.2  # between attempts while the old token lives
RETRY_AFTER_MAX_S = 300.0
FRESH_PACE_S = 0.5  # the soonest refresh after an answer, however short the token's life
YOUNG_S = 2.0  # a token that dies younger was refused, it did not expire
DOUBTED_LIFE_S = 30.0  # what a first early death of a token of unknown lifetime teaches at least
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?")


def read_number(raw: object, below: float = 1e18) -> float | None:
    """A positive number, also from a decimal string; None for whatever else a server may write there."""
    if isinstance(raw, str) and _DECIMAL.fullmatch(raw.strip()):
        raw = float(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    return float(raw) if 0 < raw < below else None


def read_claims(token: str) -> tuple[float | None, float | None]:
    """``exp`` and ``iat`` of a JWT in seconds since the epoch (RFC 7519 §4.1), unverified; None where unreadable."""
    payload = "".join(token.split(".")[1:2])
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return None, None
    if not isinstance(claims, dict):
        return None, None
    return read_number(claims.get("exp"), LATEST_EPOCH_S), read_number(claims.get("iat"), LATEST_EPOCH_S)


def _ceiling_s(attempts: int) -> float:
    return min(BACKOFF_MAX_S, BACKOFF_S * math.ldexp(1, min(attempts, 5)))


@dataclass(frozen=True, slots=True)
class Grant:
    """The facts of one successful answer. ``date_s``, ``exp_s`` and ``iat_s`` are on the platform's clock.

    ``answered_at_s``: when the answer came, on ours, where another worker got it; None: just now.
    """

    token: str = field(repr=False)
    sent_at_s: float
    expires_in_s: float | None = None
    date_s: float | None = None
    exp_s: float | None = None
    iat_s: float | None = None
    answered_at_s: float | None = None

    @property
    def dead_by_date(self) -> bool:
        """Whether ``exp`` was over when the server wrote its answer."""
        return self.exp_s is not None and self.date_s is not None and self.exp_s <= self.date_s


def lifetime_s(grant: Grant) -> float | None:
    """The smallest positive of exp - iat, exp - Date and expires_in (RFC 6749 §5.1), or None: unknown.

    A caching server repeats the first and the last with half-spent tokens; the second tells the truth to within the
    second that Date is rounded down; the buffer covers that for lives above 4 s.
    """
    ages = [grant.exp_s - start for start in (grant.iat_s, grant.date_s) if start is not None and grant.exp_s]
    ages.append(grant.expires_in_s or 0.0)
    return min((age for age in ages if 0 < age <= LONGEST_LIFE_S), default=None)


class Freshness(StrEnum):
    """As in google-auth: who has a FRESH or STALE token never waits for a refresh."""

    FRESH = "fresh"
    STALE = "stale"  # inside its buffer
    INVALID = "invalid"  # none, expired, or reported dead


class Answer(StrEnum):
    """What a successful answer brought."""

    NEW = "new"
    SAME = "same"  # the token we have: the same generation, no longer to live
    EXPIRED = "expired"  # dead on arrival: a failure


class TokenClock:
    """The schedule of one token: when to request, what an answer means. Single-flight.

    The shell's duty: sleep until :meth:`deadline` or an input; when :meth:`due`, call :meth:`requested`, do the
    request and call exactly one of :meth:`granted`, :meth:`failed`, :meth:`abandoned`.

    *Refresh* at ``sent_at + lifetime - buffer``; handed out at once, so that streams have the whole buffer to hand over
    and the last of them is done within half of it.

    *Unknown lifetime* (no claims, no ``expires_in``): nothing is scheduled and the emergency path finds the end. After
    a death at age A its successors are assumed to live A: a server's lifetimes hardly change, and one emergency is
    better than one an hour. It may have been a revocation, so two in a row must agree before the assumption shrinks
    (the larger of the last two ages, the first against 30 s); younger than 2 s it was a refusal and teaches nothing.
    The assumption only schedules; no token is held dead for it.

    *Dead on arrival* (exp at or before Date) is a failure. But a Date of another clock (a proxy's) must not lock us out
    for ever: where no live token is left to protect and a second answer brings another token with a later exp, the
    server mints on request; it is believed, and Date is ignored until it agrees.
    """

    def __init__(self, configured_buffer_s: float, uniform: Callable[[float, float], float]) -> None:
        self.token: Token | None = None
        self.used = self.busy = False
        self._buffer_s = configured_buffer_s
        self._uniform = uniform
        self._dead = False
        self._expires_at_s: float | None = None  # stated or assumed
        self._refresh_at_s: float | None = None
        self._paced_until_s = -math.inf  # our own back-off; an emergency starts it anew
        self._told_until_s = -math.inf  # Retry-After: always obeyed
        self._attempts = self._young_deaths = 0
        self._got_at_s = -math.inf  # the present token: issued by then, maybe to another worker
        self._assumed_life_s: float | None = None
        self._last_death_s = DOUBTED_LIFE_S
        self._date_ignored = False
        self._doubted: Grant | None = None
        self._platform: tuple[float, float] | None = None  # (platform's epoch seconds, our instant)

    def deadline(self) -> float | None:
        """The instant of the next request; in the past: now; None: nothing to do until an input."""
        if not self.used or self.busy:
            return None
        wanted = -math.inf if self.token is None or self._dead else self._refresh_at_s
        return None if wanted is None else max(wanted, self._paced_until_s, self._told_until_s)

    def due(self, now: float) -> bool:
        """Whether to request now."""
        deadline = self.deadline()
        return deadline is not None and deadline <= now

    def freshness(self, now: float) -> Freshness:
        """What the present token is worth."""
        if self.token is None or self._dead or (self.token.expires_at_s or math.inf) <= now:
            return Freshness.INVALID
        return Freshness.STALE if (self._refresh_at_s or math.inf) <= now else Freshness.FRESH

    def left_s(self, now: float) -> float | None:
        """Seconds the present token has to live: 0 for none or a dead one, None where unknown."""
        if self.freshness(now) is Freshness.INVALID:
            return 0.0
        return self._expires_at_s - now if self._expires_at_s is not None and self._expires_at_s > now else None

    def platform_s(self, now: float) -> float | None:
        """The platform's clock now, in seconds since the epoch; at most as late as it is, but for drift."""
        return None if self._platform is None else self._platform[0] + now - self._platform[1]

    def in_use(self, *, used: bool) -> None:
        """Whether anybody holds a lease. Nothing is requested for nobody."""
        self.used = used

    def requested(self) -> None:
        """A request goes out."""
        self.busy = True

    def abandoned(self) -> None:
        """The request was cancelled: as if it had never been."""
        self.busy = False

    def granted(self, grant: Grant, now: float) -> Answer:
        """A request was answered with a token."""
        self.busy = False
        if grant.dead_by_date and not self._minted_by_another_clock(grant, now):
            self._doubted = grant
            self.failed(None, now)
            return Answer.EXPIRED
        self._date_ignored, self._doubted = grant.dead_by_date, None
        if self._date_ignored:
            grant = replace(grant, date_s=None)
        if grant.date_s is not None or grant.iat_s is not None:  # neither is later than the platform's now
            answered_at_s = now if grant.answered_at_s is None else grant.answered_at_s
            self._platform = (max(grant.date_s or 0.0, grant.iat_s or 0.0), answered_at_s)
        same = self.token is not None and grant.token == self.token.value
        if same and self.freshness(now) is Freshness.INVALID:
            self.failed(None, now)
            return Answer.SAME
        self._attempts, self._told_until_s = 0, -math.inf
        if same:  # a cache lets go of it some time: ask again at 0.3 of what is left, and at its death
            self._paced_until_s = now + max(BACKOFF_S, BUFFER_SHARE * (self.left_s(now) or 0.0))
            return Answer.SAME
        self._paced_until_s = -math.inf
        self._renew(grant, now)
        return Answer.NEW

    def failed(self, retry_after_s: float | None, now: float) -> None:
        """A request failed: exponential back-off with full jitter, often enough while the old token lives."""
        self.busy = False
        ceiling_s = min(_ceiling_s(self._attempts), (self.left_s(now) or math.inf) / 4)
        self._attempts += 1
        floor_s = BACKOFF_S if self.freshness(now) is Freshness.INVALID else RETRY_FLOOR_S
        self._paced_until_s = now + max(floor_s, self._uniform(0.0, ceiling_s))
        if retry_after_s is not None:
            self._told_until_s = now + min(retry_after_s, RETRY_AFTER_MAX_S)

    def reported_dead(self, generation: int, now: float) -> bool:
        """The platform refused this generation. True where that is news: one refresh for each generation.

        At once and without jitter, unless a Retry-After holds; paced (1, 2, … 30 s) from the second token on that
        is refused as soon as it is used.
        """
        if self.token is None or self.token.generation != generation or self._dead:
            return False
        age_s = now - self.token.issued_at_s
        young = now - self._got_at_s < YOUNG_S
        if self.token.expires_at_s is None and not young:
            self._assumed_life_s, self._last_death_s = max(age_s, self._last_death_s), age_s
        self._paced_until_s = now + _ceiling_s(self._young_deaths - 1) if young and self._young_deaths else -math.inf
        self._young_deaths = self._young_deaths + 1 if young else 0
        self._attempts, self._dead = 0, True
        return True

    def helped(self) -> None:
        """Another worker got a token while we have none: whatever kept us from asking, it is there to be taken."""
        self._paced_until_s = self._told_until_s = -math.inf

    def superseded(self, now: float) -> None:
        """Another worker got a later token, which may have ended ours (``reissue: revokes``): ask now."""
        if self._refresh_at_s is None or self._refresh_at_s > now:
            self._refresh_at_s = now

    def _minted_by_another_clock(self, grant: Grant, now: float) -> bool:
        former = self._doubted
        if self._date_ignored or former is None or self.freshness(now) is not Freshness.INVALID:
            return self._date_ignored
        return former.token != grant.token and (grant.exp_s or 0.0) > (former.exp_s or 0.0)

    def _renew(self, grant: Grant, now: float) -> None:
        generation = self.token.generation + 1 if self.token is not None else 1
        stated_s = lifetime_s(grant)
        life_s = self._assumed_life_s if stated_s is None else stated_s
        buffer = self._buffer_s if life_s is None else min(self._buffer_s, BUFFER_SHARE * life_s)
        sent_s = grant.sent_at_s
        self.token = Token(grant.token, generation, sent_s, None if stated_s is None else sent_s + stated_s, buffer)
        self._expires_at_s = None if life_s is None else sent_s + life_s
        self._refresh_at_s = None if life_s is None else max(sent_s + life_s - buffer, now + FRESH_PACE_S)
        self._dead, self._got_at_s = False, now
