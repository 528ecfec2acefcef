"""A token service with the real OAuth client against endpoints that misbehave as the simulator does not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from random import Random

import aiohttp
import jwt
import pytest
from aiohttp import web

from connector.auth.client import OwnClient
from connector.auth.events import TokenEvent, TokenGranted, TokenRequestFailed, TokenUnchanged
from connector.auth.grants import Address, ClientAuth, ClientCredentials, Common
from connector.auth.oauth import OAuthClient
from connector.auth.service import TokenService
from connector.clock import BootClock
from connector.model import Token

LIFE_S = 6.0
_KEY = "k" * 32


class Site:
    """An endpoint whose answers the test writes, and a stream that uses its tokens."""

    def __init__(self) -> None:
        self.clock = BootClock()
        self.requests = 0
        self.events: list[TokenEvent] = []
        self.tokens: list[Token] = []
        self.late = 0
        self.answer: Callable[[], web.StreamResponse | None] = self.granted

    def granted(self, age_s: float = 0.0) -> web.StreamResponse:
        """A token that was issued so long ago."""
        issued_s = time.time() - age_s
        claims = {"jti": str(self.requests), "iat": issued_s, "exp": issued_s + LIFE_S}
        return web.json_response({"access_token": jwt.encode(claims, _KEY), "expires_in": LIFE_S})

    async def handle(self, _request: web.Request) -> web.StreamResponse:
        """Answer as the test says; None: never."""
        self.requests += 1
        answer = self.answer()
        if answer is None:
            await asyncio.sleep(60)
        return answer if answer is not None else web.Response()

    def failures(self) -> list[str]:
        """What was told of failed requests."""
        return [event.detail for event in self.events if isinstance(event, TokenRequestFailed)]

    def take(self, token: Token) -> None:
        """The stream's side: note whether it was without one."""
        former = self.tokens[-1] if self.tokens else None
        if former is not None and former.expires_at_s is not None and former.expires_at_s <= self.clock.now():
            self.late += 1
        self.tokens.append(token)

    async def had(self, tokens: int) -> None:
        """Return once the stream has had so many."""
        async with asyncio.timeout(60):
            while len(self.tokens) < tokens:  # noqa: ASYNC110 - the service fills a list
                await asyncio.sleep(0.02)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """The service runs, nobody uses it yet."""
    made = Site()
    app = web.Application()
    app.router.add_post("/token", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as session:
        grant = ClientCredentials(Common(Address(f"http://{host}:{port}/token"), ClientAuth("id", "secret")))
        client = OwnClient(OAuthClient(session, grant, made.clock))
        service = TokenService(
            client, clock=made.clock, rng=Random(1), buffer_s=300.0, name="p", on_event=made.events.append
        )
        running = asyncio.create_task(service.run())
        service.lease(made.take)
        yield made
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    await runner.cleanup()


async def test_a_request_that_is_never_answered(site: Site) -> None:
    """It is given up while there is time for another one, long before an HTTP client's patience ends."""
    await site.had(1)
    asked = site.requests
    site.answer = lambda: None if site.requests <= asked + 1 else site.granted()
    await site.had(2)
    assert site.failures() == ["no token within 2.0 s; check network, proxy and firewall"]
    assert site.tokens[1].issued_at_s - site.tokens[0].issued_at_s < LIFE_S + 2.0


async def test_a_server_that_caches_its_tokens(site: Site) -> None:
    """It hands out the same token for two thirds of its life, half-spent: each is replaced before it ends."""
    kept = {"at": 0.0, "body": ""}

    def cached() -> web.StreamResponse:
        if time.monotonic() - kept["at"] > LIFE_S * 2 / 3:  # type: ignore[operator]  # a float
            kept["at"] = time.monotonic()
            claims = {"jti": str(site.requests), "iat": time.time(), "exp": time.time() + LIFE_S}
            kept["body"] = jwt.encode(claims, _KEY)
        return web.json_response({"access_token": kept["body"], "expires_in": LIFE_S})

    site.answer = cached
    await site.had(4)
    assert site.late == 0
    assert len({token.value for token in site.tokens}) == 4
    assert not site.failures()


async def test_a_half_spent_token_is_refreshed_by_what_is_left_of_it(site: Site) -> None:
    """``expires_in`` claims a whole life, but exp and Date tell the truth."""
    site.answer = lambda: site.granted(age_s=2.0)
    await site.had(3)
    assert site.late == 0
    lives = [event.lifetime_s for event in site.events if isinstance(event, TokenGranted)]
    assert all(life is not None and 3.0 <= life <= 5.0 for life in lives)


async def test_a_token_that_is_expired_already(site: Site) -> None:
    """It is handed to nobody, the log says which instants were compared, and the next good one is used."""
    site.answer = lambda: site.granted(age_s=LIFE_S + 2.0) if site.requests == 1 else site.granted()
    await site.had(1)
    (failure,) = site.failures()
    assert failure.startswith("the token was dead on arrival: exp ")
    assert not [event for event in site.events if isinstance(event, TokenUnchanged)]


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_credentials_that_are_refused_for_good(site: Site, status: int) -> None:
    """The old token is used to its end; refused requests are spread out, and each says what to check."""
    await site.had(1)
    asked = site.requests
    site.answer = lambda: web.json_response({"error": "invalid_client"}, status=status)
    await asyncio.sleep(LIFE_S * 1.5)
    assert 2 <= site.requests - asked <= 20
    assert all(f"answered {status} (invalid_client); " in failure for failure in site.failures())
    site.answer = site.granted
    await site.had(2)
