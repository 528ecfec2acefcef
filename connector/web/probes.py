"""Probes and metrics: ``/health/live``, ``/health/ready``, ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


def probe_routes(
    registry: CollectorRegistry, unready: Callable[[], list[str]], remarks: Callable[[], list[str]]
) -> list[web.RouteDef]:
    """``unready`` returns why the worker is not ready, nothing: it is; ``remarks``, what is worth to know even then."""

    async def live(_request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(_request: web.Request) -> web.Response:
        reasons = unready()
        answer = {"ready": not reasons, "reasons": reasons, "remarks": remarks()}
        return web.json_response(answer, status=503 if reasons else 200)

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return [web.get("/health/live", live), web.get("/health/ready", ready), web.get("/metrics", metrics)]
