"""Keycloak as a child process, from Maven, in memory; with a realm in which every grant of the bridge works.

Needs a JDK >= 17, and Maven the first time: the distribution is kept under ``$XDG_CACHE_HOME/ccaas-kafka-bridge``,
built for quick starts. What it lacks of a platform is told by the tests that found it: it sends no Date.
"""

from __future__ import annotations

import json
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Final

import jwt

from tests.support.distribution import DistributionError, distribution
from tests.support.keys import Kind, key
from tests.support.maven_broker import free_ports
from tests.support.processes import Child

REALM: Final = "contact-centre"
CLIENT: Final = ("bridge", "p@ss wörd+/=:%")
ACCESS_KEY: Final = ("access-key", "key/secret+=")
ISSUER: Final = "https://signer.example"
SUBJECT: Final = "subject-1"
KIDS: Final[dict[Kind, str]] = {"RS256": "rsa", "ES256": "ec"}
TOKEN_LIFE_S: Final = 120

_POM: Final = Path(__file__).with_name("keycloak-pom.xml")
_ADMIN: Final = ("admin", "admin")
_BUILD: Final = ["bin/kc.sh", "build", "--db=dev-mem", "--cache=local", "--features=jwt-authorization-grant"]
_PATIENCE_S: Final = 300.0
_HELP: Final = (
    "This test runs a Keycloak of its own. Install a JDK >= 17 and Maven "
    '(apt-get install openjdk-17-jre-headless maven), or leave it out: pytest -m "not keycloak".'
)


class KeycloakUnavailableError(Exception):
    """No Keycloak can be had here; the message says what is missing and how to get it."""


class Keycloak:
    """A running server with the realm; :meth:`close` ends it."""

    def __init__(self, directory: Path) -> None:
        missing = [program for program in ("java", "bash") if shutil.which(program) is None]
        if missing:
            raise KeycloakUnavailableError(f"there is no {' and no '.join(missing)}. {_HELP}")
        try:
            home = distribution(_POM, _BUILD)
        except DistributionError as error:
            raise KeycloakUnavailableError(f"{error}. {_HELP}") from error
        (port,) = free_ports(1)
        self._base = f"http://127.0.0.1:{port}"
        options = ["--optimized", "--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={port}"]
        admin = dict(zip(("KC_BOOTSTRAP_ADMIN_USERNAME", "KC_BOOTSTRAP_ADMIN_PASSWORD"), _ADMIN, strict=True))
        environment = os.environ | admin | {"JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m"}
        command = ["bash", str(home / "bin" / "kc.sh"), "start", *options, "--hostname-strict=false"]
        self._child = Child(command, directory / "keycloak.log", env=environment)
        try:
            self._await_start()
            self._make_realm()
        except BaseException:
            self.close()
            raise

    @property
    def issuer_url(self) -> str:
        """For ``auth.issuer_url``."""
        return f"{self._base}/realms/{REALM}"

    @property
    def token_url(self) -> str:
        """For ``auth.token_url``."""
        return f"{self.issuer_url}/protocol/openid-connect/token"

    def honours(self, token: str) -> bool:
        """Whether the token is active (RFC 7662)."""
        form = {"token": token, "client_id": CLIENT[0], "client_secret": CLIENT[1]}
        return json.loads(_post(f"{self.token_url}/introspect", form))["active"] is True

    def close(self) -> None:
        """End it. Idempotent."""
        self._child.kill()

    def _await_start(self) -> None:
        if not self._child.answers(f"{self._base}/realms/master", _PATIENCE_S):
            raise KeycloakUnavailableError(f"Keycloak did not start; the end of its log:\n{self._child.log_tail()}")

    def _make_realm(self) -> None:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": _ADMIN[0], "password": _ADMIN[1]}
        token = json.loads(_post(f"{self._base}/realms/master/protocol/openid-connect/token", form))["access_token"]
        _post(f"{self._base}/admin/realms", _realm(), token)


def _post(url: str, content: dict[str, Any], token: str | None = None) -> bytes:
    """A form without a token, JSON with one."""
    body = urllib.parse.urlencode(content) if token is None else json.dumps(content)
    headers = {} if token is None else {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, body.encode(), headers)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        read: bytes = answer.read()
        return read


def _realm() -> dict[str, Any]:
    """A client, a user whose access key it presents, and an issuer of assertions about that user."""
    jwks = [
        jwt.get_algorithm_by_name(name).to_jwk(key(name, 1).public_key(), as_dict=True)
        | {"kid": kid, "use": "sig", "alg": name}
        for name, kid in KIDS.items()
    ]
    client = {
        "clientId": CLIENT[0],
        "secret": CLIENT[1],
        "publicClient": False,
        "serviceAccountsEnabled": True,
        "directAccessGrantsEnabled": True,
        "attributes": {
            "oauth2.jwt.authorization.grant.enabled": "true",
            "oauth2.jwt.authorization.grant.idp": "signer",
            "allow.token.introspection.without.audience.check": "true",
        },
    }
    user = {
        "username": ACCESS_KEY[0],
        "enabled": True,
        "email": "key@example.com",
        "emailVerified": True,
        "firstName": "Access",
        "lastName": "Key",
        "credentials": [{"type": "password", "value": ACCESS_KEY[1]}],
        "federatedIdentities": [{"identityProvider": "signer", "userId": SUBJECT, "userName": SUBJECT}],
    }
    signer = {
        "issuer": ISSUER,
        "useJwksUrl": "false",
        "jwtAuthorizationGrantEnabled": "true",
        "publicKeySignatureVerifier": json.dumps({"keys": jwks}),
    }
    return {
        "realm": REALM,
        "enabled": True,
        "accessTokenLifespan": TOKEN_LIFE_S,
        "clients": [client],
        "users": [user],
        "identityProviders": [
            {"alias": "signer", "providerId": "jwt-authorization-grant", "enabled": True, "config": signer}
        ],
    }
