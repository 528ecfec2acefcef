"""The status page at ``/ui``: three files without anything from outside, and server-sent events."""

from __future__ import annotations

import asyncio
import importlib.resources
import time

import orjson
from aiohttp import web

from connector.management import Fleet
from connector.web.rows import Difference, Row, lane_row, stream_row
from connector.web.server import RequestError

_EVERY_S = 1.0
_MOST_VIEWERS = 32
_CONTENT = {"index.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class StatusPage:
    """Serves the page, and tells its viewers what changes, once a second while there are any."""

    def __init__(self, fleet: Fleet, group: str) -> None:
        self._fleet = fleet
        self._group = group
        files = importlib.resources.files(__package__).joinpath("ui")
        self._files = {name: files.joinpath(name).read_bytes() for name in _CONTENT}
        self._viewers = 0
        self._seen_at = float("-inf")
        self._rows: tuple[list[Row], list[Row]] = ([], [])

    def routes(self) -> list[web.RouteDef]:
        """The page, its parts, its events."""
        return [
            web.get("/ui", self._page),
            web.get("/ui/", _without_slash),
            web.get("/ui/events", self._events),
            web.get("/ui/{part}", self._part),
        ]

    async def _page(self, _request: web.Request) -> web.Response:
        return self._file("index.html")

    async def _part(self, request: web.Request) -> web.Response:
        part = request.match_info["part"]
        if part not in _CONTENT or part == "index.html":
            raise web.HTTPNotFound
        return self._file(part)

    def _file(self, name: str) -> web.Response:
        headers = {"Content-Security-Policy": _POLICY}
        return web.Response(body=self._files[name], content_type=_CONTENT[name], charset="utf-8", headers=headers)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self._viewers >= _MOST_VIEWERS:
            raise RequestError(503, f"{_MOST_VIEWERS} viewers look already; another worker shows the same")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        self._viewers += 1
        try:
            await response.prepare(request)
            await self._tell(response)
        except ConnectionError:
            pass  # the viewer has gone
        finally:
            self._viewers -= 1
        return response

    async def _tell(self, response: web.StreamResponse) -> None:
        unseen = Difference()
        while True:
            now_ms = time.time_ns() // 1_000_000
            message = {"now_ms": now_ms, "group": self._group, "worker": self._fleet.worker}
            message |= unseen.since(*await self._look())
            await response.write(b"data: " + orjson.dumps(message) + b"\n\n")
            await asyncio.sleep(_EVERY_S)

    async def _look(self) -> tuple[list[Row], list[Row]]:
        """All rows; of viewers at the same time only one makes the worker look."""
        await self._fleet.refresh()
        now = time.monotonic()
        if now - self._seen_at >= _EVERY_S / 2:
            self._rows = [stream_row(v) for v in self._fleet.views()], [lane_row(v) for v in self._fleet.lanes()]
            self._seen_at = now
        return self._rows


async def _without_slash(_request: web.Request) -> web.Response:
    raise web.HTTPFound("../ui")
