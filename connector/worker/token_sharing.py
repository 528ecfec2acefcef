"""Builds what workers share tokens with: one line to Redis, and each platform's OAuth client behind it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from random import Random

from redis.exceptions import RedisError

from connector.auth.client import Endpoint
from connector.auth.redis_link import RedisLink, renew_client
from connector.auth.sealing import Seal
from connector.auth.sharing import SharedClient
from connector.auth.token_store import TokenStore, token_keys
from connector.ports import Clock
from connector.settings import AuthSettings, RedisSettings
from connector.settings.redis import decode_key
from connector.worker import plans


class TokenSharing:
    """A worker's. ``on_change``: Redis can be used, or no more."""

    def __init__(
        self, settings: RedisSettings, group: str, clock: Clock, rng: Random, on_change: Callable[[bool], None]
    ) -> None:
        self._group = group
        self._clock = clock
        self._rng = rng
        self._worker = secrets.token_hex(8)
        self._key = None if settings.encryption_key is None else decode_key(settings.encryption_key.get_secret_value())
        self._redis = plans.redis(settings).client()
        self._link = RedisLink(self._redis, clock, rng, f"{group}:token:probe", on_change)

    @property
    def trouble(self) -> str | None:
        """Why tokens are not shared now; None while they are."""
        return self._link.trouble

    def client(self, platform: str, auth: AuthSettings, endpoint: Endpoint) -> SharedClient:
        """The platform's OAuth client, shared."""
        facts, hidden = plans.token_facts(auth)
        keys = token_keys(self._group, facts, hidden, self._key or b"")
        store = TokenStore(self._link, keys, Seal(self._key), f"{self._worker}/{platform}", plans.credential(auth))
        client = SharedClient(endpoint, store, self._clock, self._rng)
        self._link.listen(keys.token, client.published)
        return client

    def start(self, group: asyncio.TaskGroup) -> None:
        """Keep the line up, as long as the group lives."""
        group.create_task(self._link.run())

    def renew(self, settings: RedisSettings) -> None:
        """New connections use these credentials; those that are open stay as long as Redis lets them."""
        renew_client(self._redis, plans.redis(settings))

    async def close(self) -> None:
        """Let go of the connections."""
        with suppress(RedisError, OSError):
            await self._redis.aclose()
