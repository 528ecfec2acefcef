"""One request to an OAuth 2.0 token endpoint (RFC 6749), and what its answer says, as facts or as a ``TokenError``.

Decides nothing: when to ask, and what the facts mean, is :mod:`connector.core.token_clock`'s. No message, repr or
log holds a secret, a token or the body of a successful answer.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal, NoReturn, Protocol
from urllib.parse import quote_plus

import aiohttp
import orjson
from yarl import URL

from connector.core.token_clock import Grant, read_claims, read_number
from connector.errors import TokenError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from connector.ports import Clock

LONGEST_ANSWER_BYTES = 1 << 20
LONGEST_DETAIL = 200
_SHORTEST_SECRET = 6  # an extra parameter's value shorter than this is not blotted out of messages

_ADVICE = {
    400: "check the grant, the scopes and the extra parameters",
    401: "check client_id, client_secret and client_auth (basic or body)",
    403: "the client lacks a permission; ask the platform's administrator",
    404: "check token_url",
    405: "check token_url",
    429: "too many token requests; retried by itself, share the token among fewer clients",
}


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What goes out: form fields and headers, and the strings that no message may repeat."""

    form: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


class GrantType(Protocol):
    """The seam for grants: a JWT bearer, say, builds a fresh assertion each time."""

    @property
    def token_url(self) -> str:
        """Where to ask."""
        ...

    def build(self) -> TokenRequest:
        """The next request."""
        ...


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The client credentials grant (RFC 6749 §4.4). ``extra`` holds further form fields, such as an audience."""

    token_url: str = field(repr=False)  # may hold userinfo
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    client_auth: Literal["basic", "body"] = "basic"
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    def build(self) -> TokenRequest:
        """Credentials by HTTP Basic, each half form-encoded first, or in the body (RFC 6749 §2.3.1)."""
        form = {"grant_type": "client_credentials", **self.extra}
        if self.scopes:
            form["scope"] = " ".join(self.scopes)
        secrets = [self.client_secret, quote_plus(self.client_secret)]
        headers = {}
        if self.client_auth == "basic":
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
            encoded = base64.b64encode(pair.encode()).decode()
            headers["Authorization"] = f"Basic {encoded}"
            secrets.append(encoded)
        else:
            form |= {"client_id": self.client_id, "client_secret": self.client_secret}
        secrets += [value for value in self.extra.values() if len(value) >= _SHORTEST_SECRET]
        return TokenRequest(form, headers, tuple(sorted(filter(None, secrets), key=len, reverse=True)))


class OAuthClient:
    """Asks one token endpoint. The session is the caller's, and so are its proxy, TLS context and closing."""

    def __init__(
        self, session: aiohttp.ClientSession, grant_type: GrantType, clock: Clock, *, timeout_s: float = 10.0
    ) -> None:
        self._session = session
        self._grant_type = grant_type
        self._clock = clock
        self._timeout_s = timeout_s
        self._where = _presentable(grant_type.token_url)

    async def request_token(self) -> Grant:
        """Ask for a token. Raises :class:`TokenError`, never anything else but ``CancelledError``.

        The error has the HTTP ``status``, None where there was no answer, and ``retry_after_s`` where it said when.
        """
        request = self._grant_type.build()
        sent_at_s = self._clock.now()
        try:
            async with asyncio.timeout(self._timeout_s), self._post(request) as response:
                body = await _read_bounded(response)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            # Without the cause: its message may repeat the URL with userinfo or query, or a header.
            raise TokenError(_scrub(self._network_message(error), request.secrets)) from None
        if not 200 <= response.status < 300:  # noqa: PLR2004 - HTTP's success class
            self._refused(response, body, request.secrets)
        return self._read_grant(response, body, sent_at_s)

    def _post(self, request: TokenRequest) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        # A redirect is refused: following it would carry the credentials elsewhere.
        return self._session.post(
            self._grant_type.token_url,
            data=request.form,
            headers={"Accept": "application/json", **request.headers},
            timeout=aiohttp.ClientTimeout(total=None),  # asyncio.timeout, around the body too, is the one limit
            allow_redirects=False,
        )

    def _network_message(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"{self._where} gave no answer within {self._timeout_s:g} s; check network, proxy and firewall"
        if isinstance(error, aiohttp.ClientSSLError):
            return f"TLS with {self._where} failed ({error}); check the host name and the trusted certificates"
        if isinstance(error, aiohttp.ClientConnectorError):
            return f"cannot reach {self._where} ({error.os_error}); check token_url, DNS, proxy and firewall"
        return f"the request to {self._where} failed ({type(error).__name__}); check token_url, proxy and firewall"

    def _refused(self, response: aiohttp.ClientResponse, body: bytes, secrets: tuple[str, ...]) -> NoReturn:
        status = response.status
        advice = _ADVICE.get(status, "the endpoint is in trouble; retried by itself")
        if 300 <= status < 400:  # noqa: PLR2004 - HTTP's redirections
            target = response.url.join(URL(response.headers.get("Location", "")))
            advice = f"it redirects to {_presentable(str(target))}; check token_url"
        detail = _scrub(_error_detail(body), secrets)[:LONGEST_DETAIL]
        message = f"{self._where} answered {status}{f' ({detail})' if detail else ''}; {advice}"
        retry_after_s = read_retry_after(response.headers.get("Retry-After"), response.headers.get("Date"))
        raise TokenError(message, status=status, retry_after_s=retry_after_s)

    def _read_grant(self, response: aiohttp.ClientResponse, body: bytes, sent_at_s: float) -> Grant:
        try:
            answer = orjson.loads(body)
        except ValueError:
            raise self._unusable(response, "its body is not JSON") from None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise self._unusable(response, "there is no access_token in it")
        if not token.isascii() or not token.isprintable() or " " in token:  # RFC 6750 §2.1
            raise self._unusable(response, "its access_token cannot be sent in a header")
        exp_s, iat_s = read_claims(token)
        expires_in_s = read_number(answer.get("expires_in"))
        date_s = read_http_date(response.headers.get("Date"))
        age_s = read_number(response.headers.get("Age")) or 0.0  # out of an HTTP cache (RFC 9111 §5.1)
        if expires_in_s is not None and expires_in_s > age_s:
            expires_in_s -= age_s
        return Grant(token, sent_at_s, expires_in_s, None if date_s is None else date_s + age_s, exp_s, iat_s)

    def _unusable(self, response: aiohttp.ClientResponse, why: str) -> TokenError:
        message = (
            f"{self._where} answered {response.status}, but {why}; check token_url (is it a login page or a proxy?)"
        )
        return TokenError(message, status=response.status)


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > LONGEST_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError
    return bytes(body)


def read_http_date(text: str | None) -> float | None:
    """An HTTP-date (RFC 9110 §5.6.7) in seconds since the epoch; None where there is none to read."""
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def read_retry_after(text: str | None, date: str | None) -> float | None:
    """Seconds to wait by Retry-After (RFC 9110 §10.2.3); a date counts from the answer's own Date, never our clock."""
    if text is None:
        return None
    seconds = read_number(text)
    if seconds is not None:
        return seconds
    until_s, date_s = read_http_date(text), read_http_date(date)
    return None if until_s is None or date_s is None else max(0.0, until_s - date_s)


def _error_detail(body: bytes) -> str:
    """``error: error_description`` of an error answer (RFC 6749 §5.2), or nothing."""
    try:
        answer = orjson.loads(body)
    except ValueError:
        return ""
    found = [answer.get(name) for name in ("error", "error_description")] if isinstance(answer, dict) else []
    return "".join(c if c.isprintable() else " " for c in ": ".join(text for text in found if isinstance(text, str)))


def _scrub(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _presentable(url: str) -> str:
    """The URL without userinfo, query and fragment."""
    try:
        return str(URL(url).with_user(None).with_query(None).with_fragment(None))
    except ValueError:
        return "token_url"
