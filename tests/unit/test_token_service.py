"""The token service with a clock and an endpoint of our own: who gets which token, when, and what is told."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random
from typing import TYPE_CHECKING, Literal

import pytest
import structlog

from connector.auth.client import OwnClient
from connector.auth.events import TokenEvent, TokenGranted, TokenReportedDead, TokenRequestFailed, TokenUnchanged
from connector.auth.service import TokenService
from connector.core.token_clock import Grant
from connector.errors import TokenError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from connector.model import Token
    from connector.ports import TokenSource

EPOCH_S = 1_700_000_000.0


class FakeClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.instant_s = 1000.0
        self._moved = asyncio.Condition()

    def now(self) -> float:
        """The instant the test has set."""
        return self.instant_s

    async def sleep_until(self, instant_s: float) -> None:
        """Until the test has moved the clock that far."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.instant_s >= instant_s)

    async def advance(self, seconds: float) -> None:
        """Let everything settle, move on, and again."""
        await settle()
        self.instant_s += seconds
        async with self._moved:
            self._moved.notify_all()
        await settle()


class FakeEndpoint:
    """A token endpoint: JWT-like facts of a lifetime, or the failures and the tokens that the test has queued."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.life_s: float | None = 100.0
        self.requests: list[float] = []
        self.queue: list[Grant | Exception] = []
        self.open = asyncio.Event()
        self.open.set()
        self.under_way = 0

    def mint(self, value: str) -> Grant:
        """A fresh token by the platform's clock."""
        now_s = EPOCH_S + self.clock.now()
        exp_s = None if self.life_s is None else now_s + self.life_s
        return Grant(value, self.clock.now(), self.life_s, now_s, exp_s, now_s)

    async def request_token(self) -> Grant:
        """The next queued answer, else a new token; not while the test holds the endpoint shut."""
        assert self.under_way == 0, "a single request at a time"
        self.requests.append(self.clock.now())
        self.under_way += 1
        try:
            await self.open.wait()
        finally:
            self.under_way -= 1
        answer = self.queue.pop(0) if self.queue else self.mint(f"secret-token-{len(self.requests)}")
        if isinstance(answer, Exception):
            raise answer
        return answer


class Rig:
    """A service under test with everything around it."""

    def __init__(self, reissue: Literal["keeps", "revokes"] = "keeps") -> None:
        self.clock = FakeClock()
        self.endpoint = FakeEndpoint(self.clock)
        self.events: list[TokenEvent] = []
        self.service = TokenService(
            OwnClient(self.endpoint),
            clock=self.clock,
            rng=Random(1),
            buffer_s=300.0,
            name="genesys",
            reissue=reissue,
            on_event=self.events.append,
            wall_s=lambda: EPOCH_S + self.clock.now() - 3600.0,
        )


async def settle() -> None:
    """Let every ready task and callback run."""
    for _ in range(20):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(reissue: Literal["keeps", "revokes"] = "keeps") -> AsyncIterator[Rig]:
    """A rig whose service runs."""
    rig = Rig(reissue)
    task = asyncio.create_task(rig.service.run())
    await settle()
    try:
        yield rig
        assert not task.done(), "the service goes on, whatever happens"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def collector() -> tuple[list[int], Callable[[Token], None]]:
    """Generations seen by a stream, and its callback."""
    seen: list[int] = []
    return seen, lambda token: seen.append(token.generation)


async def test_is_a_token_source() -> None:
    """The port, and ``reissue`` as data."""
    async with running("revokes") as rig:
        source: TokenSource = rig.service
        assert source.platform_time_ms() is None
        assert (rig.service.reissue, rig.service.name) == ("revokes", "genesys")


async def test_nothing_is_requested_for_nobody() -> None:
    """The first lease asks at once; after the last has ended nothing is asked; a later one gets a live token."""
    async with running() as rig:
        await rig.clock.advance(1000.0)
        assert rig.endpoint.requests == []
        seen, on_token = collector()
        end = rig.service.lease(on_token)
        assert seen == [], "never from inside lease"
        await settle()
        assert seen == [1]
        end()
        end()
        await rig.clock.advance(50.0)
        rig.service.lease(on_token)
        await settle()
        assert (seen, len(rig.endpoint.requests)) == ([1, 1], 1)


