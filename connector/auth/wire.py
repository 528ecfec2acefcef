"""HTTP to an OAuth server: one request, one bounded answer, failures as ``TokenError``. Decides nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import aiohttp

from connector.auth.answers import HttpAnswer, presentable, scrub
from connector.errors import TokenError
from connector.http_errors import explain

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from connector.auth.grants import TokenRequest
    from connector.auth.server_clock import ServerClock
    from connector.ports import Clock

LONGEST_ANSWER_BYTES = 1 << 20


class Wire:
    """One server. The session is the caller's. Every answer tells ``server_clock`` its Date."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        clock: Clock,
        server_clock: ServerClock,
        timeout_s: float,
        proxy_of: Callable[[str], str | None],
    ) -> None:
        self._session = session
        self._clock = clock
        self._server_clock = server_clock
        self._timeout_s = timeout_s
        self._proxy_of = proxy_of

    async def get(self, url: str, setting: str) -> HttpAnswer:
        """Ask for a document. Raises :class:`TokenError` where no answer comes."""
        return await self._exchange("GET", url, setting, None)

    async def post(self, url: str, setting: str, request: TokenRequest) -> HttpAnswer:
        """Send a token request. Raises :class:`TokenError` where no answer comes."""
        return await self._exchange("POST", url, setting, request)

    async def _exchange(
        self, method: Literal["GET", "POST"], url: str, setting: str, request: TokenRequest | None
    ) -> HttpAnswer:
        sent_at_s = self._clock.now()
        try:
            async with asyncio.timeout(self._timeout_s), self._send(method, url, request) as response:
                body = await _read_bounded(response)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            # Without the cause: its message may repeat the URL with userinfo or query, or a header.
            message = self._network_message(error, presentable(url), setting)
            raise TokenError(scrub(message, request.secrets if request is not None else ())) from None
        answer = HttpAnswer(str(response.url), setting, response.status, response.headers, body, sent_at_s)
        self._server_clock.told(answer.date_s)
        return answer

    def _send(
        self, method: Literal["GET", "POST"], url: str, request: TokenRequest | None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        fields = dict(request.form) if request is not None else None
        as_json = request is not None and request.as_json
        # A redirect is refused: following it would carry the credentials elsewhere.
        return self._session.request(
            method,
            url,
            data=None if as_json else fields,
            json=fields if as_json else None,
            headers={"Accept": "application/json", **(request.headers if request is not None else {})},
            timeout=aiohttp.ClientTimeout(total=None),  # asyncio.timeout, around the body too, is the one limit
            allow_redirects=False,
            proxy=self._proxy_of(url),
        )

    def _network_message(self, error: Exception, where: str, setting: str) -> str:
        if isinstance(error, TimeoutError):
            return f"{where} gave no answer within {self._timeout_s:g} s; check network, proxy and firewall"
        return explain(error, where, setting)


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > LONGEST_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError
    return bytes(body)
