"""What a worker holds of each platform: one HTTP session and one token service, for all of its streams.

With ``redis`` the token services of all workers share their tokens.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random

import aiohttp

from connector.auth.client import OwnClient
from connector.auth.oauth import OAuthClient
from connector.auth.service import TokenService
from connector.ports import Clock
from connector.settings import AuthSettings, Change, PlatformSettings, RedisSettings, Settings
from connector.tls import ClientTls, TlsFiles
from connector.worker import plans
from connector.worker.observer import Observer
from connector.worker.sessions import open_session
from connector.worker.token_sharing import TokenSharing


@dataclass(slots=True)
class PlatformClient:
    """One platform's."""

    session: aiohttp.ClientSession
    endpoint: OAuthClient
    tokens: TokenService
    running: asyncio.Task[None] | None = None

    def start(self, group: asyncio.TaskGroup) -> None:
        """Let the token service run; it asks for no token before a stream leases one."""
        self.running = group.create_task(self.tokens.run())

    async def close(self) -> None:
        """Ask for no more tokens, and close what sockets are left."""
        if self.running is not None:
            self.running.cancel()
        await self.session.close()


class PlatformClients:
    """Sessions and token services by the platform's name."""

    def __init__(self, clock: Clock, rng: Random, observer: Observer) -> None:
        self._clock = clock
        self._rng = rng
        self._observer = observer
        self._clients: dict[str, PlatformClient] = {}
        self._tls: dict[TlsFiles, ClientTls] = {}
        self._sharing: TokenSharing | None = None
        self._group: asyncio.TaskGroup | None = None

    def __getitem__(self, platform: str) -> PlatformClient:
        """The platform's client."""
        return self._clients[platform]

    async def open(self, settings: Settings, stack: AsyncExitStack) -> None:
        """Make every platform's client; the stack closes what they hold."""
        if settings.redis is not None:
            self._sharing = TokenSharing(
                settings.redis, settings.group, self._clock, self._rng, self._observer.redis_changed
            )
            stack.push_async_callback(self._sharing.close)
        stack.push_async_callback(self._close)
        for name, platform in settings.platforms.items():
            self._clients[name] = self._client(name, platform)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Let the token services run."""
        self._group = group
        if self._sharing is not None:
            self._sharing.start(group)
        for client in self._clients.values():
            client.start(group)

    def change(self, settings: Settings, change: Change) -> list[PlatformClient]:
        """Take up what has changed; returns the clients that are of no further use once their streams have left."""
        retired = [self._clients.pop(name) for name in change.closed]
        for name in change.opened:
            client = self._clients[name] = self._client(name, settings.platforms[name])
            if self._group is not None:
                client.start(self._group)
        for name in change.renewed:
            self._clients[name].endpoint.use(plans.token_grant(settings.platforms[name].auth))
        return retired

    def renew_sharing(self, settings: RedisSettings) -> None:
        """Redis is reached with other credentials from now on."""
        if self._sharing is not None:
            self._sharing.renew(settings)

    async def _close(self) -> None:
        for client in self._clients.values():
            await client.close()

    def remarks(self) -> list[str]:
        """What an operator should know of, though everything works."""
        trouble = None if self._sharing is None else self._sharing.trouble
        return [] if trouble is None else [f"tokens are not shared, Redis cannot be used: {trouble}"]

    def _tls_of(self, files: TlsFiles) -> ClientTls:
        """One context for all platforms with the same files: the system's authorities alone take most of a megabyte."""
        tls = self._tls.get(files)
        if tls is None:
            tls = self._tls[files] = ClientTls(files)
        return tls

    def _client(self, name: str, platform: PlatformSettings) -> PlatformClient:
        session, auth = open_session(self._tls_of(platform.tls.files())), platform.auth
        endpoint = OAuthClient(session, plans.token_grant(auth), self._clock, proxy_of=platform.proxy_of)
        return PlatformClient(session, endpoint, self._token_service(name, auth, endpoint))

    def _token_service(self, name: str, auth: AuthSettings, endpoint: OAuthClient) -> TokenService:
        shared = None if self._sharing is None else self._sharing.client(name, auth, endpoint)
        service = TokenService(
            OwnClient(endpoint) if shared is None else shared,
            clock=self._clock,
            rng=self._rng,
            buffer_s=auth.refresh_buffer_seconds,
            name=name,
            reissue=auth.reissue,
            on_event=self._observer.token,
        )
        if shared is not None:
            shared.listen(service.published)
        self._observer.watch_token(name, service.left_s)
        return service
