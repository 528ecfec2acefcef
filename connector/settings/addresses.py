"""URLs, addresses, names and pointers in the configuration. A refusal is a ValueError that repeats no value."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

_MAX_PORT = 65535


def check_url(url: str, schemes: tuple[str, ...]) -> SplitResult:
    """The parts of a URL with one of these schemes. Raises ValueError, without the URL."""
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("should be a URL with a valid host and port") from None
    if parts.scheme.lower() not in schemes or not parts.hostname or port == 0:
        raise ValueError(f"should be a URL that begins with {wanted} and has a host")
    return parts


def _endpoint(url: str, schemes: tuple[str, ...]) -> str:
    parts = check_url(url, schemes)
    if parts.username is not None or parts.password is not None:
        raise ValueError("should hold no user or password; use auth or headers")
    if parts.fragment or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise ValueError("should have no fragment, white space or control character")
    return url


def _http_url(url: str) -> str:
    return _endpoint(url, ("https", "http"))


def _stream_url(url: str) -> str:
    rest = _endpoint(url, ("wss", "ws")).replace("{channel}", "")
    if "{" in rest or "}" in rest:
        raise ValueError("should have no other placeholder than {channel}")
    if "{channel}" in urlsplit(url).netloc:
        raise ValueError("should have {channel} in the path or the query only")
    return url


def redis_url(url: str) -> str:
    """Accept ``redis://``, ``rediss://`` (TLS) and ``unix://``; raises ValueError, without the URL."""
    if not url.startswith("unix:///"):
        check_url(url, ("rediss", "redis"))
    if urlsplit(url).query:
        raise ValueError("should have no query; use the other keys of this section")
    return url


def _pointer(text: str) -> str:
    """RFC 6901: empty, or tokens that begin with a slash, in which ``~`` is written ``~0`` and ``/`` ``~1``."""
    if not re.fullmatch(r"(/([^~/]|~[01])*)*", text):
        raise ValueError("should be a JSON pointer (RFC 6901) such as /conversationId")
    if not text:
        raise ValueError("should point into the event, not at the whole of it")
    return text


def _topic(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name) or name in {".", ".."}:
        raise ValueError("should be a legal topic name: 1 to 249 of letters, digits, dot, underscore, hyphen")
    return name


def _name(name: str) -> str:
    """A name that is part of `ce_source`, of URLs and of metrics, and cannot be taken for a key like ``$lanes``."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._~:@+-]{0,199}", name):
        raise ValueError("should be a name: 1 to 200 of letters, digits and . _ ~ : @ + -, a letter or digit first")
    return name


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``; port 0 lets the system choose. Raises ValueError."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]/]+):(\d{1,5})", address)
    if match is None or int(match[2]) > _MAX_PORT:
        raise ValueError("should be HOST:PORT, an IPv6 address in brackets")
    return match[1].strip("[]"), int(match[2])


def _listen(address: str) -> str:
    split_address(address)
    return address


HttpUrl = Annotated[str, AfterValidator(_http_url)]
StreamUrl = Annotated[str, AfterValidator(_stream_url)]
JsonPointer = Annotated[str, AfterValidator(_pointer)]
TopicName = Annotated[str, AfterValidator(_topic)]
Listen = Annotated[str, AfterValidator(_listen)]
Name = Annotated[str, AfterValidator(_name)]
NonEmpty = Annotated[str, Field(min_length=1)]
