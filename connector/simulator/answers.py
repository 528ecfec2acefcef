"""HTTP answers as values, and what a token endpoint answers. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from connector.simulator.faults import TokenTrouble
from connector.simulator.tokens import IssuedToken, Refused

_GARBAGE = "<html><body><h1>Welcome</h1></body></html>"
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; ``body`` is sent as JSON, or as HTML where it is text; None: there is none."""

    status: int
    body: dict[str, Any] | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def token_reply(found: tuple[IssuedToken, dict[str, Any]] | Refused) -> Answer:
    """The answer to an undisturbed token request (RFC 6749 §5)."""
    if not isinstance(found, Refused):
        return Answer(200, found[1], _NO_STORE)
    headers = dict(_NO_STORE)
    if found.retry_after_s is not None:
        headers["Retry-After"] = str(found.retry_after_s)
    if found.status == 401:  # noqa: PLR2004 - HTTP
        headers["WWW-Authenticate"] = 'Basic realm="simulator"'
    return Answer(found.status, {"error": found.error, "error_description": found.description}, headers)


def troubled_reply(trouble: TokenTrouble, platform_now_s: float) -> Answer | None:
    """The answer of a token endpoint in trouble; None where it is only slow."""
    if trouble.kind == "slow":
        return None
    headers = dict(_NO_STORE)
    wait_s = trouble.retry_after_s
    if wait_s is None and trouble.kind == "429":
        wait_s = 1.0
    if wait_s is not None:
        date = formatdate(platform_now_s + wait_s, usegmt=True)
        headers["Retry-After"] = date if trouble.http_date else str(math.ceil(wait_s))
    if trouble.kind == "401":
        headers["WWW-Authenticate"] = 'Basic realm="simulator"'
    answers = {
        "429": Answer(429, {"error": "rate_limited"}, headers),
        "invalid_grant": Answer(400, {"error": "invalid_grant"}, headers),
        "401": Answer(401, {"error": "invalid_client"}, headers),
        "500": Answer(500, {"error": "server_error"}, headers),
        "garbage": Answer(200, _GARBAGE, headers),
    }
    return answers[trouble.kind]
