"""The token service of one platform: :class:`connector.ports.TokenSource` over one OAuth client.

One task asks, one request at a time, when :class:`connector.core.token_clock.TokenClock` says so. Whatever goes wrong
with a request, the token that streams hold is not touched. Every step is one telemetry event and one log line.

A refreshed token is handed out in the instant it arrives, a whole buffer before the old one ends: the streams' jitter
and ``rotation.max_parallel`` then spread the hand-overs, and have half the buffer for the last of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import structlog

from connector.core.token_clock import Answer, Freshness, Grant, TokenClock
from connector.errors import TokenError

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from connector.model import Token
    from connector.ports import Clock

_log = structlog.get_logger("connector.token")


@dataclass(frozen=True, slots=True)
class TokenGranted:
    """A new token. ``exp_s`` and ``refresh_time_s`` are instants of the platform's clock; None where unknown.

    ``skew_s``: the platform's clock minus the local one, to within a second (Date is whole); only to be shown.
    """

    name: str
    generation: int
    exp_s: float | None
    lifetime_s: float | None
    refresh_in_s: float | None
    refresh_time_s: float | None
    skew_s: float | None


@dataclass(frozen=True, slots=True)
class TokenUnchanged:
    """The endpoint gave the token we have (a cache). ``seconds_left`` is None where unknown."""

    name: str
    generation: int
    retry_in_s: float | None
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class TokenRequestFailed:
    """``seconds_left``: the old token's, 0: none, None: unknown. ``retry_in_s``: None where nobody holds a lease."""

    name: str
    status: int | None
    detail: str
    retry_in_s: float | None
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class TokenReportedDead:
    """The platform refused a token; once for each generation. ``seconds_left``: what we thought it had."""

    name: str
    generation: int
    age_s: float
    seconds_left: float | None
    retry_in_s: float | None


TokenEvent = TokenGranted | TokenUnchanged | TokenRequestFailed | TokenReportedDead

_STORY = {
    TokenGranted: (logging.INFO, "token granted"),
    TokenUnchanged: (logging.INFO, "token endpoint gave the same token again"),
    TokenRequestFailed: (logging.WARNING, "token request failed"),
    TokenReportedDead: (logging.WARNING, "token reported dead by the platform"),
}


class TokenClient(Protocol):
    """As :class:`connector.auth.oauth.OAuthClient`; sharing through Redis fits in here."""

    async def request_token(self) -> Grant:
        """Ask for a token; raises :class:`TokenError` and nothing else but ``CancelledError``."""
        ...


class _Lease:
    """One stream's use of the service."""

    def __init__(self, on_token: Callable[[Token], None]) -> None:
        self._on_token = on_token
        self._seen = 0
        self.ended = False

    def offer(self, token: Token) -> None:
        """Call back soon; an exception there goes to the loop's handler and hurts no other lease."""
        asyncio.get_running_loop().call_soon(self._deliver, token)

    def _deliver(self, token: Token) -> None:
        if not self.ended and token.generation > self._seen:
            self._seen = token.generation
            self._on_token(token)


