"""One OAuth client for all workers: whoever asks first asks for everybody (the guide's "Edge Case 3").

Redis saves requests and is never needed: where it is away, or nobody's answer comes in time, the worker asks for
itself. What is done when is decided by :mod:`connector.core.sharing`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import structlog

from connector.auth.client import ask
from connector.core.sharing import PAUSE_S, Lock, Step, adoptable, decide, is_refusal, is_same, jitter_s, pause_s
from connector.errors import SharingError, TokenError, TokenPausedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from connector.auth.client import Endpoint
    from connector.core.sharing import Need, Seen
    from connector.core.token_clock import Grant
    from connector.ports import Clock

_LOOK_EVERY_S = 0.5  # while another asks; news wakes us sooner

_log = structlog.get_logger("connector.token")


class Store(Protocol):
    """As :class:`connector.auth.token_store.TokenStore`."""

    async def look(self, now: float, *, take: bool = False) -> Seen:
        """What is there; with ``take`` the lock too, if it is free."""
        ...

    async def keep(self, grant: Grant, now: float) -> None:
        """Store a grant."""
        ...

    async def release(self, pause_s: float = 0.0, *, refused: bool = False) -> None:
        """Let go of the lock; for so long nobody is to take it, or if ``refused`` nobody with our credential."""
        ...

    async def bury(self, token: str) -> None:
        """Remove a dead token."""
        ...


class SharedClient:
    """Implements :class:`connector.auth.client.TokenClient`. A request at a time."""

    def __init__(self, endpoint: Endpoint, store: Store, clock: Clock, rng: Random) -> None:
        self._endpoint = endpoint
        self._store = store
        self._clock = clock
        self._rng = rng
        self._news = asyncio.Event()
        self._listeners: list[Callable[[str], None]] = []

    def listen(self, callback: Callable[[str], None]) -> None:
        """Call back with the fingerprint of each token that is stored."""
        self._listeners.append(callback)

    def published(self, mark: str) -> None:
        """A worker stored the token of this fingerprint; empty: it has none, and let go of the lock."""
        self._news.set()
        for callback in self._listeners if mark else ():
            callback(mark)

    async def request_token(self, needs: Callable[[], Need], /) -> Grant:
        """A token that serves the need: another worker's, or the OAuth server's. Raises :class:`TokenError`."""
        try:
            need = needs()
            if need.token is not None and not need.lives:
                await self._store.bury(need.token.value)
            shared = await self._together(needs)
        except SharingError:
            shared = None
        return await self._alone(needs) if shared is None else shared

    async def _together(self, needs: Callable[[], Need]) -> Grant | None:
        """None: no other worker's answer came in time."""
        if needs().lives and decide(needs(), await self._store.look(self._clock.now()), 0.0) is not Step.ADOPT:
            await self._pause(needs, alone=False)
        began_s = self._clock.now()
        while True:
            self._news.clear()
            seen = await self._store.look(now := self._clock.now())
            step = decide(needs(), seen, now - began_s)
            if step is Step.TAKE:
                seen = await self._store.look(now, take=True)
                step = decide(needs(), seen, now - began_s)
            match step:
                case Step.ADOPT:
                    return await self._adopt(seen)
                case Step.ASK:
                    return await self._ask(needs)
                case Step.OBEY:
                    raise TokenPausedError(seen.lock_left_s)
                case Step.WAIT | Step.TAKE:
                    await self._wait()
                case Step.ALONE:
                    return None

    async def _alone(self, needs: Callable[[], Need]) -> Grant:
        """Without the lock; a last look tells whether somebody was quicker."""
        await self._pause(needs, alone=True)
        with suppress(SharingError):
            seen = await self._store.look(self._clock.now())
            if seen.grant is not None and adoptable(needs(), seen):
                return seen.grant
        _log.info("token requested without the other workers", lives=needs().lives)
        return await self._refresh(needs)

    async def _adopt(self, seen: Seen) -> Grant | None:
        if seen.lock is Lock.OURS:
            with suppress(SharingError):
                await self._store.release()
        return seen.grant

    async def _ask(self, needs: Callable[[], Need]) -> Grant:
        """The OAuth server, with the lock in hand, which is let go of whatever happens."""
        rest_s, refused = PAUSE_S, False
        try:
            grant = await self._refresh(needs)
            rest_s = PAUSE_S if is_same(needs(), grant) else 0.0
        except TokenError as error:
            rest_s, refused = pause_s(error), is_refusal(error)
            raise
        finally:
            with suppress(SharingError):
                await self._store.release(rest_s, refused=refused)
        return grant

    async def _refresh(self, needs: Callable[[], Need]) -> Grant:
        grant = await ask(self._endpoint, needs())
        if not is_same(needs(), grant):
            with suppress(SharingError):
                await self._store.keep(grant, self._clock.now())
        return grant

    async def _pause(self, needs: Callable[[], Need], *, alone: bool) -> None:
        """Cut short where the token dies meanwhile: an emergency does not wait."""
        need, now = needs(), self._clock.now()
        ends_s = now + jitter_s(need, self._rng.uniform, alone=alone)
        while needs().lives is need.lives and (now := self._clock.now()) < ends_s:
            await self._clock.sleep_until(min(ends_s, now + _LOOK_EVERY_S))

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_EVERY_S):
                await self._news.wait()
