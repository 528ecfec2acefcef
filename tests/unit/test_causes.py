"""What ended a dial or a socket, as a label with few values."""

from __future__ import annotations

import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from connector.core.sockets import ending
from connector.http_errors import cause_of
from connector.model import DialFailure, FailureKind

_KEY = ConnectionKey("h", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)
_ERRORS: list[tuple[Exception, str]] = [
    (aiohttp.ClientConnectorDNSError(_KEY, socket.gaierror(-2, "Name or service not known")), "dns"),
    (aiohttp.ClientConnectorError(_KEY, OSError(111, "refused")), "connect"),
    (aiohttp.ClientProxyConnectionError(_KEY, OSError(111, "refused")), "proxy"),
    (aiohttp.ClientConnectorSSLError(_KEY, OSError(0, "TLS")), "tls"),
    (ssl.SSLError("x"), "tls"),
    (TimeoutError(), "timeout"),
    (aiohttp.ConnectionTimeoutError(), "timeout"),
    (aiohttp.ServerDisconnectedError(), "reset"),
    (ConnectionResetError(), "reset"),
    (aiohttp.ClientPayloadError(), "protocol"),
    (ValueError(), "protocol"),
]


@pytest.mark.parametrize(("error", "cause"), _ERRORS, ids=[type(error).__name__ for error, _ in _ERRORS])
def test_failed_dials_are_told_apart(error: Exception, cause: str) -> None:
    """By what an operator has to look at."""
    assert cause_of(error) == cause


def test_answers_count_by_their_class() -> None:
    """An HTTP answer is no network failure to be looked for elsewhere."""
    assert DialFailure(FailureKind.NETWORK, "busy", 503).trouble.cause == "handshake_5xx"
    assert DialFailure(FailureKind.NETWORK, "no such host", cause="dns").trouble.cause == "dns"


@pytest.mark.parametrize(
    ("code", "reason", "cause"),
    [
        (1000, "", "close_normal"),
        (1001, "going away", "close_normal"),
        (1006, "", "reset"),
        (1006, "silent", "silence"),
        (1011, "", "close_1xxx"),
        (3000, "", "close_3xxx"),
        (4999, "", "close_4xxx"),
        (65535, "", "close_4xxx"),
    ],
)
def test_ends_are_told_apart(code: int, reason: str, cause: str) -> None:
    """Whatever number a peer sends, the labels stay few."""
    assert ending(code, reason).cause == cause