class TokenService:
    """Implements :class:`connector.ports.TokenSource`. ``run`` must be running for it to give tokens.

    ``reissue`` is for the streams: where the server ``revokes`` the old token when it issues a new one, a socket with
    an older token may die any moment. ``on_event`` gets each step's telemetry; ``wall_s`` only measures the skew.
    """

    def __init__(  # noqa: PLR0913 - all by keyword, and each is a fact of one platform
        self,
        client: TokenClient,
        *,
        clock: Clock,
        rng: Random,
        buffer_s: float,
        name: str,
        reissue: Literal["keeps", "revokes"] = "keeps",
        on_event: Callable[[TokenEvent], None] = lambda _event: None,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.reissue = reissue
        self._client = client
        self._clock = clock
        self._on_event = on_event
        self._wall_s = wall_s
        self._schedule = TokenClock(buffer_s, rng.uniform)
        self._leases: set[_Lease] = set()
        self._sleeper: asyncio.Task[object] | None = None

    def lease(self, on_token: Callable[[Token], None]) -> Callable[[], None]:
        """As :meth:`connector.ports.TokenSource.lease`; a live token is handed out even inside its buffer."""
        lease = _Lease(on_token)
        self._leases.add(lease)
        token = self._schedule.token
        if token is not None and self._schedule.freshness(self._clock.now()) is not Freshness.INVALID:
            lease.offer(token)
        self._use_changed()

        def end() -> None:
            lease.ended = True
            self._leases.discard(lease)
            self._use_changed()

        return end

    def report_dead(self, generation: int) -> None:
        """As :meth:`connector.ports.TokenSource.report_dead`."""
        now, token = self._clock.now(), self._schedule.token
        left_s = self._schedule.left_s(now)
        if token is not None and self._schedule.reported_dead(generation, now):
            age_s = now - token.issued_at_s
            self._tell(TokenReportedDead(self.name, generation, age_s, left_s, self._retry_in_s(now)))
            self._wake()

    def platform_time_ms(self) -> int | None:
        """The platform's clock, by the Date or ``iat`` of the latest answer and the time since; None until then."""
        platform_s = self._schedule.platform_s(self._clock.now())
        return None if platform_s is None else round(platform_s * 1000)

    async def run(self) -> None:
        """Keep the token fresh until cancelled. Failures of the endpoint never end it."""
        while True:
            if self._schedule.due(self._clock.now()):
                await self._request()
            else:
                await self._sleep()

    async def _sleep(self) -> None:
        """Until the deadline or a wake-up, which cancels the sleeping task."""
        deadline = self._schedule.deadline()
        async with asyncio.TaskGroup() as group:
            waiting = asyncio.Event().wait() if deadline is None else self._clock.sleep_until(deadline)
            self._sleeper = group.create_task(waiting)
        self._sleeper = None

    def _wake(self) -> None:
        if self._sleeper is not None:
            self._sleeper.cancel()

    def _use_changed(self) -> None:
        self._schedule.in_use(used=bool(self._leases))
        self._wake()

    async def _request(self) -> None:
        self._schedule.requested()
        try:
            grant = await self._client.request_token()
        except TokenError as error:
            self._schedule.failed(error.retry_after_s, self._clock.now())
            self._failed(error.status, str(error))
        except BaseException:
            self._schedule.abandoned()
            raise
        else:
            self._granted(grant)

    def _granted(self, grant: Grant) -> None:
        now = self._clock.now()
        answer, token = self._schedule.granted(grant, now), self._schedule.token
        if answer is Answer.EXPIRED or token is None:
            self._failed(None, f"the token was dead on arrival: exp {grant.exp_s} is not after Date {grant.date_s}")
        elif answer is Answer.SAME and self._schedule.freshness(now) is Freshness.INVALID:
            self._failed(None, "the endpoint gave the dead token again; does it cache?")
        elif answer is Answer.SAME:
            left_s = self._schedule.left_s(now)
            self._tell(TokenUnchanged(self.name, token.generation, self._retry_in_s(now), left_s))
        else:
            self._tell(self._story_of(grant, token, now))
            for lease in tuple(self._leases):
                lease.offer(token)

    def _story_of(self, grant: Grant, token: Token, now: float) -> TokenGranted:
        platform_s, refresh_in_s = self._schedule.platform_s(now), self._retry_in_s(now)
        return TokenGranted(
            name=self.name,
            generation=token.generation,
            exp_s=grant.exp_s,
            lifetime_s=None if token.expires_at_s is None else token.expires_at_s - token.issued_at_s,
            refresh_in_s=refresh_in_s,
            refresh_time_s=None if platform_s is None or refresh_in_s is None else platform_s + refresh_in_s,
            skew_s=None if platform_s is None else platform_s - self._wall_s(),
        )

    def _failed(self, status: int | None, detail: str) -> None:
        now = self._clock.now()
        self._tell(TokenRequestFailed(self.name, status, detail, self._retry_in_s(now), self._schedule.left_s(now)))

    def _retry_in_s(self, now: float) -> float | None:
        deadline = self._schedule.deadline()
        return None if deadline is None else max(0.0, deadline - now)

    def _tell(self, event: TokenEvent) -> None:
        _log.log(*_STORY[type(event)], **asdict(event))
        self._on_event(event)
