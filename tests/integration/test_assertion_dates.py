"""Assertions against a server that sends no Date, as some do: what is learned then, and when it is asked again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import aiohttp
import jwt
import pytest
from aiohttp import web

from connector.auth.grants import Address, Common, JwtBearer, KeyFile
from connector.auth.oauth import OAuthClient
from connector.clock import BootClock
from connector.core.assertion import AssertionPlan
from connector.errors import TokenError
from tests.support.keys import private_pem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LEEWAY_S = 30.0
HOUR_S = 3600.0


class Dateless:
    """Takes assertions dated within its last half minute; its own tokens may be dated back."""

    def __init__(self) -> None:
        self.url = ""
        self.error = "invalid_grant"
        self.backdated_s = 0.0
        self.assertions: list[str] = []

    async def token(self, request: web.Request) -> web.Response:
        """A token, or a refusal that repeats what was sent."""
        assertion = str((await request.post())["assertion"])
        self.assertions.append(assertion)
        now_s = time.time()
        claims = jwt.decode(assertion, options={"verify_signature": False})
        if not 0 <= now_s - claims["iat"] <= LEEWAY_S:
            return web.json_response({"error": self.error, "error_description": f"bad date: {assertion}"}, status=400)
        issued_s = now_s - self.backdated_s
        body = {"access_token": jwt.encode({"iat": issued_s, "exp": now_s + 60}, "k" * 32), "expires_in": 60}
        return web.json_response(body)


async def _without_date(_request: web.Request, response: web.StreamResponse) -> None:
    del response.headers["Date"]


@pytest.fixture
async def server() -> AsyncIterator[Dateless]:
    """A running server."""
    served = Dateless()
    app = web.Application()
    app.router.add_post("/token", served.token)
    app.on_response_prepare.append(_without_date)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    served.url = f"http://{host}:{port}/token"
    yield served
    await runner.cleanup()


class Wall:
    """The machine's wall clock, which somebody sets wrong."""

    off_s = 0.0

    def __call__(self) -> float:
        """Seconds since the epoch, as far as this machine knows."""
        return time.time() + self.off_s


@pytest.fixture
async def bridge(server: Dateless, tmp_path: Path) -> AsyncIterator[tuple[OAuthClient, Wall]]:
    """A client of the server, and its wall clock."""
    path, wall = tmp_path / "key.pem", Wall()
    path.write_bytes(private_pem("ES256"))
    grant = JwtBearer(Common(Address(server.url)), AssertionPlan("i", "s", algorithm="ES256"), KeyFile(path))
    async with aiohttp.ClientSession() as session:
        yield OAuthClient(session, grant, BootClock(), wall_s=wall), wall


async def test_tokens_tell_the_time(server: Dateless, bridge: tuple[OAuthClient, Wall]) -> None:
    """From the first on: a step of the wall clock changes nothing."""
    client, wall = bridge
    assert (await client.request_token()).date_s is None
    wall.off_s = HOUR_S
    await client.request_token()
    assert len(server.assertions) == 2


async def test_a_server_that_dates_its_tokens_back(server: Dateless, bridge: tuple[OAuthClient, Wall]) -> None:
    """Its tokens mislead: the refusal brings the wall clock back, and the second try is good."""
    client, _ = bridge
    server.backdated_s = 300.0
    await client.request_token()
    await client.request_token()
    assert len(server.assertions) == 3


async def test_an_assertion_stays_out_of_errors(server: Dateless, bridge: tuple[OAuthClient, Wall]) -> None:
    """Even where the server repeats it; without a Date there is nothing by which to ask again."""
    client, wall = bridge
    wall.off_s = HOUR_S
    with pytest.raises(TokenError) as caught:
        await client.request_token()
    (assertion,) = server.assertions
    assert assertion not in str(caught.value)
    assert "(invalid_grant: bad date: ***); check issuer, subject, audience" in str(caught.value)


async def test_another_refusal_is_not_for_its_date(server: Dateless, bridge: tuple[OAuthClient, Wall]) -> None:
    """Only ``invalid_grant`` is: no second request, though the clock is doubtful too."""
    client, _ = bridge
    server.backdated_s = 300.0
    await client.request_token()
    server.error = "invalid_client"
    with pytest.raises(TokenError, match="invalid_client"):
        await client.request_token()
    assert len(server.assertions) == 2
