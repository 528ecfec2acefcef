"""A broker that lets nobody in without credentials and allows nothing that no ACL allows, and its users' credentials.

Listeners: mutual TLS, and over TLS PLAIN, SCRAM-SHA-512 and OAUTHBEARER by OpenID Connect, whose tokens come from an
issuer beside the broker. The plain listener is the administrator's.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.maven_broker import QUICK_START, BrokerUnavailableError, MavenBroker

USER: Final = "bridge"
_PASSWORD: Final = "correct horse battery staple"
_KEY_ID: Final = "k1"
_MODULES: Final = "org.apache.kafka.common.security"
_ANSWER_S: Final = 60.0
_LISTENERS: Final = {"MTLS": "SSL", "PLAIN": "SASL_SSL", "SCRAM": "SASL_SSL", "OAUTH": "SASL_SSL"}


@dataclass(frozen=True, slots=True)
class Rule:
    """An ACL of the documentation: operations on a resource, by its name or by a prefix."""

    resource: str
    name: str
    by_prefix: bool
    operations: tuple[str, ...]

    def bindings(self) -> Iterator[AclBinding]:
        """The same for Kafka, for :data:`USER` from anywhere."""
        pattern = ResourcePatternType.PREFIXED if self.by_prefix else ResourcePatternType.LITERAL
        for operation in self.operations:
            yield AclBinding(
                ResourceType[self.resource],
                self.name,
                pattern,
                f"User:{USER}",
                "*",
                AclOperation[operation],
                AclPermissionType.ALLOW,
            )


class SecureBroker:
    """The broker; :meth:`ways` are the client properties of each way in."""

    def __init__(self, broker: MavenBroker, directory: Path, issuer: str) -> None:
        self.broker = broker
        self._directory = directory
        self._issuer = issuer
        self._admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        self.change_password(_PASSWORD)

    def change_password(self, password: str) -> None:
        """Of SCRAM; connections that are open stay."""
        scram = UserScramCredentialUpsertion(
            USER, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192), password.encode()
        )
        self._admin.alter_user_scram_credentials([scram])[USER].result(_ANSWER_S)

    def change_certificate(self) -> None:
        """The user's, in the files that :meth:`ways` names, as a secret that is renewed."""
        _issue(
            trustme.CA.from_pem(*((self._directory / name).read_bytes() for name in ("ca.pem", "ca.key"))),
            self._directory,
        )

    def allow(self, rules: list[Rule]) -> None:
        """Add ACLs."""
        for made in self._admin.create_acls([acl for rule in rules for acl in rule.bindings()]).values():
            made.result(_ANSWER_S)

    def ways(self) -> dict[str, Mapping[str, str]]:
        """``kafka.client`` for each way to authenticate, bootstrap servers among them."""
        tls = {"ssl.ca.location": str(self._directory / "ca.pem")}
        sasl = {**tls, "security.protocol": "SASL_SSL"}
        login = {"sasl.username": USER, "sasl.password": _PASSWORD}
        return {
            "mTLS": self._way(
                "MTLS",
                **tls,
                **{
                    "security.protocol": "SSL",
                    "ssl.certificate.location": str(self._directory / "client.pem"),
                    "ssl.key.location": str(self._directory / "client.key"),
                },
            ),
            "PLAIN": self._way("PLAIN", **sasl, **login, **{"sasl.mechanism": "PLAIN"}),
            "SCRAM": self._way("SCRAM", **sasl, **login, **{"sasl.mechanism": "SCRAM-SHA-512"}),
            "OAUTHBEARER": self._way(
                "OAUTH",
                **sasl,
                **{
                    "sasl.mechanism": "OAUTHBEARER",
                    "sasl.oauthbearer.method": "oidc",
                    "sasl.oauthbearer.client.id": USER,
                    "sasl.oauthbearer.client.secret": _PASSWORD,
                    "sasl.oauthbearer.token.endpoint.url": f"{self._issuer}/token",
                },
            ),
        }

    def _way(self, listener: str, **properties: str) -> dict[str, str]:
        return {"bootstrap.servers": self.broker.bootstrap_of(listener), **properties}


