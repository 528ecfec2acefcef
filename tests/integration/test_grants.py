"""Every grant over real sockets, against the simulator."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from connector.auth.grants import (
    Address,
    ClientAuth,
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
