"""HTTP sessions: one a platform, for its tokens, its streams and its snapshots."""

from __future__ import annotations

import aiohttp

from connector.tls import ClientTls

_ADDRESS_KEPT_S = 1
"""Streams that dial at the same time ask once; who dials again finds a platform that has moved."""


def open_session(tls: ClientTls) -> aiohttp.ClientSession:
    """A session with the platform's TLS. Proxies are given with each request (``settings.reach``).

    ``trust_env`` stays off: aiohttp would look for a proxy of ``wss://`` in WSS_PROXY only, and mix the user's
    ``.netrc`` into requests that carry a token.
    """

    async def connecting(*_: object) -> None:
        tls.refresh()

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_start.append(connecting)
    connector = aiohttp.TCPConnector(limit=0, ssl=tls.context, ttl_dns_cache=_ADDRESS_KEPT_S)
    return aiohttp.ClientSession(connector=connector, trace_configs=[tracing])
