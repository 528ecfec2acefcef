"""What the HTTP sides of all platforms share: the date of an answer, delays that a stop ends, the token endpoint."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from email.utils import formatdate

from aiohttp import web

from connector.simulator.answers import Answer
from connector.simulator.desk import respond
from connector.simulator.faults import FaultBoard, TokenTrouble

MAX_REQUEST_BYTES = 16 * 1024 * 1024
_FORM = "application/x-www-form-urlencoded"


class PlatformSide:
    """Base of a platform's routes. A platform answers ``_granted`` and ``_troubled`` in its own way."""

    def __init__(self, board: FaultBoard, now: Callable[[], float], platform_now: Callable[[], float]) -> None:
        """``now`` is the machine's clock, ``platform_now`` the platform's."""
        self._board = board
        self._now = now
        self._platform_now = platform_now
        self._stopping = asyncio.Event()

    def _granted(self, request: web.Request, form: Mapping[str, str]) -> Answer:
        """The answer to an undisturbed token request."""
        raise NotImplementedError

    def _troubled(self, trouble: TokenTrouble) -> Answer | None:
        """The answer of a token endpoint in trouble; None where it is only slow."""
        raise NotImplementedError

    async def _token(self, request: web.Request) -> web.Response:
        trouble = self._board.take_token_trouble(self._now())
        if trouble is not None:
            troubled = self._troubled(trouble)
            if troubled is not None:
                return respond(troubled)
            await self._pause(trouble.delay_s)
        if request.content_type != _FORM:
            return respond(Answer(400, {"error": "invalid_request", "error_description": f"{_FORM} is wanted"}))
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        return respond(self._granted(request, form))

    async def _stamp(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(self._platform_now(), usegmt=True)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
