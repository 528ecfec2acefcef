"""Every grant over real sockets, against the simulator and against a server that answers as the test says."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from connector.auth.grants import (
    Address,
    ClientAuth,
    ClientCredentials,
    Common,
    GrantType,
    JwtBearer,
    KeyFile,
    Password,
)
from connector.auth.oauth import OAuthClient
from connector.clock import BootClock
from connector.core.assertion import AssertionPlan
from connector.errors import TokenError
from connector.simulator import Simulator, SimulatorSettings
from tests.support.keys import private_pem, public_pem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from connector.core.token_clock import Grant

CLIENT = ClientAuth("simulator", "simulator-secret")
HOUR_S = 3600.0


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session as the application makes one."""
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The bridge's P-256 key."""
    path = tmp_path / "key.pem"
    store(path)
    return path


def store(path: Path, number: int = 1) -> None:
    """Put another key in place of the one there."""
    path.write_bytes(private_pem("ES256", number))


def jwt_bearer(address: Address, path: Path, client: ClientAuth | None = None) -> JwtBearer:
    """Assertions of the issuer whom the simulator trusts."""
    return JwtBearer(Common(address, client), AssertionPlan("simulator", "user", algorithm="ES256"), KeyFile(path))


def oauth(session: aiohttp.ClientSession, grant: GrantType, wall_off_s: float = 0.0) -> OAuthClient:
    """A client on a machine whose wall clock is off."""
    return OAuthClient(session, grant, BootClock(), timeout_s=5.0, wall_s=lambda: time.time() + wall_off_s)


async def accepted(simulator: Simulator, grant: Grant) -> bool:
    """Whether the platform honours the token."""
    url, headers = simulator.snapshot_url.format(channel="wfm"), {"Authorization": f"Bearer {grant.token}"}
    async with aiohttp.request("GET", url, headers=headers) as answer:
        return answer.status == 200


@pytest.mark.parametrize("method", ["basic", "body"])
async def test_access_keys_and_the_discovered_endpoint(session: aiohttp.ClientSession, method: Any) -> None:  # noqa: ANN401 - a table
    """As NICE CXone has them: the issuer names the endpoint, the answer says how long the token lives."""
    async with Simulator() as simulator:
        client = ClientAuth("simulator", "simulator-secret", method)
        common = Common(Address(simulator.base_url + "/", is_issuer=True), client)
        grant = await oauth(session, Password(common, "simulator-key", "simulator-key-secret")).request_token()
        assert grant.expires_in_s == HOUR_S
        assert await accepted(simulator, grant)
        with pytest.raises(TokenError) as caught:
            await oauth(session, Password(common, "simulator-key", "hidden")).request_token()
        assert "(invalid_grant: unknown access key" in str(caught.value)
        assert "check username and password (the access key's id and secret)" in str(caught.value)
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("client", [None, CLIENT])
async def test_jwt_bearer(session: aiohttp.ClientSession, key_file: Path, client: ClientAuth | None) -> None:
    """Each request has an assertion of its own: the simulator takes none twice. The key may change in between."""
    async with Simulator(SimulatorSettings(assertion_key=public_pem("ES256"))) as simulator:
        bridge = oauth(session, jwt_bearer(Address(simulator.token_url), key_file, client))
        grants = [await bridge.request_token() for _ in range(3)]
        assert [await accepted(simulator, grant) for grant in grants] == [True] * 3
        store(key_file, 2)
        with pytest.raises(TokenError, match="invalid_grant: Signature verification failed") as caught:
            await bridge.request_token()
        assert caught.value.status == 400
        assert simulator.world.ledger.counts["token_errors"] == 1, "its date was right: not asked again"
        store(key_file)
        await bridge.request_token()


@pytest.mark.parametrize("off_s", [HOUR_S, -HOUR_S])
async def test_a_wrong_wall_clock_costs_one_request(
    session: aiohttp.ClientSession, key_file: Path, off_s: float
) -> None:
    """The first refusal's Date dates the second assertion, and all that follow."""
    async with Simulator(SimulatorSettings(assertion_key=public_pem("ES256"))) as simulator:
        bridge = oauth(session, jwt_bearer(Address(simulator.token_url), key_file), off_s)
        await bridge.request_token()
        await bridge.request_token()
        counts = simulator.world.ledger.counts
        assert (counts["tokens"], counts["token_errors"]) == (2, 1)


async def test_discovery_tells_the_time_too(session: aiohttp.ClientSession, key_file: Path) -> None:
    """The first assertion is already dated right."""
    async with Simulator(SimulatorSettings(assertion_key=public_pem("ES256"), clock_skew_s=HOUR_S)) as simulator:
        address = Address(simulator.base_url, is_issuer=True)
        await oauth(session, jwt_bearer(address, key_file)).request_token()
        assert simulator.world.ledger.counts["token_errors"] == 0


async def test_asked_again_only_once(session: aiohttp.ClientSession, key_file: Path) -> None:
    """A wrong clock and a wrong key: two requests, then the error."""
    async with Simulator(SimulatorSettings(assertion_key=public_pem("ES256", 2))) as simulator:
        bridge = oauth(session, jwt_bearer(Address(simulator.token_url), key_file), HOUR_S)
        with pytest.raises(TokenError, match="this machine's clock"):
            await bridge.request_token()
        assert simulator.world.ledger.counts["token_errors"] == 2


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
    return oauth(session, ClientCredentials(Common(address, ClientAuth("id", "hidden-secret"))))


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
    grant = ClientCredentials(Common(Address("http://127.0.0.1:1", is_issuer=True), CLIENT))
    with pytest.raises(TokenError, match=r"cannot reach .* check issuer_url, DNS"):
        await oauth(session, grant).request_token()


async def test_a_json_body(session: aiohttp.ClientSession, issuer: Issuer) -> None:
    """The same fields, with the client's among them where it authenticates in the body."""
    common = Common(Address(f"{issuer.url}/token"), ClientAuth("id", "s", "body"), ("a", "b"), {"x": "ü"}, as_json=True)
    await oauth(session, ClientCredentials(common)).request_token()
    ((content_type, body),) = issuer.bodies
    assert content_type == "application/json"
    assert json.loads(body) == {
        "grant_type": "client_credentials",
        "x": "ü",
        "scope": "a b",
        "client_id": "id",
        "client_secret": "s",
    }
