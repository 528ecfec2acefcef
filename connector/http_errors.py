"""What a failed HTTP request means, in a sentence for the operator: what happened, where, what to check.

aiohttp's own messages repeat URLs, which may hold secrets: no text of its goes into these.
"""

from __future__ import annotations

import ssl

import aiohttp

_CAUSES: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((TimeoutError,), "timeout"),
    ((aiohttp.ClientHttpProxyError, aiohttp.ClientProxyConnectionError), "proxy"),
    ((aiohttp.ClientConnectorDNSError,), "dns"),
    ((aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError, ssl.SSLError), "tls"),
    ((aiohttp.ClientConnectorError,), "connect"),
    ((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, OSError), "reset"),
)
"""The first that fits: some of them are others' subclasses."""


def explain(error: Exception, where: str, setting: str) -> str:
    """``where``: a presentable URL; ``setting``: the one that names it."""
    match error:
        case aiohttp.ClientHttpProxyError():
            return f"the proxy to {where} answered {error.status}; check the proxy's address and credentials"
        case aiohttp.ClientProxyConnectionError():
            return f"cannot reach the proxy to {where} ({error.os_error}); check proxy, HTTPS_PROXY and DNS"
        case aiohttp.ClientConnectorCertificateError():
            told = getattr(error.certificate_error, "verify_message", "") or "not accepted"
            return f"TLS with {where} failed: its certificate: {told}; check the host name and tls.ca_file"
        case aiohttp.ClientSSLError():
            told = getattr(error.os_error, "reason", None) or "no common protocol"
            return f"TLS with {where} failed ({told}); check {setting} and tls"
        case aiohttp.ClientConnectorError():
            return f"cannot reach {where} ({error.os_error}); check {setting}, DNS, proxy and firewall"
        case _:
            return f"the request to {where} failed ({type(error).__name__}); check {setting}, proxy and firewall"


def cause_of(error: Exception) -> str:
    """The class of a failure, as :class:`connector.model.DialFailure` has it."""
    return next((cause for kinds, cause in _CAUSES if isinstance(error, kinds)), "protocol")
