"""How a token service gets a token: from the OAuth server, or shared with other workers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from connector.core.sharing import request_s
from connector.errors import TokenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from connector.core.sharing import Need
    from connector.core.token_clock import Grant


class Endpoint(Protocol):
    """As :class:`connector.auth.oauth.OAuthClient`."""

    async def request_token(self) -> Grant:
        """Ask the OAuth server; raises :class:`TokenError` and nothing else but ``CancelledError``."""
        ...


class TokenClient(Protocol):
    """:class:`OwnClient`, or :class:`connector.auth.sharing.SharedClient` where workers share their tokens."""

    async def request_token(self, needs: Callable[[], Need], /) -> Grant:
        """Get a token; raises :class:`TokenError` and nothing else but ``CancelledError``.

        ``needs`` tells what it is needed for, which may change meanwhile: the present token may die.
        """
        ...


class OwnClient:
    """Asks the OAuth server."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def request_token(self, needs: Callable[[], Need], /) -> Grant:
        """As :class:`TokenClient`."""
        return await ask(self._endpoint, needs())


async def ask(endpoint: Endpoint, need: Need) -> Grant:
    """Ask the OAuth server, for as long as the need allows. Raises :class:`TokenError`."""
    limit_s = request_s(need)
    try:
        async with asyncio.timeout(limit_s):
            return await endpoint.request_token()
    except TimeoutError:
        raise TokenError(f"no token within {limit_s:.1f} s; check network, proxy and firewall") from None