@contextlib.contextmanager
def secure_broker(directory: Path) -> Iterator[SecureBroker]:
    """Start one with its issuer; both end afterwards. The test fails, and says why, where it can't be had."""
    directory.mkdir(parents=True, exist_ok=True)
    _make_certificates(directory)
    with _issuer() as issuer:
        jwks = f"{issuer}/jwks"
        try:
            broker = MavenBroker(
                directory / "kafka",
                settings=_settings(directory, issuer, jwks),
                listeners=_LISTENERS,
                java_options=[*QUICK_START, f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={jwks}"],
            )
            broker.start()
        except BrokerUnavailableError as error:
            pytest.fail(f"This test needs a broker of its own, from Maven's jars: {error}", pytrace=False)
        with contextlib.closing(broker):
            yield SecureBroker(broker, directory, issuer)


def _settings(directory: Path, issuer: str, jwks: str) -> dict[str, str]:
    login = f'{_MODULES}.plain.PlainLoginModule required user_{USER}="{_PASSWORD}";'
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": "User:ANONYMOUS",  # who comes by the plain listener: the broker itself and this test
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(directory / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(directory / "ca.pem"),
        "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
        "listener.name.mtls.ssl.client.auth": "required",
        "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plain.plain.sasl.jaas.config": login,
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
        "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.oauth.oauthbearer.sasl.jaas.config": (
            f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required;"
        ),
        "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class": (
            f"{_MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler"
        ),
        "listener.name.oauth.sasl.oauthbearer.jwks.endpoint.url": jwks,
        "listener.name.oauth.sasl.oauthbearer.expected.audience": "kafka",
        "listener.name.oauth.sasl.oauthbearer.expected.issuer": issuer,
    }


def _make_certificates(directory: Path) -> None:
    """An authority, the broker's certificate with its key as Kafka wants it, and the user's."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    broker = authority.issue_cert("127.0.0.1", common_name="broker")
    key = serialization.load_pem_private_key(broker.private_key_pem.bytes(), None)
    pkcs8 = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = b"".join(part.bytes() for part in broker.cert_chain_pems)
    (directory / "broker.pem").write_bytes(pkcs8 + chain)
    authority.private_key_pem.write_to_path(directory / "ca.key")
    _issue(authority, directory)


def _issue(authority: trustme.CA, directory: Path) -> None:
    """A certificate for the user."""
    user = authority.issue_cert("bridge.example.com", common_name=USER)
    user.private_key_pem.write_to_path(directory / "client.key")
    user.cert_chain_pems[0].write_to_path(directory / "client.pem")


@contextlib.contextmanager
def _issuer() -> Iterator[str]:
    """An OpenID Connect issuer: a token endpoint for anybody, and the key to check its tokens with."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))

    class Issuer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            """The key set."""
            self._answer({"keys": [{**public, "kid": _KEY_ID, "alg": "RS256", "use": "sig"}]})

        def do_POST(self) -> None:  # http.server's name
            """A token of a minute, so that the client must come again."""
            now = int(time.time())
            claims = {"sub": USER, "aud": "kafka", "iss": url, "iat": now, "exp": now + 60, "scope": "kafka"}
            token = jwt.encode(claims, key, algorithm="RS256", headers={"kid": _KEY_ID})
            self._answer({"access_token": token, "token_type": "Bearer", "expires_in": 60})

        def _answer(self, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's signature
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Issuer) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield url
        finally:
            server.shutdown()
            thread.join()


_ROW: Final = re.compile(r"\| (\w+) \| (?:(prefix) )?`([^`]+)` \| ([\w, ]+) \|")


def documented_rules(page: Path, **names: str) -> list[Rule]:
    """The table of ACLs of a page, with ``{group}`` and the like filled in."""
    found = [
        Rule(_screaming(resource), name.format(**names), bool(prefix), tuple(map(_screaming, operations.split(", "))))
        for resource, prefix, name, operations in _ROW.findall(page.read_text(encoding="utf-8"))
    ]
    if not found:
        raise LookupError(f"no table of ACLs in {page}")
    return found


def _screaming(name: str) -> str:
    """``DescribeConfigs`` → ``DESCRIBE_CONFIGS``, as the client spells it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip()).upper()
