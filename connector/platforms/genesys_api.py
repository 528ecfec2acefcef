"""Genesys Cloud's REST API as one stream uses it: Bearer tokens, JSON, its limits obeyed, its errors in words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from connector.core.rate_limit import RateLimit
from connector.errors import DialError
from connector.model import DialFailure, FailureKind, Token
from connector.platforms.websocket import refusal, unreached
from connector.ports import Clock

_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
_DETAIL_CHARACTERS = 300
NOT_FOUND = 404
_PAGE = 100
_MOST_PAGES = 1000


@dataclass(frozen=True, slots=True)
class ApiPlace:
    """Where the API is, and how it is reached."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)


class GenesysApi:
    """Raises :class:`DialError` for every answer that is not what was asked for, and for what the network does."""

    def __init__(self, session: aiohttp.ClientSession, place: ApiPlace, clock: Clock) -> None:
        self._session = session
        self._place = place
        self._clock = clock
        self._limit = RateLimit()

    async def ask(
        self, token: Token, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None
    ) -> dict[str, Any]:
        """The answer's JSON; empty where it has none."""
        try:
            return _read(await self.fetch(token, method, path, query=query, body=body))
        except ValueError as error:
            raise DialError(DialFailure(FailureKind.REJECTED, f"{method} {path}: the answer is not JSON")) from error

    async def fetch(
        self, token: Token, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None
    ) -> bytes:
        """The answer's body."""
        await self._clock.sleep_until(self._limit.due)
        headers = {**self._place.headers, "Authorization": f"Bearer {token.value}", "Accept": "application/json"}
        data = None
        if body is not None:
            data, headers["Content-Type"] = orjson.dumps(body), "application/json"
        try:
            async with self._session.request(
                method,
                f"{self._place.url}{path}",
                params=query,
                data=data,
                headers=headers,
                timeout=_TIMEOUT,
                proxy=self._place.proxy,
                allow_redirects=False,
            ) as response:
                self._limit.told(response.headers, self._clock.now())
                answer = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unreached(error, self._place.url, "region or api_url") from error
        if not response.ok:
            told = f"{method} {path}: {_message(answer) or response.reason or ''}"
            raise DialError(refusal(response.status, told, response.headers))
        return answer

    async def pages(self, token: Token, path: str) -> AsyncIterator[dict[str, Any]]:
        """The entities of a list, page by page."""
        for number in range(1, _MOST_PAGES + 1):
            query = {"pageSize": str(_PAGE), "pageNumber": str(number)}
            answer = await self.ask(token, "GET", path, query=query)
            entities = answer.get("entities") or []
            for entity in entities:
                yield entity
            count = answer.get("pageCount")
            if len(entities) < _PAGE or (isinstance(count, int) and number >= count):
                return


def _read(body: bytes) -> dict[str, Any]:
    """An answer's JSON object; raises ``ValueError`` where it is something else."""
    found = orjson.loads(body) if body.strip() else {}
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - what was expected of a wire is a value
    return found


def _message(answer: bytes) -> str:
    """What the platform says of an error."""
    try:
        told = _read(answer).get("message")
    except ValueError:
        return ""
    return told[:_DETAIL_CHARACTERS] if isinstance(told, str) else ""
