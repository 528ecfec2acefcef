"""The worker's HTTP listener: ``/health/live``, ``/health/ready``, ``/metrics``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from connector.errors import ConfigurationError

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebServer:
    """Answers probes and metrics. ``unready`` returns why the worker is not ready; nothing: it is."""

    def __init__(self, registry: CollectorRegistry, unready: Callable[[], list[str]]) -> None:
        self._registry = registry
        self._unready = unready
        application = web.Application(middlewares=[_secured])
        application.add_routes(
            [
                web.get("/health/live", self._live),
                web.get("/health/ready", self._ready),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, listen: str) -> None:
        """Listen on ``HOST:PORT`` (port 0: any); once more for a second address.

        Raises :class:`ConfigurationError` where the address cannot be had; nothing listens then.
        """
        if self._runner.server is None:
            await self._runner.setup()
        host, _, port = listen.rpartition(":")
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            await self.stop()
            raise ConfigurationError(f"http: cannot listen on {listen}: {error.strerror or error}") from error

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of every listener."""
        return [(address[0], address[1]) for address in self._runner.addresses]

    async def stop(self) -> None:
        """Close the listener."""
        await self._runner.cleanup()

    async def _live(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def _ready(self, _request: web.Request) -> web.Response:
        reasons = self._unready()
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})


@web.middleware
async def _secured(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as refused:
        refused.headers.update(_HEADERS)
        raise
    response.headers.update(_HEADERS)
    return response
