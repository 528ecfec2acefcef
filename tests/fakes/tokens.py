"""Tokens that the test hands out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from connector.model import Token


class _Lease:
    def __init__(self, on_token: Callable[[Token], None]) -> None:
        self.on_token = on_token
        self.seen = 0
        self.ended = False

    def deliver(self, token: Token) -> None:
        if not self.ended and token.generation > self.seen:
            self.seen = token.generation
            self.on_token(token)


class FakeTokens:
    """Implements :class:`connector.ports.TokenSource`. A token that is reported dead is replaced if ``refreshes``."""

    def __init__(self, *, refreshes: bool = True) -> None:
        self.reported: list[int] = []
        self.time_ms: int | None = None
        self._refreshes = refreshes
        self._token: Token | None = None
        self._generation = 0
        self._leases: list[_Lease] = []

    def issue(self) -> Token:
        """A new token, for everybody."""
        self._generation += 1
        self._token = Token(f"token-{self._generation}", self._generation, 0.0, None, 30.0)
        for lease in self._leases:
            self._offer(lease)
        return self._token

    def lease(self, on_token: Callable[[Token], None]) -> Callable[[], None]:
        """See :meth:`connector.ports.TokenSource.lease`."""
        lease = _Lease(on_token)
        self._leases.append(lease)
        self._offer(lease)

        def end() -> None:
            lease.ended = True
            if lease in self._leases:
                self._leases.remove(lease)

        return end

    def report_dead(self, generation: int) -> None:
        """See :meth:`connector.ports.TokenSource.report_dead`."""
        if self._token is not None and generation == self._token.generation:
            self.reported.append(generation)
            self._token = None
            if self._refreshes:
                self.issue()

    def platform_time_ms(self) -> int | None:
        """What the test has set."""
        return self.time_ms

    def _offer(self, lease: _Lease) -> None:
        if self._token is not None:
            asyncio.get_running_loop().call_soon(lease.deliver, self._token)
