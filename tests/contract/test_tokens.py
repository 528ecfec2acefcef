"""The contract of :class:`connector.ports.TokenSource`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from connector.auth.client import OwnClient
from connector.auth.service import TokenService
from connector.auth.sharing import SharedClient
from connector.core.sharing import JITTER_S
from connector.core.token_clock import Grant
from connector.model import Token
from connector.ports import TokenSource
from tests.fakes.clock import FakeClock
from tests.fakes.store import FakeStore, Shelf
from tests.fakes.tokens import FakeTokens

LIFE_S, BUFFER_S = 100.0, 30.0


class Endpoint:
    """A token endpoint that always answers."""

    def __init__(self, clock: FakeClock) -> None:
        self.asked = 0
        self._clock = clock

    async def request_token(self) -> Grant:
        """A token with a life of :data:`LIFE_S`."""
        self.asked += 1
        now = self._clock.now()
        date_s = 1_700_000_000.0 + now
        return Grant(f"t{self.asked}", now, expires_in_s=LIFE_S, date_s=date_s, exp_s=date_s + LIFE_S, iat_s=date_s)


class Site:
    """A token source, and how a later token comes about there."""

    def __init__(self, tokens: TokenSource, *renew: Callable[[], object]) -> None:
        self.tokens = tokens
        self._renew = renew
        self.seen: list[Token] = []

    async def renew(self) -> None:
        """A later token."""
        for step in self._renew:
            step()
            await self.settle()

    async def settle(self) -> None:
        """Let everything happen that is due."""
        for _ in range(40):
            await asyncio.sleep(0)


@pytest.fixture(params=["fake", "real", "shared"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """The fake, with its first token; or the service with an endpoint and a clock of our own."""
    if request.param == "fake":
        fake = FakeTokens()
        fake.issue()
        fake.time_ms = 1
        yield Site(fake, fake.issue)
        return
    clock = FakeClock()
    endpoint = Endpoint(clock)
    shared = SharedClient(endpoint, FakeStore(Shelf(), clock, "w"), clock, Random(1))
    client = OwnClient(endpoint) if request.param == "real" else shared
    service = TokenService(client, clock=clock, rng=Random(1), buffer_s=BUFFER_S, name="p")
    running = asyncio.create_task(service.run())
    yield Site(service, lambda: clock.advance(LIFE_S - BUFFER_S), *([lambda: clock.advance(JITTER_S)] * 4))
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_lease_gets_the_present_token_soon(site: Site) -> None:
    """From the loop, never from inside ``lease``."""
    site.tokens.lease(site.seen.append)
    assert not site.seen
    await site.settle()
    assert [token.generation for token in site.seen] == [1]


async def test_later_tokens_have_later_generations(site: Site) -> None:
    """Each once, to every lease."""
    others: list[Token] = []
    site.tokens.lease(site.seen.append)
    site.tokens.lease(others.append)
    await site.settle()
    await site.renew()
    assert [token.generation for token in site.seen] == [1, 2]
    assert others == site.seen
    assert site.seen[0].value != site.seen[1].value


async def test_ended_lease_hears_no_more(site: Site) -> None:
    """Ending it twice is no fault."""
    kept: list[Token] = []
    site.tokens.lease(kept.append)
    end = site.tokens.lease(site.seen.append)
    await site.settle()
    end()
    end()
    await site.renew()
    assert len(site.seen) == 1
    assert len(kept) == 2


async def test_lease_ended_before_the_call_is_not_called(site: Site) -> None:
    """What was under way does not arrive."""
    site.tokens.lease(site.seen.append)()
    await site.settle()
    assert not site.seen


async def test_dead_token_is_replaced_once(site: Site) -> None:
    """However many streams report it, and not for a generation that is over."""
    site.tokens.lease(site.seen.append)
    await site.settle()
    site.tokens.report_dead(1)
    site.tokens.report_dead(1)
    await site.settle()
    assert [token.generation for token in site.seen] == [1, 2]
    site.tokens.report_dead(1)
    await site.settle()
    assert [token.generation for token in site.seen] == [1, 2]


async def test_platform_time_is_known_after_a_token(site: Site) -> None:
    """By the answer that brought it."""
    site.tokens.lease(site.seen.append)
    await site.settle()
    assert site.tokens.platform_time_ms() is not None
