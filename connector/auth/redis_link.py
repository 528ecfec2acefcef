"""The worker's line to Redis: every call is bounded, and while Redis is away none is made.

One task keeps a subscription open and looks after it. Its silence, or the failure of a call, takes the line down; a
probe that writes brings it up again, so that a replica without a master or a user without permissions is no Redis.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from connector.core.sharing import probe_in_s
from connector.errors import SharingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from redis.asyncio.client import PubSub

    from connector.ports import Clock

CALL_S = 0.5  # the longest that anything waits for Redis
_SETTLE_S = 1.0  # how long a worker that starts waits to know whether there is a Redis
_LOOK_S = 2.0  # a subscription that is silent for so long is asked whether it lives
_PROBE = "return redis.call('SET', KEYS[1], '', 'PX', 1000)"

_log = structlog.get_logger("connector.redis")


@dataclass(frozen=True, slots=True)
class RedisPlan:
    """Where Redis is. ``url`` may hold user and password; ``password`` is for where it does not."""

    url: str = field(repr=False)
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    def client(self) -> Redis:
        """A client that connects when it is used, and tries once more at once where a connection was stale."""
        options: dict[str, Any] = {} if self.password is None else {"password": self.password}
        if self.ca_file is not None:
            options["ssl_ca_certs"] = self.ca_file
        return Redis.from_url(
            self.url,
            protocol=2,  # the same since Redis 2; the third adds a handshake that not every server knows
            socket_timeout=CALL_S,
            socket_connect_timeout=CALL_S,
            retry=Retry(NoBackoff(), 1),
            **options,
        )


def renew_client(client: Redis, plan: RedisPlan) -> None:
    """Let a client's new connections go where, and with what credentials, the plan says."""
    client.connection_pool.connection_kwargs.update(plan.client().connection_pool.connection_kwargs)


class RedisLink:
    """Shared by all token services of a worker. ``run`` must be running; ``on_change`` is told: True: up."""

    def __init__(
        self, client: Redis, clock: Clock, rng: Random, probe_key: str, on_change: Callable[[bool], None]
    ) -> None:
        self._client = client
        self._clock = clock
        self._rng = rng
        self._probe_key = probe_key
        self._on_change = on_change
        self._listeners: dict[str, list[Callable[[str], None]]] = {}
        self._settled = asyncio.Event()
        self._failures = 0
        self.trouble: str | None = "not connected yet"
        """Why Redis cannot be used, for the operator; None while it can."""

    def listen(self, channel: str, callback: Callable[[str], None]) -> None:
        """Call back with every message of a channel; the subscription follows within seconds."""
        self._listeners.setdefault(channel, []).append(callback)

    async def call(self, script: str, keys: tuple[str, ...], *arguments: str | bytes | int) -> Any:  # noqa: ANN401 - the script's
        """Run a script. Raises :class:`SharingError` after :data:`CALL_S` at most; at once while Redis is away."""
        if not self._settled.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_S):
                    await self._settled.wait()
        if self.trouble is not None:
            raise SharingError(self.trouble)
        try:
            return await self._eval(script, keys, *arguments)
        except (RedisError, OSError, TimeoutError) as error:
            self._down(error)
            raise SharingError(self.trouble or "") from None

    async def run(self) -> None:
        """Keep the line up until cancelled. Nothing that Redis does ends it."""
        while True:
            try:
                async with self._client.pubsub(ignore_subscribe_messages=True) as subscription:
                    await self._attend(subscription)
            except (RedisError, OSError, TimeoutError) as error:
                self._down(error)
            with suppress(RedisError, OSError, TimeoutError):
                await self._client.connection_pool.disconnect()  # the name may lead elsewhere by now
            await self._clock.sleep_until(self._clock.now() + probe_in_s(self._failures, self._rng.uniform))

    async def _attend(self, subscription: PubSub) -> None:
        channels: set[str] = set()
        answered = True
        while True:
            if new := self._listeners.keys() - channels:  # a platform may come while the worker runs
                async with asyncio.timeout(2 * CALL_S):
                    await subscription.subscribe(*new)
                channels |= new
            if self.trouble is not None:
                await self._probe()
            message = await subscription.get_message(timeout=_LOOK_S)
            if message is not None:
                answered = True
                self._deliver(message)
            elif not answered:
                raise TimeoutError
            else:
                answered = False
                await subscription.ping()

    def _deliver(self, message: dict[str, Any]) -> None:
        for callback in self._listeners.get(_text(message.get("channel")), ()):
            callback(_text(message.get("data")))

    async def _probe(self) -> None:
        await self._eval(_PROBE, (self._probe_key,))
        self._up()

    async def _eval(self, script: str, keys: tuple[str, ...], *arguments: str | bytes | int) -> Any:  # noqa: ANN401
        async with asyncio.timeout(CALL_S):
            return await self._client.eval(script, len(keys), *keys, *arguments)

    def _up(self) -> None:
        self._failures, changed = 0, self.trouble is not None
        self.trouble = None
        self._settled.set()
        if changed:
            _log.info("Redis is in use: tokens are shared")
            self._on_change(True)  # noqa: FBT003 - documented in the class

    def _down(self, error: Exception) -> None:
        self._failures += 1
        first = self.trouble is None or not self._settled.is_set()
        self.trouble = describe(error)
        self._settled.set()
        if first:
            _log.warning("Redis cannot be used: each worker refreshes tokens for itself", detail=self.trouble)
            self._on_change(False)  # noqa: FBT003


def describe(error: Exception) -> str:
    """What is wrong and what to check; never the address' secrets, which the library's own messages do not hold."""
    match error:
        case TimeoutError() | RedisTimeoutError():
            return f"no answer within {CALL_S:g} s; is it overloaded or frozen, is a firewall between?"
        case AuthenticationError():
            return "it refused user or password; check redis.url and redis.password"
        case NoPermissionError():
            return f"the user lacks a permission ({error}); see docs/authentication.md"
        case ReadOnlyError():
            return "it is a read-only replica; does redis.url name the master?"
        case _:
            return f"{error or type(error).__name__}; check redis.url"


def _text(raw: object) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else ""
