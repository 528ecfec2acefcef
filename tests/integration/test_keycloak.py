"""Every grant against a real Keycloak. ``pytest -m "not keycloak"`` leaves these out: its start takes half a minute."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

import aiohttp
import pytest

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
from tests.support.keycloak import (
    ACCESS_KEY,
    CLIENT,
    ISSUER,
    KIDS,
    SUBJECT,
    TOKEN_LIFE_S,
    Keycloak,
    KeycloakUnavailableError,
)
from tests.support.keys import private_pem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.keycloak
HOUR_S = 3600.0


@pytest.fixture(scope="module")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    """A running server."""
    try:
        server = Keycloak(tmp_path_factory.mktemp("keycloak"))
    except KeycloakUnavailableError as error:
        pytest.fail(str(error), pytrace=False)
    yield server
    server.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session as the application makes one."""
    async with aiohttp.ClientSession() as made:
        yield made


def common(keycloak: Keycloak, method: Literal["basic", "body"] = "basic", *, discover: bool = False) -> Common:
    """The client, whose secret needs every kind of encoding."""
    address = Address(keycloak.issuer_url, is_issuer=True) if discover else Address(keycloak.token_url)
    return Common(address, ClientAuth(*CLIENT, method), ("profile",))


def jwt_bearer(keycloak: Keycloak, tmp_path: Path, algorithm: Literal["RS256", "ES256"] = "ES256") -> JwtBearer:
    """Assertions by the key that Keycloak knows."""
    path = tmp_path / "key.pem"
    path.write_bytes(private_pem(algorithm))
    plan = AssertionPlan(ISSUER, SUBJECT, algorithm=algorithm, kid=KIDS[algorithm])
    return JwtBearer(common(keycloak), plan, KeyFile(path))


async def tokens(keycloak: Keycloak, session: aiohttp.ClientSession, grant: GrantType, count: int = 1) -> None:
    """So many tokens, one after the other, each active and with the life that the realm gives."""
    client = OAuthClient(session, grant, BootClock())
    for _ in range(count):
        facts = await client.request_token()
        assert facts.expires_in_s == TOKEN_LIFE_S
        assert facts.exp_s is not None
        assert facts.iat_s is not None
        assert facts.exp_s - facts.iat_s == TOKEN_LIFE_S
        assert keycloak.honours(facts.token)


@pytest.mark.parametrize("method", ["basic", "body"])
async def test_client_credentials(
    keycloak: Keycloak, session: aiohttp.ClientSession, method: Literal["basic", "body"]
) -> None:
    """By Basic, form-encoded as RFC 6749 §2.3.1 wants it, and in the body."""
    await tokens(keycloak, session, ClientCredentials(common(keycloak, method)))


async def test_password_by_discovery(keycloak: Keycloak, session: aiohttp.ClientSession) -> None:
    """As NICE CXone has it: the issuer names the endpoint."""
    await tokens(keycloak, session, Password(common(keycloak, discover=True), *ACCESS_KEY))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_jwt_bearer(
    keycloak: Keycloak, session: aiohttp.ClientSession, tmp_path: Path, algorithm: Literal["RS256", "ES256"]
) -> None:
    """Keycloak takes an assertion once, and has no leeway for dates."""
    await tokens(keycloak, session, jwt_bearer(keycloak, tmp_path, algorithm), count=3)


async def test_refusals(keycloak: Keycloak, session: aiohttp.ClientSession) -> None:
    """A wrong client secret, a wrong password: what Keycloak said, and what to check."""
    wrong = Common(Address(keycloak.token_url), ClientAuth(CLIENT[0], "hidden-secret"))
    with pytest.raises(TokenError, match="check client_id, client_secret and client_auth") as refused:
        await OAuthClient(session, ClientCredentials(wrong), BootClock()).request_token()
    assert refused.value.status == 401
    grant = Password(common(keycloak), ACCESS_KEY[0], "hidden-password")
    with pytest.raises(TokenError, match=r"invalid_grant.*username and password") as caught:
        await OAuthClient(session, grant, BootClock()).request_token()
    assert "hidden" not in str(caught.value) + str(refused.value)


async def test_without_a_date_tokens_tell_the_time(
    keycloak: Keycloak, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Keycloak sends none: a wrong wall clock is an error at first; from the first token on it changes nothing."""
    wall_off_s = HOUR_S
    client = OAuthClient(session, jwt_bearer(keycloak, tmp_path), BootClock(), wall_s=lambda: time.time() + wall_off_s)
    with pytest.raises(TokenError, match="this machine's clock"):
        await client.request_token()
    wall_off_s = 0.0
    assert (await client.request_token()).date_s is None
    wall_off_s = -HOUR_S
    await client.request_token()