async def test_an_expired_token_is_not_handed_out() -> None:
    """A lease after a long pause waits for a fresh one; one inside the buffer gets the old and then the new."""
    async with running() as rig:
        rig.service.lease(lambda _token: None)()
        seen, on_token = collector()
        rig.service.lease(on_token)()
        end = rig.service.lease(lambda _token: None)
        await settle()
        end()
        await rig.clock.advance(80.0)
        end = rig.service.lease(on_token)
        await settle()
        assert seen == [1, 2], "stale, then fresh"
        end()
        await rig.clock.advance(500.0)
        rig.service.lease(on_token)
        await settle()
        assert seen == [1, 2, 3]


async def test_rotation_on_time_to_every_stream_once_and_in_order() -> None:
    """0.3 of the life before its end every lease gets the next generation."""
    async with running() as rig:
        seen = [collector() for _ in range(3)]
        for _, on_token in seen:
            rig.service.lease(on_token)
        for _ in range(3):
            await rig.clock.advance(69.5)
            await rig.clock.advance(0.5)
        assert [generations for generations, _ in seen] == [[1, 2, 3, 4]] * 3
        assert rig.endpoint.requests == [1000.0, 1070.0, 1140.0, 1210.0]


async def test_an_ended_lease_is_not_called() -> None:
    """Not even where the call was already on its way; a stream may end its lease from inside a callback."""
    async with running() as rig:
        seen, on_token = collector()
        rig.service.lease(on_token)
        await settle()
        late, on_late = collector()
        rig.service.lease(on_late)()
        ends: list[Callable[[], None]] = []
        ends.append(rig.service.lease(lambda _token: ends[0]()))
        await settle()
        await rig.clock.advance(70.0)
        assert (seen, late) == ([1, 2], [])


async def test_a_failing_callback_hurts_no_other_stream() -> None:
    """Its exception goes to the loop's handler; the others get their token and the service goes on."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context["exception"]))

    def broken(_token: Token) -> None:
        raise ZeroDivisionError

    async with running() as rig:
        rig.service.lease(broken)
        seen, on_token = collector()
        rig.service.lease(on_token)
        await rig.clock.advance(70.0)
        await rig.clock.advance(70.0)
    assert seen[:2] == [1, 2]
    assert {type(fault) for fault in faults} == {ZeroDivisionError}


async def test_a_failing_endpoint_does_not_touch_the_live_token() -> None:
    """Failures are retried while the old token lives; nobody is called until there is a better one."""
    async with running() as rig:
        seen, on_token = collector()
        rig.service.lease(on_token)
        await settle()
        rig.endpoint.queue = [TokenError("boom", status=503) for _ in range(4)]
        for _ in range(300):
            await rig.clock.advance(0.1)
            if len(rig.endpoint.requests) < 6:
                assert seen == [1]
        for _ in range(700):
            await rig.clock.advance(0.1)
        assert seen[:2] == [1, 2]
        failures = [event for event in rig.events if isinstance(event, TokenRequestFailed)]
        assert [(failure.status, failure.detail) for failure in failures] == [(503, "boom")] * 4
        assert all(0.2 <= (failure.retry_in_s or 0.0) <= 8.0 for failure in failures)
        assert all(0.0 < (failure.seconds_left or 0.0) <= 30.0 for failure in failures)
        assert rig.endpoint.requests[5] < 1100.0, "in time"


async def test_retry_after_is_obeyed() -> None:
    """Also by an emergency."""
    async with running() as rig:
        rig.endpoint.queue = [TokenError("slow down", status=429, retry_after_s=20.0)]
        seen, on_token = collector()
        rig.service.lease(on_token)
        await settle()
        rig.service.report_dead(0)
        await rig.clock.advance(19.9)
        assert len(rig.endpoint.requests) == 1
        await rig.clock.advance(0.1)
        assert seen == [1]


async def test_one_emergency_refresh_for_each_generation() -> None:
    """A hundred streams report the same death: one request, at once; older generations are no news."""
    async with running() as rig:
        seen, on_token = collector()
        rig.service.lease(on_token)
        await rig.clock.advance(10.0)
        for _ in range(100):
            rig.service.report_dead(1)
        await settle()
        for _ in range(100):
            rig.service.report_dead(1)
        await settle()
        assert (seen, rig.endpoint.requests) == ([1, 2], [1000.0, 1010.0])
        deaths = [event for event in rig.events if isinstance(event, TokenReportedDead)]
        assert deaths == [TokenReportedDead("genesys", 1, 10.0, 90.0, 0.0)]


async def test_a_dead_token_is_not_handed_out() -> None:
    """A lease during an emergency waits for the new token."""
    async with running() as rig:
        rig.service.lease(lambda _token: None)
        await settle()
        rig.endpoint.open.clear()
        rig.service.report_dead(1)
        seen, on_token = collector()
        rig.service.lease(on_token)
        await settle()
        assert seen == []
        rig.endpoint.open.set()
        await settle()
        assert seen == [2]


async def test_a_death_during_a_refresh_asks_no_second_time() -> None:
    """The request under way is the emergency's too."""
    async with running() as rig:
        rig.service.lease(lambda _token: None)
        await settle()
        rig.endpoint.open.clear()
        await rig.clock.advance(70.0)
        rig.service.report_dead(1)
        await rig.clock.advance(5.0)
        rig.endpoint.open.set()
        await settle()
        assert rig.endpoint.requests == [1000.0, 1070.0]


