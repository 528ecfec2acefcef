"""Prerequisites of one platform: its addresses, a token, each stream's handshake, the snapshot.

A socket that opens is closed with 1000 at once, at the present position: nothing is read, nobody's position moves.
What would disturb a bridge that runs is left out while one does, or may: a token of a platform that revokes the former
one, a second socket where only one is allowed.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
from yarl import URL

from connector.auth.oauth import OAuthClient
from connector.clock import BootClock
from connector.core.channels import Channels
from connector.core.finding import Finding, fails, ok, skipped
from connector.core.token_clock import lifetime_s
from connector.errors import DialError, TokenError
from connector.model import FailureKind, Lapse, Token
from connector.ports import Closed
from connector.settings import AnyPlatform, NotificationsSettings, SequenceSettings, StreamSettings
from connector.tls import ClientTls
from connector.worker import adapters, plans
from connector.worker.sessions import open_session

_CONNECT_S = 10.0
_SETTLED_S = 0.5  # a platform that does not want the socket says so at once
_AT_ONCE = 20
_LOOK_BACK_MS = 60_000
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}

_TOKEN_MENDS = {
    400: "check auth.grant, auth.scopes and the credentials",
    401: "check auth.client_id, auth.client_secret and auth.client_auth",
    403: "let the platform's administrator allow this client the grant and auth.scopes",
    429: "wait; share the token among fewer clients",
}
_DIAL_MENDS = {
    FailureKind.UNAUTHORIZED: "the token is not accepted: check that token_url and stream_url are of one organisation, "
    "and the token's audience",
    FailureKind.FORBIDDEN: "the token is good, a permission or scope is lacking: check auth.scopes, and let the "
    "platform's administrator grant the client what the channel needs",
    FailureKind.THROTTLED: "wait; the platform limits how often sockets are opened",
    FailureKind.REJECTED: "check stream_url and the stream's channel, or what it subscribes; 409 means that no further "
    "socket is allowed",
    FailureKind.NETWORK: "check network, proxy and firewall; a 5xx is the platform's own trouble",
}


class PlatformCheck:
    """One platform and its streams. ``in_service``: whether a bridge runs with this configuration; None: unknown."""

    def __init__(
        self, name: str, platform: AnyPlatform, streams: list[StreamSettings], *, in_service: bool | None
    ) -> None:
        self._name = name
        self._platform = platform
        self._streams = streams
        self._in_service = in_service
        self._clock = BootClock()
        self._channels = Channels()  # one is enough for all streams, one after the other

    async def run(self) -> list[Finding]:
        """Every prerequisite, in the order in which they depend on each other."""
        findings = [finding async for finding in self._addresses()]
        async with open_session(ClientTls(self._platform.tls.files())) as session:
            finding, token = await self._token(session)
            findings.append(finding)
            if token is None:
                return [*findings, skipped(self._title("handshakes, snapshot"), "no token")]
            limit = asyncio.Semaphore(1 if isinstance(self._platform, NotificationsSettings) else _AT_ONCE)
            dials = [self._handshake(session, token, stream, limit) for stream in self._streams]
            findings += await asyncio.gather(*dials)
            if self._platform.has_snapshot and self._streams:
                findings.append(await self._snapshot(session, token))
        return findings

    # ------------------------------------------------------------------ addresses

    async def _addresses(self) -> AsyncIterator[Finding]:
        platform = self._platform
        urls = {
            "auth.token_url": platform.auth.token_url,
            "auth.issuer_url": platform.auth.issuer_url,
            **platform.addresses,
        }
        seen = set()
        for setting, text in urls.items():
            if text is None:
                continue
            url = URL(text)
            place = (url.host or "", url.port or _PORTS[url.scheme], url.scheme in ("https", "wss"))
            if place in seen:
                continue
            seen.add(place)
            title = self._title(f"address of {setting}")
            if platform.proxy_of(text) is not None:
                yield skipped(title, f"{place[0]} is reached by a proxy; the requests below tell")
            else:
                yield await self._connect(title, setting, *place)

    async def _connect(self, title: str, setting: str, host: str, port: int, secure: bool) -> Finding:  # noqa: FBT001 - private
        """Name, TCP and TLS, in one connection."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await loop.getaddrinfo(host, port)
        except (OSError, TimeoutError) as error:
            return fails(title, f"{host} has no address ({error})", f"check the name in {setting}, and DNS")
        context = ClientTls(self._platform.tls.files()).context if secure else None
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, writer = await asyncio.open_connection(host, port, ssl=context)
        except ssl.SSLCertVerificationError as error:
            mend = "check the name and tls.ca_file; a proxy that opens TLS shows a certificate of its own"
            return fails(title, f"TLS: the certificate of {host}: {error.verify_message}", mend)
        except ssl.SSLError as error:
            mend = f"check the scheme and port of {setting}, and tls"
            return fails(title, f"TLS with {host}:{port}: {error.reason}", mend)
        except (OSError, TimeoutError) as error:
            told = f"{host}:{port} does not answer ({error or 'no connection in time'})"
            return fails(title, told, f"check {setting}, proxy and firewall")
        secured = writer.get_extra_info("ssl_object")
        writer.close()
        with suppress(OSError, ssl.SSLError):
            await writer.wait_closed()
        return ok(title, f"{host}:{port}, {'without TLS' if secured is None else secured.version()}")

    # ------------------------------------------------------------------ token, sockets, snapshot

    async def _token(self, session: aiohttp.ClientSession) -> tuple[Finding, Token | None]:
        platform, title = self._platform, self._title("token")
        if platform.auth.reissue == "revokes" and self._in_service is not False:
            return skipped(title, "it would revoke that of a bridge that runs (auth.reissue: revokes)"), None
        client = OAuthClient(session, plans.token_grant(platform.auth), self._clock, proxy_of=platform.proxy_of)
        try:
            grant = await client.request_token()
        except TokenError as error:
            mend = _TOKEN_MENDS.get(error.status or 0, "check network, proxy and firewall, and ask the platform")
            return fails(title, str(error), mend), None
        life_s = lifetime_s(grant)
        token = Token(grant.token, generation=1, issued_at_s=grant.sent_at_s, expires_at_s=None, buffer_s=0.0)
        return ok(title, "granted" if life_s is None else f"granted, lives for {life_s:.0f} s"), token

    async def _handshake(
        self, session: aiohttp.ClientSession, token: Token, stream: StreamSettings, limit: asyncio.Semaphore
    ) -> Finding:
        title = f"streams.{stream.name}: handshake"
        sequential = isinstance(self._platform, SequenceSettings) and self._platform.handover == "sequential"
        if sequential and self._in_service is not False:
            return skipped(title, "the platform allows one socket, which the bridge that runs may have")
        source = adapters.source(self._platform, stream, session, self._clock, self._channels)
        async with limit:
            try:
                socket = await source.dial(token, None, _CONNECT_S)
            except DialError as error:
                return fails(title, str(error), _DIAL_MENDS.get(error.failure.kind, "ask the platform"))
            try:
                async with asyncio.timeout(_SETTLED_S):
                    first = await socket.receive()
            except TimeoutError:
                first = b""
            await socket.close(1000, "check")
        if isinstance(first, Closed):
            reason = f"closed at once with {first.code} {first.reason}".rstrip()
            return fails(title, reason, "ask the platform what this code means; check auth.scopes and the channel")
        return ok(title, "opened, and closed with 1000")

    async def _snapshot(self, session: aiohttp.ClientSession, token: Token) -> Finding:
        title = self._title("snapshot")
        source = adapters.source(self._platform, self._streams[0], session, self._clock, self._channels)
        now_ms = time.time_ns() // 1_000_000
        try:
            snapshot = await source.snapshot(token, Lapse(now_ms - _LOOK_BACK_MS, now_ms))
        except DialError as error:
            return fails(title, str(error), "check snapshot_url and position.field, and the client's permissions")
        if snapshot is None:
            return skipped(title, "the platform has none")
        told = f"position {snapshot.position}, {len(snapshot)} conversations"
        snapshot.close()
        return ok(title, told)

    def _title(self, what: str) -> str:
        return f"platforms.{self._name}: {what}"
