"""A listener: routes behind a guard, security headers on every answer, errors as Kafka Connect writes them."""

from __future__ import annotations

import http
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from connector.core.access import UNAUTHORIZED, Asked, Guard, refused
from connector.core.pace import Pace
from connector.errors import ConfigurationError, ControlUnavailableError

MAX_REQUEST_BYTES = 65_536
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_UNGUARDED = "/health/"
"""Kubelets have no token."""
_CHALLENGE = 'Basic realm="ccaas-bridge", charset="UTF-8"'
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger("connector.web")


class Listener:
    """Answers on one address. ``guard`` None: whoever reaches it may read what is there."""

    def __init__(
        self,
        routes: Iterable[web.AbstractRouteDef],
        guard: Guard | None = None,
        tls: ssl.SSLContext | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._tls = tls
        middlewares: list[Middleware] = [
            _answered,
            *([] if guard is None else [_paced(pace or Pace()), _guarded(guard)]),
        ]
        application = web.Application(middlewares=middlewares, client_max_size=MAX_REQUEST_BYTES)
        application.add_routes(routes)
        application.on_response_prepare.append(_secure)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)

    async def start(self, listen: str) -> None:
        """Listen on ``HOST:PORT`` (port 0: any).

        Raises :class:`ConfigurationError` where the address cannot be had; nothing listens then.
        """
        await self._runner.setup()
        host, _, port = listen.rpartition(":")
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port), ssl_context=self._tls).start()
        except OSError as error:
            await self.stop()
            raise ConfigurationError(f"http: cannot listen on {listen}: {error.strerror or error}") from error

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of every socket."""
        return [(address[0], address[1]) for address in self._runner.addresses]

    async def stop(self) -> None:
        """Close the listener."""
        await self._runner.cleanup()


def tls_context(certificate_file: str, key_file: str, client_ca_file: str | None) -> ssl.SSLContext:
    """TLS of a listener; with ``client_ca_file`` clients must show a certificate of that authority.

    Raises :class:`ConfigurationError` where a file cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate_file, key_file)
        if client_ca_file is not None:
            context.load_verify_locations(client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror or "unusable"
        raise ConfigurationError(f"http.tls: certificate_file, key_file or client_ca_file: {reason}") from error
    return context


class RequestError(Exception):
    """Ends a request with this error; the message is for whoever asked."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer in the shape of a Kafka Connect error."""
    return web.json_response({"error_code": status, "message": message}, status=status, headers=headers)


@web.middleware
async def _answered(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Whatever is raised becomes an answer."""
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPException as raised:
        if raised.status < http.HTTPStatus.BAD_REQUEST:
            raise
        response = _as_connect_writes(raised)
    except RequestError as raised:
        response = error(raised.status, str(raised))
    except ControlUnavailableError as missing:
        response = error(503, str(missing), {"Retry-After": "5"})
    except Exception:  # noqa: BLE001 - the worker's streams have nothing to do with it
        _log.exception("a request failed", method=request.method, path=request.path)
        response = error(500, "an internal error; the worker's log has it")
    return response


async def _secure(_request: web.Request, response: web.StreamResponse) -> None:
    """Nothing leaves without the security headers."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _as_connect_writes(raised: web.HTTPException) -> web.Response:
    kept = {name: raised.headers[name] for name in ("Allow",) if name in raised.headers}
    return error(raised.status, f"HTTP {raised.status} {http.HTTPStatus(raised.status).phrase}", kept)


def _paced(pace: Pace) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
        wait_s = 0.0 if _is_probe(request) else pace.wait_s(request.remote or "", time.monotonic())
        if wait_s > 0:
            return error(429, "too many requests", {"Retry-After": str(math.ceil(wait_s))})
        return await handler(request)

    return middleware


def _guarded(guard: Guard) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
        found = None if _is_probe(request) else refused(guard, _asked(request))
        if found is None:
            return await handler(request)
        challenge = {"WWW-Authenticate": _CHALLENGE} if found.status == UNAUTHORIZED else {}
        return error(found.status, found.message, challenge)

    return middleware


def _is_probe(request: web.Request) -> bool:
    return request.path.startswith(_UNGUARDED)


def _asked(request: web.Request) -> Asked:
    headers = request.headers
    return Asked(
        request.method,
        headers.get("Host", ""),
        headers.get("Origin"),
        headers.get("Sec-Fetch-Site"),
        headers.get("Authorization"),
    )
