"""A token endpoint named by its issuer, and requests in JSON, against a server that answers as the test says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from connector.auth.grants import Address, ClientAuth, ClientCredentials, Common
from connector.auth.oauth import OAuthClient
from connector.clock import BootClock
from connector.errors import TokenError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session as the application makes one."""
    async with aiohttp.ClientSession() as made:
        yield made


class Issuer:
    """A discovery document and a token endpoint, both as the test says."""

    def __init__(self) -> None:
        self.url = ""
        self.document: object = {}
        self.status = 200
        self.token_status = 200
        self.discoveries = 0
        self.bodies: list[tuple[str, bytes]] = []

    async def discover(self, _request: web.Request) -> web.Response:
        """The document."""
        self.discoveries += 1
        return web.Response(body=json.dumps(self.document).encode(), status=self.status)

    async def token(self, request: web.Request) -> web.Response:
        """A token, or the status that the test set."""
        self.bodies.append((request.content_type, await request.read()))
        return web.json_response({"access_token": "t", "expires_in": 60}, status=self.token_status)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """A running one, which names its own endpoint."""
    served = Issuer()
    app = web.Application()
    app.router.add_get("/tenant/.well-known/openid-configuration", served.discover)
    app.router.add_post("/token", served.token)
    app.router.add_post("/moved", served.token)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    served.url = f"http://{host}:{port}"
    served.document = {"token_endpoint": f"{served.url}/token"}
    yield served
    await runner.cleanup()


def by_issuer(session: aiohttp.ClientSession, issuer: Issuer) -> OAuthClient:
    """A client that must ask where to ask."""
    address = Address(f"{issuer.url}/tenant", is_issuer=True)
    return OAuthClient(session, ClientCredentials(Common(address, ClientAuth("id", "hidden-secret"))), BootClock())


async def test_the_endpoint_is_looked_up_again_when_it_fails(session: aiohttp.ClientSession, issuer: Issuer) -> None:
    """Once for good; again after a failure that the right endpoint does not have; the old one where that fails too."""
    client = by_issuer(session, issuer)
    await client.request_token()
    await client.request_token()
    assert issuer.discoveries == 1
    for status, discoveries in ((401, 1), (429, 1), (404, 2), (503, 3)):
        issuer.token_status = status
        with pytest.raises(TokenError):
            await client.request_token()
        issuer.token_status = 200
        await client.request_token()
        assert issuer.discoveries == discoveries
    issuer.token_status, issuer.status = 503, 500
    with pytest.raises(TokenError):
        await client.request_token()
    issuer.token_status = 200
    await client.request_token()
    assert issuer.discoveries == 4


@pytest.mark.parametrize(
    ("document", "status", "says"),
    [
        ({}, 200, "there is no usable token_endpoint in it; check issuer_url"),
        ([], 200, "there is no usable token_endpoint in it"),
        ({"token_endpoint": 5}, 200, "there is no usable token_endpoint in it"),
        ({"token_endpoint": "/token"}, 200, "there is no usable token_endpoint in it"),
        ({"token_endpoint": "https://u:p@host/token"}, 200, "there is no usable token_endpoint in it"),
        ({"token_endpoint": "http://[::1/token"}, 200, "its token_endpoint is not a URL"),
        ({}, 404, "answered 404; check issuer_url"),
        ({}, 302, "it redirects to"),
        ({"error": "down"}, 503, "answered 503 (down); the endpoint is in trouble"),
    ],
)
async def test_an_issuer_that_does_not_tell(
    session: aiohttp.ClientSession, issuer: Issuer, document: object, status: int, says: str
) -> None:
    """A TokenError with the document's address; no credentials went anywhere."""
    issuer.document, issuer.status = document, status
    with pytest.raises(TokenError) as caught:
        await by_issuer(session, issuer).request_token()
    assert f"{issuer.url}/tenant/.well-known/openid-configuration" in str(caught.value)
    assert says in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert issuer.bodies == []


async def test_an_issuer_that_is_away(session: aiohttp.ClientSession) -> None:
    """The setting to check is the one that was used."""
    grant = ClientCredentials(Common(Address("http://127.0.0.1:1", is_issuer=True), ClientAuth("id", "s")))
    with pytest.raises(TokenError, match=r"cannot reach .* check issuer_url, DNS"):
        await OAuthClient(session, grant, BootClock()).request_token()


async def test_a_json_body(session: aiohttp.ClientSession, issuer: Issuer) -> None:
    """The same fields, with the client's among them where it authenticates in the body."""
    common = Common(Address(f"{issuer.url}/token"), ClientAuth("id", "s", "body"), ("a", "b"), {"x": "ü"}, as_json=True)
    await OAuthClient(session, ClientCredentials(common), BootClock()).request_token()
    ((content_type, body),) = issuer.bodies
    assert content_type == "application/json"
    assert json.loads(body) == {
        "grant_type": "client_credentials",
        "x": "ü",
        "scope": "a b",
        "client_id": "id",
        "client_secret": "s",
    }
