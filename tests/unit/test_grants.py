"""What each grant sends, and that no representation shows a secret."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Literal

import jwt
import pytest

from connector.auth.grants import (
    JWT_BEARER,
    Address,
    ClientAuth,
    ClientCredentials,
    Common,
    GrantType,
    JwtBearer,
    KeyFile,
    Password,
    TokenRequest,
)
from connector.core.assertion import AssertionPlan
from connector.errors import TokenError
from tests.support.keys import private_pem, public_pem

URL = "https://login.example/token"
NOW_S = 1_800_000_000.75
SECRET = "p@ss wörd"
ENCODED_SECRET = "p%40ss+w%C3%B6rd"
BASIC = "Basic " + base64.b64encode(f"my+id%3A:{ENCODED_SECRET}".encode()).decode()


def common(client: ClientAuth | None = None, *, as_json: bool = False) -> Common:
    """Scopes and extra parameters that every grant must pass on; two of them try to be the grant's own."""
    extra = {"audience": "api", "grant_type": "other", "username": "other"}
    return Common(Address(URL), client, ("a", "b"), extra, as_json=as_json)


def client(method: Literal["basic", "body"] = "basic") -> ClientAuth:
    """A client whose id and secret need encoding."""
    return ClientAuth("my id:", SECRET, method)


def bearer(
    tmp_path: Path, algorithm: Literal["RS256", "ES256"] = "RS256", by: ClientAuth | None = None, kid: str | None = "k1"
) -> JwtBearer:
    """A JWT bearer grant with a key file of its own."""
    path = tmp_path / "key.pem"
    path.write_bytes(private_pem(algorithm))
    plan = AssertionPlan("issuer", "subject", algorithm=algorithm, kid=kid)
    return JwtBearer(Common(Address(URL), by), plan, KeyFile(path))


@pytest.mark.parametrize(
    ("grant", "own", "authorization"),
    [
        (ClientCredentials(common(client())), {"grant_type": "client_credentials", "username": "other"}, BASIC),
        (
            ClientCredentials(common(client("body"))),
            {
                "grant_type": "client_credentials",
                "username": "other",
                "client_id": "my id:",
                "client_secret": SECRET,
            },
            None,
        ),
        (
            Password(common(client()), "key-id", "key-secret"),
            {"grant_type": "password", "username": "key-id", "password": "key-secret"},
            BASIC,
        ),
        (
            Password(common(ClientAuth("app")), "key-id", "key-secret"),
            {"grant_type": "password", "username": "key-id", "password": "key-secret", "client_id": "app"},
            None,
        ),
    ],
    ids=["basic", "body", "password", "public client"],
)
def test_what_is_sent(grant: GrantType, own: dict[str, str], authorization: str | None) -> None:
    """The grant's fields win over extra parameters of the same name; scopes are one field."""
    request = grant.build(URL, NOW_S)
    assert request.form == {"scope": "a b", "audience": "api", **own}
    assert request.headers.get("Authorization") == authorization
    assert (request.as_json, request.dated_s) == (False, None)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_an_assertion(tmp_path: Path, algorithm: Literal["RS256", "ES256"]) -> None:
    """RFC 7523 §3: signed, made out to the token endpoint, dated a little back, good for a minute."""
    request = bearer(tmp_path, algorithm).build(URL, NOW_S)
    assert set(request.form) == {"grant_type", "assertion"}
    assert (request.form["grant_type"], request.headers) == (JWT_BEARER, {})
    options: jwt.types.Options = {"verify_exp": False, "verify_iat": False}
    assertion = request.form["assertion"]
    claims = jwt.decode(assertion, public_pem(algorithm), [algorithm], audience=URL, options=options)
    assert claims.pop("jti")
    assert claims == {"iss": "issuer", "sub": "subject", "aud": URL, "iat": 1_799_999_998, "exp": 1_800_000_058}
    assert jwt.get_unverified_header(assertion) == {"alg": algorithm, "typ": "JWT", "kid": "k1"}
    assert request.dated_s == claims["iat"]


def test_a_fresh_jti_for_each_request(tmp_path: Path) -> None:
    """At the same instant too."""
    grant = bearer(tmp_path)
    assertions = [grant.build(URL, NOW_S).form["assertion"] for _ in range(50)]
    jtis = {jwt.decode(assertion, options={"verify_signature": False})["jti"] for assertion in assertions}
    assert len(jtis) == 50


def test_audience_lifetime_and_client_of_an_assertion(tmp_path: Path) -> None:
    """An audience that is configured, no kid, and client authentication beside the assertion."""
    grant = bearer(tmp_path, by=client(), kid=None)
    grant = JwtBearer(grant.common, AssertionPlan("i", "s", "https://aud", lifetime_s=300), grant.key_file)
    request = grant.build(URL, NOW_S)
    claims = jwt.decode(request.form["assertion"], options={"verify_signature": False})
    assert (claims["aud"], claims["exp"] - claims["iat"]) == ("https://aud", 300)
    assert "kid" not in jwt.get_unverified_header(request.form["assertion"])
    assert request.headers == {"Authorization": BASIC}


def test_a_replaced_key_signs_the_next_request(tmp_path: Path) -> None:
    """The file is read for each; one that is gone or broken is an error, and mended by the next good one."""
    grant = bearer(tmp_path, "ES256")
    path = tmp_path / "key.pem"

    def signed_by(number: int) -> bool:
        assertion = grant.build(URL, NOW_S).form["assertion"]
        try:
            jwt.decode(
                assertion, public_pem("ES256", number), ["ES256"], options={"verify_aud": False, "verify_iat": False}
            )
        except jwt.InvalidSignatureError:
            return False
        return True

    assert signed_by(1)
    path.write_bytes(private_pem("ES256", 2))
    assert signed_by(2)
    path.write_bytes(b"half a k")
    with pytest.raises(TokenError, match=r"private_key_file .*key\.pem holds no private key in PEM format"):
        grant.build(URL, NOW_S)
    path.unlink()
    with pytest.raises(TokenError, match="cannot be read: No such file") as caught:
        grant.build(URL, NOW_S)
    assert caught.value.status is None
    path.write_bytes(private_pem("ES256"))
    assert signed_by(1)


def test_no_representation_shows_a_secret(tmp_path: Path) -> None:
    """Neither of grants nor of requests; whatever goes out and is secret is named among the secrets."""
    address = Address("https://u:hidden@host/token")
    base = Common(address, client(), extra={"api_key": "hidden+key"})
    assertion = bearer(tmp_path, by=client())
    for grant in (ClientCredentials(base), Password(base, "key-id", "hidden/word"), assertion):
        request: TokenRequest = grant.build(URL, NOW_S)
        shown = repr(grant) + repr(request) + repr(base) + repr(KeyFile(tmp_path))
        for secret in (SECRET, ENCODED_SECRET, "hidden", BASIC, request.form.get("assertion", SECRET)):
            assert secret not in shown
        sent = " ".join([*request.form.values(), *request.headers.values()])
        for secret in request.secrets:
            sent = sent.replace(secret, "")
        for secret in (SECRET, "hidden", BASIC[6:]):
            assert secret not in sent
    assert "hidden%2Fword" in Password(base, "key-id", "hidden/word").build(URL, NOW_S).secrets
