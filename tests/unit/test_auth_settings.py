"""``platforms.<name>.auth``: one model a grant, faults with their path, secrets from files, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connector.auth.grants import ClientCredentials, JwtBearer, Password
from connector.errors import ConfigurationError
from connector.settings import AuthSettings, load, warnings
from connector.worker import plans
from tests.support.keys import private_pem

SECRET = "hush-hush-secret"
URL = "https://login.example/token"
PLAIN: dict[str, Any] = {"token_url": URL, "client_id": "id", "client_secret": SECRET}
PASSWORD: dict[str, Any] = {**PLAIN, "grant": "password", "username": "key-id", "password": SECRET}
JWT: dict[str, Any] = {"grant": "jwt_bearer", "token_url": URL, "issuer": "bridge", "subject": "user"}
ENV = "CCAAS__PLATFORMS__P__AUTH__"


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    """A P-256 key."""
    path = tmp_path / "key.pem"
    path.write_bytes(private_pem("ES256"))
    return str(path)


def read(tmp_path: Path, auth: object, environ: dict[str, str] | None = None) -> AuthSettings:
    """The settings of a file with this ``auth``."""
    document = {
        "group": "g",
        "kafka": {"bootstrap_servers": "127.0.0.1:9092"},
        "platforms": {"p": {"kind": "nice-offset", "stream_url": "wss://host/{channel}", "auth": auth}},
        "streams": [{"name": "s", "platform": "p", "topic": "t"}],
    }
    path = tmp_path / "bridge.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    settings = load(path, environ or {})
    assert warnings(settings) == []
    assert SECRET not in repr(settings)
    return settings.platforms["p"].auth


def faults(tmp_path: Path, auth: object, environ: dict[str, str] | None = None) -> dict[str, str]:
    """What is wrong with this ``auth``, by the path below it; never a secret."""
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, auth, environ)
    assert SECRET not in str(caught.value)
    lines = [line.strip().split(": ", 1) for line in str(caught.value).splitlines()[1:]]
    return {path.removeprefix("platforms.p.auth").removeprefix("."): message for path, message in lines}


def test_client_credentials_are_the_default(tmp_path: Path) -> None:
    """With and without the word; everything else has a default."""
    plain, named = read(tmp_path, PLAIN), read(tmp_path, {**PLAIN, "grant": "client_credentials"})
    assert plain == named
    grant = plans.token_grant(plain)
    assert isinstance(grant, ClientCredentials)
    assert (grant.address.url, grant.address.is_issuer) == (URL, False)
    client = grant.common.client
    assert client is not None
    assert (client.client_id, client.client_secret, client.method) == ("id", SECRET, "basic")
    assert (grant.common.scopes, grant.common.extra, grant.common.as_json) == ((), {}, False)


def test_everything_reaches_the_grant(tmp_path: Path) -> None:
    """Body credentials, scopes, extra parameters (one from a file), JSON, an issuer."""
    (tmp_path / "tenant").write_text(f"{SECRET}\n")
    auth = {
        "issuer_url": "https://cxone.example/",
        "client_id": "id",
        "client_secret": SECRET,
        "client_auth": "body",
        "scopes": ["a:read", "b"],
        "extra_parameters": {"audience": "https://api", "tenant_file": str(tmp_path / "tenant")},
        "request_body": "json",
    }
    grant = plans.token_grant(read(tmp_path, auth))
    assert isinstance(grant, ClientCredentials)
    assert (grant.address.url, grant.address.is_issuer) == ("https://cxone.example/", True)
    assert grant.common.scopes == ("a:read", "b")
    assert grant.common.extra == {"audience": "https://api", "tenant": SECRET}
    assert grant.common.as_json
    assert grant.build(URL, 0.0).headers == {}


def test_access_keys(tmp_path: Path) -> None:
    """The key's secret beside the client's, both from files."""
    (tmp_path / "key").write_text("key-secret")
    (tmp_path / "client").write_text("client-secret")
    files = {"password_file": str(tmp_path / "key"), "client_secret_file": str(tmp_path / "client")}
    auth = {name: value for name, value in PASSWORD.items() if name not in ("password", "client_secret")}
    grant = plans.token_grant(read(tmp_path, auth | files))
    assert isinstance(grant, Password)
    assert (grant.username, grant.password) == ("key-id", "key-secret")
    assert grant.common.client is not None
    assert grant.common.client.client_secret == "client-secret"


def test_jwt_bearer(tmp_path: Path, key_file: str) -> None:
    """Without a client, then with one; what is left out has a default."""
    auth = {**JWT, "private_key_file": key_file, "algorithm": "ES256"}
    grant = plans.token_grant(read(tmp_path, auth))
    assert isinstance(grant, JwtBearer)
    assert (grant.plan.audience, grant.plan.kid, grant.plan.lifetime_s) == (None, None, 60)
    assert grant.common.client is None
    more = {"kid": "k", "audience": "https://aud", "assertion_lifetime_seconds": 300, "client_id": "id"}
    grant = plans.token_grant(read(tmp_path, auth | more))
    assert isinstance(grant, JwtBearer)
    assert (grant.plan.issuer, grant.plan.subject, grant.plan.algorithm) == ("bridge", "user", "ES256")
    assert (grant.plan.audience, grant.plan.kid, grant.plan.lifetime_s) == ("https://aud", "k", 300)
    assert grant.build(URL, 0.0).form["client_id"] == "id"


@pytest.mark.parametrize(
    ("auth", "told"),
    [
        ("x", {"": "should be a mapping"}),
        ({**PLAIN, "grant": "saml"}, {"grant": "should be one of client_credentials, password, jwt_bearer"}),
        ({**PLAIN, "grant": [SECRET]}, {"grant": "should be one of client_credentials, password, jwt_bearer"}),
        (
            {"client_secret": SECRET},
            {"token_url": "required (or issuer_url)", "client_id": "required"},
        ),
        ({**PLAIN, "issuer_url": "https://h"}, {"issuer_url": "given together with token_url; keep one of them"}),
        (
            {**PLAIN, "token_url": None, "issuer_url": "https://h/.well-known/openid-configuration"},
            {"issuer_url": "should be the issuer alone, without a query and without /.well-known/openid-configuration"},
        ),
        (
            {**PLAIN, "token_url": "ftp://h"},
            {"token_url": "should be a URL that begins with https:// or http:// and has a host"},
        ),
        (
            {"grant": "password", "token_url": URL},
            {
                "username": "required",
                "password": "required (or password_file)",
                "client_id": "required",
                "client_secret": "required (or client_secret_file)",
            },
        ),
        (JWT, {"private_key_file": "required"}),
        (
            {**PLAIN, "username": "u", "kid": "k", "clientid": "x"},
            {
                "username": "belongs to grant password, not to client_credentials",
                "kid": "belongs to grant jwt_bearer, not to client_credentials",
                "clientid": "unknown key; did you mean client_id?",
            },
        ),
        ({**PASSWORD, "private_key_file": "/k"}, {"private_key_file": "belongs to grant jwt_bearer, not to password"}),
        (
            {**PLAIN, "scopes": ["a", "urn:ietf:params:oauth:grant-type:jwt-bearer"]},
            {"scopes.1": "is a grant, not a scope; leave it out here (for jwt-bearer set grant: jwt_bearer)"},
        ),
        (
            {**PASSWORD, "extra_parameters": {"password": SECRET, "x_file": "/nowhere/x"}},
            {
                "extra_parameters.password": "is set by the bridge",
                "extra_parameters.x_file": "cannot be read: No such file or directory (/nowhere/x)",
            },
        ),
        ({**PLAIN, "extra_parameters": {"n": 1}}, {"extra_parameters.n": "should be a valid string"}),
        ({**PLAIN, "request_body": "xml"}, {"request_body": "should be 'form' or 'json'"}),
        ({**PASSWORD, "password": ""}, {"password": "should not be empty"}),
    ],
)
def test_faults(tmp_path: Path, auth: object, told: dict[str, str]) -> None:
    """All of them at once, each with its path."""
    assert faults(tmp_path, auth) == told


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        (
            {"private_key_file": "/nowhere/key"},
            "private_key_file",
            "cannot be read: No such file or directory (/nowhere/key)",
        ),
        ({"private_key_file": SECRET}, "private_key_file", "cannot be read: No such file or directory"),
        ({"algorithm": "RS256"}, "private_key_file", "holds no RSA (of at least 2048 bits) key, which RS256 needs"),
        ({"algorithm": "HS256"}, "algorithm", "should be 'RS256' or 'ES256'"),
        ({"assertion_lifetime_seconds": 301}, "assertion_lifetime_seconds", "should be less than or equal to 300"),
        ({"client_secret": SECRET}, "client_id", "required with client_secret"),
        (
            {"request_body": "json"},
            "request_body",
            "belongs to grant client_credentials or password, not to jwt_bearer",
        ),
    ],
)
def test_faults_of_jwt_bearer(tmp_path: Path, key_file: str, changes: dict[str, Any], path: str, message: str) -> None:
    """The key is tried when the configuration is read."""
    auth = {**JWT, "private_key_file": key_file, "algorithm": "ES256", **changes}
    assert faults(tmp_path, auth) == {path: message}


def test_the_environment_reaches_every_grant(tmp_path: Path) -> None:
    """Also the grant itself, and names of extra parameters; a fault names the variable."""
    environ = {
        f"{ENV}GRANT": "password",
        f"{ENV}USERNAME": "key-id",
        f"{ENV}PASSWORD": SECRET,
        f"{ENV}EXTRA_PARAMETERS__TENANT_ID": "7",
    }
    auth = read(tmp_path, PLAIN, environ)
    assert (auth.grant, auth.extra_parameters["tenant_id"].get_secret_value()) == ("password", "7")
    told = faults(tmp_path, PLAIN, {f"{ENV}KID": "k"})
    assert told == {"kid": f"belongs to grant jwt_bearer, not to client_credentials (from {ENV}KID)"}
