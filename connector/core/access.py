"""Who may ask the HTTP listener for what. Pure: facts of a request in, a refusal or nothing out.

A listener is *guarded* by tokens, or by client certificates, or it is *open*: on loopback, for whoever is on this
machine. A browser on this machine is the open listener's danger: anybody's page could post to it (CSRF), or be served
under a name that is then pointed to loopback (DNS rebinding). Hence the looks at Host, Origin and Sec-Fetch-Site.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from dataclasses import dataclass, field
from enum import IntEnum
from urllib.parse import urlsplit

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = frozenset({"same-origin", "none"})
FORBIDDEN, UNAUTHORIZED = 403, 401


class Role(IntEnum):
    """What somebody may do; each may what the former may."""

    NOBODY = 0
    READER = 1
    OPERATOR = 2


@dataclass(frozen=True, slots=True)
class Guard:
    """What keeps a listener. ``certified``: TLS has asked for a client certificate already."""

    token: str | None = field(default=None, repr=False)
    read_token: str | None = field(default=None, repr=False)
    certified: bool = False

    @property
    def by_token(self) -> bool:
        """Whether a request must show a token."""
        return self.token is not None or self.read_token is not None

    @property
    def is_open(self) -> bool:
        """Whether nothing but being on this machine is asked."""
        return not self.by_token and not self.certified


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as access goes: its method and headers."""

    method: str
    host: str
    origin: str | None = None
    fetch_site: str | None = None
    authorization: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP status, and a sentence that says what to do."""

    status: int
    message: str


def refused(guard: Guard, asked: Asked) -> Refusal | None:
    """Why a request is refused; None: it is let in."""
    if guard.is_open and not is_loopback(_host_name(asked.host)):
        return Refusal(FORBIDDEN, "this listener answers to names of loopback only, such as 127.0.0.1 and localhost")
    changes = asked.method not in _SAFE_METHODS
    if changes and _from_another_site(asked):
        return Refusal(FORBIDDEN, "a page of another site may not change anything here")
    role = _role(guard, asked.authorization)
    if role is Role.NOBODY:
        return Refusal(UNAUTHORIZED, "a token is needed: as a bearer token, or as the password of Basic authentication")
    if changes and role < Role.OPERATOR:
        return Refusal(FORBIDDEN, "this token may read only; changes need the operators' token (http.token)")
    return None


def _role(guard: Guard, authorization: str | None) -> Role:
    if not guard.by_token:
        return Role.OPERATOR
    shown = _credential(authorization).encode()
    # both are always compared: how long it takes tells nothing
    operator, reader = (
        token is not None and hmac.compare_digest(token.encode(), shown) for token in (guard.token, guard.read_token)
    )
    return Role.OPERATOR if operator else Role.READER if reader else Role.NOBODY


def _credential(authorization: str | None) -> str:
    """The token in an Authorization header; empty where there is none."""
    scheme, _, value = (authorization or "").partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _from_another_site(asked: Asked) -> bool:
    """Whether a browser says that a page from elsewhere sent this (Fetch Metadata; Origin, RFC 6454)."""
    if asked.fetch_site is not None and asked.fetch_site.lower() not in _OWN_SITES:
        return True
    return asked.origin is not None and _netloc(asked.origin) != asked.host.lower()


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _host_name(host: str) -> str:
    """``Host`` without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host name or address (IPv6 with or without brackets) is this machine itself."""
    name = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
