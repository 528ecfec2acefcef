"""OAuth 2.0 tokens (RFC 6749 §4.3, §4.4, RFC 7523 §2.1), issuing and checking. Pure; instants are the platform's clock.

Where ``token_life_s`` is whole, ``iat`` and ``exp`` are whole seconds as real servers give them, and a token is
honoured until its life is over to the millisecond, so never shorter than ``exp`` says less a second.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import jwt

from connector.simulator.assertions import AssertionDesk
from connector.simulator.settings import SimulatorSettings

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GRANTS = ("client_credentials", "password", JWT_BEARER)


@dataclass(slots=True)
class IssuedToken:
    """A token and what became of it."""

    jti: int
    value: str
    client_id: str
    issued_at_s: float
    expires_at_s: float
    death: str | None = None
    """Why it died before its time (``revoked``, ``expired by order``), or None."""
    idle_from_s: float = math.inf
    """When it ends for want of requests; they put it off."""

    def ended(self, now_s: float) -> str | None:
        """Why the token is dead, or None while it lives."""
        if self.death is not None:
            return self.death
        if now_s >= self.idle_from_s:
            return "token idle"
        return "token expired" if now_s >= self.expires_at_s else None


@dataclass(frozen=True, slots=True)
class Refused:
    """An error answer: HTTP status, ``error`` of RFC 6749 §5.2, and seconds to wait where the platform says so."""

    status: int
    error: str
    description: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a bearer token is not accepted (RFC 6750 §3.1); ``error`` None where none was sent."""

    error: str | None
    description: str


class TokenOffice:
    """Issues tokens, knows which of them live."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self.client_secret = settings.client_secret
        self._key = hashlib.sha256(f"simulator/{settings.seed}".encode()).digest()
        self._last_request_s: dict[str, float] = {}
        self._desk = AssertionDesk(settings.assertion_key, settings.client_id)
        self.issued: dict[str, IssuedToken] = {}

    def request(
        self, authorization: str | None, form: Mapping[str, str], now_s: float, audiences: Sequence[str] = ()
    ) -> tuple[IssuedToken, dict[str, Any]] | Refused:
        """Answer a token request: the token and the answer's body, or the refusal.

        ``audiences``: what the endpoint is called, for assertions made out to it.
        """
        client = self._settings.client_id
        named = authorization is not None or "client_secret" in form or form.get("grant_type") != JWT_BEARER
        if named and not self._authenticated(authorization, form):
            return Refused(401, "invalid_client", "unknown client, or a wrong secret")
        refused = self._grant_refused(form, now_s, audiences)
        if refused is not None:
            return refused
        waited_s = now_s - self._last_request_s.get(client, -math.inf)
        if waited_s < self._settings.token_burst_s:
            left_s = max(1, math.ceil(self._settings.token_burst_s - waited_s))
            return Refused(429, "rate_limited", "too many token requests", left_s)
        self._last_request_s[client] = now_s
        return self._issue(client, form.get("scope"), now_s)

    def _grant_refused(self, form: Mapping[str, str], now_s: float, audiences: Sequence[str]) -> Refused | None:
        grant = form.get("grant_type")
        if not grant:
            return Refused(400, "invalid_request", "grant_type is missing")
        if grant not in GRANTS:
            return Refused(400, "unsupported_grant_type", f"supported are {', '.join(GRANTS)}")
        if grant == "password" and (form.get("username"), form.get("password")) != self._settings.access_key:
            return Refused(400, "invalid_grant", "unknown access key, or a wrong secret")
        fault = self._desk.fault(form.get("assertion", ""), now_s, audiences) if grant == JWT_BEARER else None
        return None if fault is None else Refused(400, "invalid_grant", fault)

    def check(self, authorization: str | None, now_s: float) -> IssuedToken | Denied:
        """The live token of an ``Authorization`` header, or why there is none."""
        scheme, _, value = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not value.strip():
            return Denied(None, "a bearer token is needed")
        token = self.issued.get(value.strip())
        if token is None:
            return Denied("invalid_token", "unknown token")
        ended = token.ended(now_s)
        return token if ended is None else Denied("invalid_token", ended)

    def expire_all(self, now_s: float) -> int:
        """End every live token now; returns how many."""
        live = [token for token in self.issued.values() if token.ended(now_s) is None]
        for token in live:
            token.death = "token expired by order"
        return len(live)

    def _issue(self, client: str, scope: str | None, now_s: float) -> tuple[IssuedToken, dict[str, Any]]:
        life_s = self._settings.token_life_s
        jti = len(self.issued) + 1
        if self._settings.reissue == "revokes":
            for former in self.issued.values():
                if former.client_id == client and former.ended(now_s) is None:
                    former.death = "token revoked"
        token = IssuedToken(jti, self._encode(client, jti, now_s), client, now_s, now_s + life_s)
        self.issued[token.value] = token
        body: dict[str, Any] = {"access_token": token.value, "token_type": "bearer"}
        if not self._settings.omit_expires_in:
            body["expires_in"] = _whole(life_s)
        if scope:
            body["scope"] = scope
        return token, body

    def _encode(self, client: str, jti: int, now_s: float) -> str:
        if self._settings.opaque_tokens:
            return hashlib.blake2b(f"{client}/{jti}/{now_s}".encode(), key=self._key, digest_size=24).hexdigest()
        life_s = self._settings.token_life_s
        issued_s = int(now_s) if float(life_s).is_integer() else round(now_s, 3)
        claims = {"sub": client, "jti": str(jti), "iat": issued_s, "exp": issued_s + _whole(life_s)}
        return jwt.encode(claims, self._key, algorithm="HS256")

    def _authenticated(self, authorization: str | None, form: Mapping[str, str]) -> bool:
        """Whether the client proved who it is, by Basic or in the body (RFC 6749 §2.3.1)."""
        if authorization is not None:
            credentials = basic_credentials(authorization)
        else:
            credentials = (form.get("client_id", ""), form.get("client_secret", ""))
        return credentials == (self._settings.client_id, self.client_secret)


def basic_credentials(authorization: str) -> tuple[str, str] | None:
    """Name and secret of a Basic ``Authorization`` header (RFC 6749 §2.3.1); None where it is none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (unquote_plus(name), unquote_plus(secret)) if colon else None


def _whole(seconds: float) -> int | float:
    return int(seconds) if float(seconds).is_integer() else seconds