async def test_the_same_token_again_is_told_and_not_handed_out() -> None:
    """A caching server: no new generation; after its death it is a failure."""
    async with running() as rig:
        seen, on_token = collector()
        rig.service.lease(on_token)
        await settle()
        rig.endpoint.queue = [rig.endpoint.mint("secret-token-1")] * 3
        await rig.clock.advance(70.0)
        assert rig.events[-1] == TokenUnchanged("genesys", 1, 9.0, 30.0, 0.0)
        await rig.clock.advance(40.0)
        last = rig.events[-1]
        assert isinstance(last, TokenRequestFailed)
        assert last.seconds_left == 0.0
        assert seen == [1]


async def test_dead_on_arrival_is_a_failure() -> None:
    """And says which instants were compared."""
    async with running() as rig:
        rig.endpoint.queue = [Grant("old", 1000.0, 3600.0, EPOCH_S, EPOCH_S - 1.0, EPOCH_S - 3601.0)]
        rig.service.lease(lambda _token: None)
        await settle()
        (event,) = rig.events
        assert isinstance(event, TokenRequestFailed)
        assert event.detail == "the token was dead on arrival: exp 1699999999.0 is not after Date 1700000000.0"


async def test_grant_tells_exp_schedule_and_skew() -> None:
    """On the platform's clock; the local wall clock, here an hour behind, only shows as skew."""
    async with running() as rig:
        rig.service.lease(lambda _token: None)
        await settle()
        exp_s = EPOCH_S + 1100.0
        assert rig.events == [TokenGranted("genesys", 1, exp_s, 100.0, 70.0, exp_s - 30.0, 3600.0, 0.0)]
        await rig.clock.advance(5.0)
        assert rig.service.platform_time_ms() == round((EPOCH_S + 1005.0) * 1000)


async def test_an_opaque_token_is_used_until_it_dies() -> None:
    """No schedule without a lifetime; the next is refreshed before the age at which the first died."""
    async with running() as rig:
        seen, on_token = collector()
        rig.endpoint.queue = [Grant("a", 1000.0), Grant("b", 2000.0)]
        rig.service.lease(on_token)
        await rig.clock.advance(1000.0)
        assert rig.events == [TokenGranted("genesys", 1, None, None, None, None, None, 0.0)]
        rig.service.report_dead(1)
        await settle()
        assert seen == [1, 2]
        await rig.clock.advance(700.0)
        assert seen == [1, 2, 3]


async def test_cancelled_in_a_request_it_can_run_again() -> None:
    """Nothing of the cancelled request stays behind."""
    rig = Rig()
    rig.endpoint.open.clear()
    task = asyncio.create_task(rig.service.run())
    seen, on_token = collector()
    rig.service.lease(on_token)
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    rig.endpoint.open.set()
    task = asyncio.create_task(rig.service.run())
    await settle()
    assert seen == [1]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_story_is_logged_without_secrets() -> None:
    """One line each step; no token in any of them, nor in an event."""
    with structlog.testing.capture_logs() as lines:
        async with running() as rig:
            rig.service.lease(lambda _token: None)
            await settle()
            rig.endpoint.queue = [TokenError("boom", status=500)]
            rig.service.report_dead(1)
            await rig.clock.advance(1.0)
            assert "secret-token" not in repr(rig.events)
    assert [line["event"] for line in lines] == [
        "token granted",
        "token reported dead by the platform",
        "token request failed",
        "token granted",
    ]
    assert {"exp_s", "refresh_in_s", "refresh_time_s", "skew_s"} <= lines[0].keys()
    assert "secret-token" not in repr(lines)
