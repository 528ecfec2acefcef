"""How a token service gets a token: from the OAuth server, or shared with other workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

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
    """Asks the OAuth server, whatever the need."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def request_token(self, _needs: Callable[[], Need], /) -> Grant:
        """As :class:`TokenClient`."""
        return await self._endpoint.request_token()
