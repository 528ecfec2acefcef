"""The client of one OAuth 2.0 token endpoint (RFC 6749): a token's facts, or a ``TokenError``.

Decides nothing: when to ask, and what the facts mean, is :mod:`connector.core.token_clock`'s; what to send is
:mod:`connector.auth.grants`'; what an answer says, :mod:`connector.auth.answers`'.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from connector.auth.answers import HttpAnswer, read_grant, read_token_endpoint, refusal
from connector.auth.server_clock import ServerClock
from connector.auth.wire import Wire
from connector.core.assertion import is_misdated
from connector.core.sharing import REQUEST_S
from connector.errors import TokenError

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

    from connector.auth.grants import Address, GrantType, TokenRequest
    from connector.core.token_clock import Grant
    from connector.ports import Clock

DISCOVERY_PATH = "/.well-known/openid-configuration"
_SETTLED = frozenset({400, 401, 403, 429})  # statuses that only the right endpoint gives


class OAuthClient:
    """Asks one token endpoint. The session is the caller's, and so are its TLS context and closing.

    ``wall_s`` dates assertions only as long as no answer has told the platform's time. ``proxy_of``: from a URL to
    the proxy by which it is reached.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        grant_type: GrantType,
        clock: Clock,
        *,
        timeout_s: float = REQUEST_S,
        wall_s: Callable[[], float] = time.time,
        proxy_of: Callable[[str], str | None] = lambda _url: None,
    ) -> None:
        self._grant_type = grant_type
        self._server_clock = ServerClock(clock, wall_s)
        self._wire = Wire(session, clock, self._server_clock, timeout_s, proxy_of)
        self._endpoint = _Endpoint(self._wire, grant_type.address)

    def use(self, grant_type: GrantType) -> None:
        """From the next request on: the same grant at the same address, with another secret."""
        self._grant_type = grant_type

    async def request_token(self) -> Grant:
        """Ask for a token. Raises :class:`TokenError`, never anything else but ``CancelledError``.

        The error has the HTTP ``status``, None where there was no answer, and ``retry_after_s`` where it said when.
        """
        token_url = await self._endpoint.locate()
        try:
            answer, request = await self._ask(token_url)
            if self._refused_for_its_date(answer, request):
                answer, request = await self._ask(token_url)
            if not answer.succeeded:
                raise refusal(answer, self._grant_type.advice, request.secrets)
            grant = read_grant(answer)
        except TokenError as error:
            self._endpoint.failed(error.status)
            raise
        self._server_clock.guess(grant.iat_s)
        return grant

    async def _ask(self, token_url: str) -> tuple[HttpAnswer, TokenRequest]:
        request = self._grant_type.build(token_url, self._server_clock.now_s())
        return await self._wire.post(token_url, self._grant_type.address.setting, request), request

    def _refused_for_its_date(self, answer: HttpAnswer, request: TokenRequest) -> bool:
        """Whether the answer has changed what we know of the server's time so that another try may succeed."""
        if request.dated_s is None or answer.succeeded or answer.error != "invalid_grant":
            return False
        self._server_clock.doubt()
        return is_misdated(request.dated_s, self._server_clock.now_s())


class _Endpoint:
    """Finds the token endpoint: the configured one, or the one that the issuer's discovery document names.

    It is looked up again only after the endpoint failed in a way that the right one does not; if the issuer cannot
    tell it then, the old one is tried again.
    """

    def __init__(self, wire: Wire, address: Address) -> None:
        self._wire = wire
        self._address = address
        self._found: str | None = None if address.is_issuer else address.url
        self._doubted = False

    async def locate(self) -> str:
        if self._found is None or self._doubted:
            try:
                self._found = await self._discover()
            except TokenError:
                if self._found is None:
                    raise
            self._doubted = False
        return self._found

    def failed(self, status: int | None) -> None:
        self._doubted = self._address.is_issuer and status not in _SETTLED

    async def _discover(self) -> str:
        answer = await self._wire.get(f"{self._address.url.rstrip('/')}{DISCOVERY_PATH}", self._address.setting)
        if not answer.succeeded:
            raise refusal(answer, {})
        return read_token_endpoint(answer)
