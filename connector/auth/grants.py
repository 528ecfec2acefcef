"""The OAuth grants: what each sends to a token endpoint. Nothing is sent here, and no repr shows a secret."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import quote_plus

from connector.core.assertion import AssertionPlan, SigningKey, issued_at, load_signing_key, sign
from connector.errors import TokenError

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SHORTEST_SECRET = 6  # an extra parameter's value shorter than this is not blotted out of messages
_CLIENT_ADVICE = "check client_id, client_secret and client_auth (basic or body)"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What goes out: fields and headers, and the strings that no message may repeat.

    ``dated_s``: the instant of the platform's clock that the request claims to be from; None where it claims none.
    """

    form: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    as_json: bool = False
    dated_s: int | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where tokens are: the token endpoint's URL, or an issuer's, whose discovery document names the endpoint."""

    url: str = field(repr=False)  # may hold userinfo
    is_issuer: bool = False

    @property
    def setting(self) -> str:
        """What to check where the address is wrong."""
        return "issuer_url" if self.is_issuer else "token_url"


class GrantType(Protocol):
    """One way to ask for tokens."""

    @property
    def address(self) -> Address:
        """Where to ask."""
        ...

    @property
    def advice(self) -> Mapping[int, str]:
        """What to check, by the HTTP status of a refusal."""
        ...

    def build(self, token_url: str, platform_s: float) -> TokenRequest:
        """The next request. ``platform_s``: the platform's clock, as far as known. Raises :class:`TokenError`."""
        ...


@dataclass(frozen=True, slots=True)
class ClientAuth:
    """The client's proof of who it is (RFC 6749 §2.3.1). Without a secret it only says so (§3.2.1)."""

    client_id: str
    client_secret: str = field(default="", repr=False)
    method: Literal["basic", "body"] = "basic"

    def fields(self) -> dict[str, str]:
        """What belongs in the body."""
        if not self.client_secret:
            return {"client_id": self.client_id}
        return {"client_id": self.client_id, "client_secret": self.client_secret} if self.method == "body" else {}

    def headers(self) -> dict[str, str]:
        """HTTP Basic, each half form-encoded first."""
        return {"Authorization": f"Basic {self._basic()}"} if self.client_secret and self.method == "basic" else {}

    def secrets(self) -> list[str]:
        """The secret in every shape in which it goes out."""
        return [self.client_secret, self._basic()] if self.client_secret else []

    def _basic(self) -> str:
        return base64.b64encode(f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Common:
    """What requests of every grant have. ``extra`` holds further fields, such as an audience."""

    address: Address
    client: ClientAuth | None = None
    scopes: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)
    as_json: bool = False

    def request(
        self, grant: Mapping[str, str], secrets: Iterable[str] = (), dated_s: int | None = None
    ) -> TokenRequest:
        """A request with the fields of the grant; they win over ``extra``."""
        form = {**self.extra, **grant}
        if self.scopes:
            form["scope"] = " ".join(self.scopes)
        hidden = [*secrets, *(value for value in self.extra.values() if len(value) >= _SHORTEST_SECRET)]
        headers: dict[str, str] = {}
        if self.client is not None:
            form |= self.client.fields()
            headers = self.client.headers()
            hidden += self.client.secrets()
        hidden += [quote_plus(secret) for secret in hidden]
        longest_first = tuple(sorted(set(filter(None, hidden)), key=len, reverse=True))
        return TokenRequest(form, headers, longest_first, self.as_json, dated_s)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The client credentials grant (RFC 6749 §4.4)."""

    common: Common

    @property
    def address(self) -> Address:
        """As :class:`GrantType`."""
        return self.common.address

    @property
    def advice(self) -> Mapping[int, str]:
        """As :class:`GrantType`."""
        return {400: "check the grant, the scopes and the extra parameters", 401: _CLIENT_ADVICE}

    def build(self, token_url: str, platform_s: float) -> TokenRequest:  # noqa: ARG002 - the same wherever and whenever
        """As :class:`GrantType`."""
        return self.common.request({"grant_type": "client_credentials"})


@dataclass(frozen=True, slots=True)
class Password:
    """The password grant (RFC 6749 §4.3), with an access key's id and secret on NICE CXone."""

    common: Common
    username: str
    password: str = field(repr=False)

    @property
    def address(self) -> Address:
        """As :class:`GrantType`."""
        return self.common.address

    @property
    def advice(self) -> Mapping[int, str]:
        """As :class:`GrantType`; servers answer a wrong password with either status."""
        key = "username and password (the access key's id and secret)"
        return {400: f"check {key}, the scopes and the extra parameters", 401: f"{_CLIENT_ADVICE}, then {key}"}

    def build(self, token_url: str, platform_s: float) -> TokenRequest:  # noqa: ARG002 - the same wherever and whenever
        """As :class:`GrantType`."""
        grant = {"grant_type": "password", "username": self.username, "password": self.password}
        return self.common.request(grant, [self.password])


class KeyFile:
    """A private key in a file, read for every request, so that a key that replaces it is used at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parsed: tuple[bytes, SigningKey] | None = None  # parsing costs tens of milliseconds, reading nothing

    def load(self, plan: AssertionPlan) -> SigningKey:
        """The key in the file. Raises :class:`TokenError` where it cannot be used."""
        try:
            pem = self._path.read_bytes()
            if self._parsed is None or self._parsed[0] != pem:
                self._parsed = pem, load_signing_key(pem, plan.algorithm)
        except OSError as error:
            raise TokenError(f"private_key_file {self._path} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise TokenError(f"private_key_file {self._path} {error}") from None
        return self._parsed[1]


@dataclass(frozen=True, slots=True)
class JwtBearer:
    """A signed assertion for a token (RFC 7523 §2.1)."""

    common: Common
    plan: AssertionPlan
    key_file: KeyFile

    @property
    def address(self) -> Address:
        """As :class:`GrantType`."""
        return self.common.address

    @property
    def advice(self) -> Mapping[int, str]:
        """As :class:`GrantType`."""
        assertion = "issuer, subject, audience, kid, that the platform has the public key, and this machine's clock"
        return {400: f"check {assertion}", 401: f"{_CLIENT_ADVICE}, then {assertion}"}

    def build(self, token_url: str, platform_s: float) -> TokenRequest:
        """As :class:`GrantType`: a fresh assertion with a fresh ``jti``."""
        iat_s = issued_at(platform_s)
        assertion = sign(self.plan, self.key_file.load(self.plan), token_url, iat_s, uuid.uuid4().hex)
        return self.common.request({"grant_type": JWT_BEARER, "assertion": assertion}, [assertion], iat_s)
