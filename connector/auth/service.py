"""The token service of one platform: :class:`connector.ports.TokenSource` over one OAuth client.

One task asks, one request at a time, when :class:`connector.core.token_clock.TokenClock` says so. Whatever goes wrong
with a request, the token that streams hold is not touched. Every step is one telemetry event and one log line.

A refreshed token is handed out in the instant it arrives, a whole buffer before the old one ends: the streams' jitter
and ``rotation.max_parallel`` then spread the hand-overs, and have half the buffer for the last of them.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

import structlog

from connector.auth.events import (
    SIGNAL,
    STORY,
    TokenEvent,
    TokenGranted,
    TokenReportedDead,
    TokenRequestFailed,
    TokenUnchanged,
)
from connector.core.sharing import Need, fingerprint
from connector.core.token_clock import Answer, Freshness, Grant, TokenClock
from connector.errors import TokenError, TokenPausedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from connector.auth.client import TokenClient
    from connector.model import Token
    from connector.ports import Clock

_log = structlog.get_logger("connector.token")


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
        self._buffer_s = buffer_s
        self._schedule = TokenClock(buffer_s, rng.uniform)
        self._leases: set[_Lease] = set()
        self._sleeper: asyncio.Task[object] | None = None
        self._asked_at = 0.0

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

    def left_s(self) -> float | None:
        """Seconds the present token has to live, 0 for none or a dead one; None where unknown, or nobody uses it."""
        return self._schedule.left_s(self._clock.now()) if self._leases else None

    def published(self, mark: str) -> None:
        """Another worker got the token of this fingerprint. Look now, if ours is dead, or ended by it (``revokes``)."""
        now, token = self._clock.now(), self._schedule.token
        if token is not None and mark == fingerprint(token.value):
            return
        if self._schedule.freshness(now) is Freshness.INVALID:
            self._schedule.helped()
        elif self.reissue == "revokes":
            self._schedule.superseded(now)
        self._wake()

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
        self._asked_at = self._clock.now()
        try:
            grant = await self._client.request_token(self._need)
        except TokenError as error:
            self._schedule.failed(error.retry_after_s, self._clock.now())
            self._failed(error.status, str(error), asked=not isinstance(error, TokenPausedError))
        except BaseException:
            self._schedule.abandoned()
            raise
        else:
            self._granted(grant)

    def _need(self) -> Need:
        now, schedule = self._clock.now(), self._schedule
        return Need(schedule.token, schedule.freshness(now), schedule.left_s(now), self._buffer_s)

    def _granted(self, grant: Grant) -> None:
        now = self._clock.now()
        answer, token = self._schedule.granted(grant, now), self._schedule.token
        if answer is Answer.EXPIRED or token is None:
            self._failed(None, f"the token was dead on arrival: exp {grant.exp_s} is not after Date {grant.date_s}")
        elif answer is Answer.SAME and self._schedule.freshness(now) is Freshness.INVALID:
            self._failed(None, "the endpoint gave the dead token again; does it cache?")
        elif answer is Answer.SAME:
            left_s = self._schedule.left_s(now)
            self._tell(TokenUnchanged(self.name, token.generation, self._retry_in_s(now), left_s, now - self._asked_at))
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
            took_s=now - self._asked_at,
            shared=grant.answered_at_s is not None,
        )

    def _failed(self, status: int | None, detail: str, *, asked: bool = True) -> None:
        now = self._clock.now()
        left_s = self._schedule.left_s(now)
        took_s = now - self._asked_at
        self._tell(TokenRequestFailed(self.name, status, detail, self._retry_in_s(now), left_s, took_s, asked))

    def _retry_in_s(self, now: float) -> float | None:
        deadline = self._schedule.deadline()
        return None if deadline is None else max(0.0, deadline - now)

    def _tell(self, event: TokenEvent) -> None:
        _log.log(*STORY[type(event)], signal=SIGNAL, **asdict(event))
        self._on_event(event)
