"""What the answers of an OAuth server say: tokens, refusals, dates, the token endpoint. Pure.

No message, repr or log holds a secret, a token or the body of a successful answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from yarl import URL

from connector.core.http_fields import read_http_date, read_retry_after
from connector.core.token_clock import Grant, read_claims, read_number
from connector.errors import TokenError

LONGEST_DETAIL = 200


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer as it came. ``setting`` names the setting by which it was asked; ``sent_at_s`` is on our clock."""

    url: str = field(repr=False)
    setting: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    sent_at_s: float

    @property
    def succeeded(self) -> bool:
        """HTTP's success class."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP

    @property
    def age_s(self) -> float:
        """Seconds it spent in an HTTP cache (RFC 9111 §5.1)."""
        return read_number(self.headers.get("Age")) or 0.0

    @property
    def date_s(self) -> float | None:
        """The server's clock when the answer was sent to us, rounded down to a second."""
        date_s = read_http_date(self.headers.get("Date"))
        return None if date_s is None else date_s + self.age_s

    @property
    def error(self) -> str | None:
        """The ``error`` of RFC 6749 §5.2."""
        found = self.json_object().get("error")
        return found if isinstance(found, str) else None

    def json_object(self) -> dict[str, Any]:
        """The body's JSON object; empty where there is none."""
        try:
            answer = orjson.loads(self.body)
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}

    def unusable(self, why: str) -> TokenError:
        """The error of an answer with a good status and nothing good in it."""
        message = f"{presentable(self.url)} answered {self.status}, but {why}; check {self.setting}"
        return TokenError(f"{message} (is it a login page or a proxy?)", status=self.status)


def read_grant(answer: HttpAnswer) -> Grant:
    """The token of a successful answer (RFC 6749 §5.1). Raises :class:`TokenError` where there is none to use."""
    try:
        orjson.loads(answer.body)
    except ValueError:
        raise answer.unusable("its body is not JSON") from None
    body = answer.json_object()
    token = body.get("access_token")
    if not isinstance(token, str) or not token:
        raise answer.unusable("there is no access_token in it")
    if not token.isascii() or not token.isprintable() or " " in token:  # RFC 6750 §2.1
        raise answer.unusable("its access_token cannot be sent in a header")
    exp_s, iat_s = read_claims(token)
    expires_in_s = read_number(body.get("expires_in"))
    if expires_in_s is not None and expires_in_s > answer.age_s:
        expires_in_s -= answer.age_s
    return Grant(token, answer.sent_at_s, expires_in_s, answer.date_s, exp_s, iat_s)


def read_token_endpoint(answer: HttpAnswer) -> str:
    """``token_endpoint`` of a discovery document (OpenID Connect Discovery 1.0 §3). Raises :class:`TokenError`."""
    found = answer.json_object().get("token_endpoint")
    try:
        url = URL(found if isinstance(found, str) else "")
        usable = url.scheme in ("https", "http") and bool(url.host) and url.user is None and url.password is None
    except ValueError:
        raise answer.unusable("its token_endpoint is not a URL") from None
    if not usable:
        raise answer.unusable("there is no usable token_endpoint in it")
    if url.scheme == "http" and URL(answer.url).scheme == "https":
        raise answer.unusable("its token_endpoint would have the credentials sent in clear text")
    return str(url)


def refusal(answer: HttpAnswer, advice: Mapping[int, str], secrets: tuple[str, ...] = ()) -> TokenError:
    """The error of an answer that is no success: what was said, scrubbed and cut, and what to do."""
    setting = answer.setting
    general = {
        403: "the client lacks a permission; ask the platform's administrator",
        404: f"check {setting}",
        405: f"check {setting}",
        429: "too many token requests; retried by itself, share the token among fewer clients",
    }
    hint = (general | dict(advice)).get(answer.status, "the endpoint is in trouble; retried by itself")
    if 300 <= answer.status < 400:  # noqa: PLR2004 - HTTP's redirections
        hint = f"it redirects to {_target(answer)}; check {setting}"
    detail = scrub(_detail(answer), secrets)[:LONGEST_DETAIL]
    message = f"{presentable(answer.url)} answered {answer.status}{f' ({detail})' if detail else ''}; {hint}"
    retry_after_s = read_retry_after(answer.headers.get("Retry-After"), answer.headers.get("Date"))
    return TokenError(message, status=answer.status, retry_after_s=retry_after_s)


def scrub(text: str, secrets: tuple[str, ...]) -> str:
    """The text without the secrets."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def presentable(url: str) -> str:
    """The URL without userinfo, query and fragment."""
    try:
        return str(URL(url).with_user(None).with_query(None).with_fragment(None))
    except ValueError:
        return "token_url"


def _target(answer: HttpAnswer) -> str:
    try:
        return presentable(str(URL(answer.url).join(URL(answer.headers.get("Location", "")))))
    except ValueError:
        return "an address that is none"


def _detail(answer: HttpAnswer) -> str:
    """``error: error_description`` of an error answer (RFC 6749 §5.2), or nothing."""
    body = answer.json_object()
    found = [body.get(name) for name in ("error", "error_description")]
    return "".join(c if c.isprintable() else " " for c in ": ".join(text for text in found if isinstance(text, str)))
