"""What a worker holds of each platform: one HTTP session and one token service, for all of its streams."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random

import aiohttp

from connector import plans
from connector.auth.oauth import OAuthClient
from connector.auth.service import TokenService
from connector.observer import Observer
from connector.ports import Clock
from connector.sessions import open_session
from connector.settings import PlatformSettings, Settings


@dataclass(frozen=True, slots=True)
class PlatformClient:
    """One platform's."""

    session: aiohttp.ClientSession
    tokens: TokenService


class PlatformClients:
    """Sessions and token services by the platform's name."""

    def __init__(self, clock: Clock, rng: Random, observer: Observer) -> None:
        self._clock = clock
        self._rng = rng
        self._observer = observer
        self._clients: dict[str, PlatformClient] = {}

    def __getitem__(self, platform: str) -> PlatformClient:
        """The platform's client."""
        return self._clients[platform]

    async def open(self, settings: Settings, stack: AsyncExitStack) -> None:
        """Make every platform's client; the stack closes the sessions."""
        for name, platform in settings.platforms.items():
            session = await stack.enter_async_context(open_session(platform.tls.files()))
            self._clients[name] = PlatformClient(session, self._token_service(name, platform, session))

    def start(self, group: asyncio.TaskGroup) -> None:
        """Let the token services run; none asks for a token before a stream leases one."""
        for client in self._clients.values():
            group.create_task(client.tokens.run())

    def _token_service(self, name: str, platform: PlatformSettings, session: aiohttp.ClientSession) -> TokenService:
        return TokenService(
            OAuthClient(session, plans.token_grant(platform.auth), self._clock, proxy_of=platform.proxy_of),
            clock=self._clock,
            rng=self._rng,
            buffer_s=platform.auth.refresh_buffer_seconds,
            name=name,
            reissue=platform.auth.reissue,
            on_event=self._observer.token,
        )
