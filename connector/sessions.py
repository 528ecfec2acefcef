"""HTTP sessions: one a platform, for its tokens, its streams and its snapshots."""

from __future__ import annotations

import aiohttp

from connector.tls import ClientTls, TlsFiles


def open_session(files: TlsFiles) -> aiohttp.ClientSession:
    """A session with the platform's TLS files. Proxies are given with each request (``settings.reach``).

    ``trust_env`` stays off: aiohttp would look for a proxy of ``wss://`` in WSS_PROXY only, and mix the user's
    ``.netrc`` into requests that carry a token.
    """
    tls = ClientTls(files)

    async def connecting(*_: object) -> None:
        tls.refresh()

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_start.append(connecting)
    connector = aiohttp.TCPConnector(limit=0, ssl=tls.context)
    return aiohttp.ClientSession(connector=connector, trace_configs=[tracing])
