"""A WebSocket of a platform on aiohttp, and the adapter of the guide's two kinds.

Frames are read undecoded: a text frame with invalid UTF-8 is the event's problem, not the connection's. aiohttp's
automatic heartbeat is off: it would kill a socket that back-pressure left unread.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

import aiohttp
from aiohttp import WSMsgType
from yarl import URL

from connector.core.http_fields import read_retry_after
from connector.errors import DialError
from connector.http_errors import cause_of, explain
from connector.model import DialFailure, FailureKind, Lapse, Token
from connector.platforms.snapshot import no_room, read_snapshot
from connector.ports import Closed, Connection, FrameKind, Snapshot

_TEXT, _BINARY = WSMsgType.TEXT, WSMsgType.BINARY  # for every message: a look into the enum costs more
_CLOSE_S = 1.0
_CHUNK_BYTES = 256 * 1024
_SNAPSHOT_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
_ABNORMAL = 1006
_TOO_BIG = 1009
_NETWORK_FROM_STATUS = 500
_LARGEST_WINDOW_BITS = 15  # RFC 7692 §7.1.2.2


class WebSocketConnection:
    """Implements :class:`connector.ports.Connection`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._socket = socket
        self._ended: Closed | None = None
        self.traceparent = socket._response.headers.get("traceparent")  # noqa: SLF001 - aiohttp shows it nowhere else

    async def receive(self) -> bytes | Closed | FrameKind:
        """See :meth:`connector.ports.Connection.receive`."""
        if self._ended is not None:
            return self._ended
        kind, data, extra = await self._socket.receive()
        if kind is _TEXT or kind is _BINARY:
            return data if type(data) is bytes else bytes(data)
        if kind is WSMsgType.PING:
            return await self._pong(data)
        if kind is WSMsgType.PONG:
            return FrameKind.PONG
        return self._ending(kind, data, extra)

    async def _pong(self, payload: bytes) -> Closed | FrameKind:
        try:
            await self._socket.pong(payload)
        except (ConnectionError, aiohttp.ClientError):
            return self._end(_ABNORMAL, "lost while answering a ping")
        return FrameKind.PONG

    def _ending(self, kind: WSMsgType, data: object, extra: object) -> Closed | FrameKind:
        if kind is WSMsgType.CLOSE:
            return self._end(data if isinstance(data, int) and data else _ABNORMAL, str(extra or ""))
        if isinstance(data, aiohttp.WebSocketError) and data.code == _TOO_BIG:
            self._end(_TOO_BIG, "message too big")
            return FrameKind.OVERSIZE
        detail = type(data).__name__ if isinstance(data, Exception) else "the TCP connection ended"
        return self._end(_ABNORMAL, detail)

    async def ping(self) -> None:
        """See :meth:`connector.ports.Connection.ping`."""
        await self._send(self._socket.ping())

    async def pong(self) -> None:
        """See :meth:`connector.ports.Connection.pong`."""
        await self._send(self._socket.pong())

    async def send_text(self, text: bytes) -> None:
        """Send a message; a failure shows in :meth:`receive`."""
        await self._send(self._socket.send_str(text.decode()))

    async def _send(self, sending: Awaitable[None]) -> None:
        try:
            await sending
        except (ConnectionError, aiohttp.ClientError, RuntimeError):
            return  # receive() tells

    async def close(self, code: int, reason: str) -> None:
        """See :meth:`connector.ports.Connection.close`."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._socket.close(code=code, message=reason.encode()[:123])
        except (TimeoutError, ConnectionError, aiohttp.ClientError, RuntimeError):
            return

    def _end(self, code: int, reason: str) -> Closed:
        self._ended = Closed(code, reason)
        return self._ended


@dataclass(frozen=True, slots=True)
class Handshake:
    """How a WebSocket is opened."""

    headers: Mapping[str, str] = field(repr=False)
    max_frame_bytes: int
    proxy: str | None = field(repr=False)
    compression: bool

    async def open(self, session: aiohttp.ClientSession, url: URL, where: str, setting: str) -> WebSocketConnection:
        """Raises :class:`DialError`, which tells ``where`` instead of the URL, and the ``setting`` that names it."""
        try:
            socket = await session.ws_connect(
                url,
                headers=self.headers,
                autoclose=False,
                autoping=False,
                heartbeat=None,
                max_msg_size=self.max_frame_bytes,
                decode_text=False,
                proxy=self.proxy,
                compress=_LARGEST_WINDOW_BITS if self.compression else 0,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise DialError(refusal(error.status, error.message, error.headers)) from error
        except (aiohttp.ClientError, OSError, ssl.SSLError, ValueError) as error:
            raise unreached(error, where, setting) from error
        return WebSocketConnection(socket)


@dataclass(frozen=True, slots=True)
class SequencePlatform:
    """A platform of kind ``genesys-sequence`` or ``nice-offset``: where it is and what its wire calls things."""

    stream_url: str
    snapshot_url: str | None
    position_parameter: str
    position_field: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    max_frame_bytes: int = 67_108_864
    expired_position_status: int | None = None
    stream_proxy: str | None = field(default=None, repr=False)
    snapshot_proxy: str | None = field(default=None, repr=False)
    compression: bool = False


class SequenceSource:
    """Implements :class:`connector.ports.Source` for one stream (``channel``) of such a platform."""

    def __init__(self, session: aiohttp.ClientSession, platform: SequencePlatform, channel: str) -> None:
        self._session = session
        self._platform = platform
        self._url = URL(platform.stream_url.replace("{channel}", quote(channel, safe="")))

    async def dial(self, token: Token, position: int | None, timeout_s: float) -> Connection:
        """See :meth:`connector.ports.Source.dial`."""
        url = self._url
        if position is not None:
            url = url.update_query({self._platform.position_parameter: str(position)})
        platform = self._platform
        handshake = Handshake(
            self._headers(token), platform.max_frame_bytes, platform.stream_proxy, compression=platform.compression
        )
        try:
            async with asyncio.timeout(timeout_s):
                return await handshake.open(self._session, url, str(self._url.with_query(None)), "stream_url")
        except DialError as error:
            status = error.failure.status
            if position is None or status is None or status != platform.expired_position_status:
                raise
            raise DialError(replace(error.failure, kind=FailureKind.EXPIRED_POSITION)) from error
        except TimeoutError as error:
            detail = f"no handshake within {timeout_s:g} s"
            raise DialError(DialFailure(FailureKind.NETWORK, detail, cause=cause_of(error))) from error

    async def snapshot(self, token: Token, lapse: Lapse) -> Snapshot | None:  # noqa: ARG002 - a state is whole
        """See :meth:`connector.ports.Source.snapshot`."""
        url = self._platform.snapshot_url
        if url is None:
            return None
        try:
            async with self._session.get(
                url, headers=self._headers(token), timeout=_SNAPSHOT_TIMEOUT, proxy=self._platform.snapshot_proxy
            ) as response:
                if not response.ok:
                    raise DialError(refusal(response.status, response.reason or "", response.headers))
                chunks = response.content.iter_chunked(_CHUNK_BYTES)
                return await read_snapshot(chunks, self._platform.position_field)
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            raise unreached(error, str(URL(url).with_query(None)), "snapshot_url") from error
        except OSError as error:
            raise no_room(error) from error
        except ValueError as error:
            raise DialError(DialFailure(FailureKind.REJECTED, f"the snapshot cannot be read: {error}")) from error

    def _headers(self, token: Token) -> dict[str, str]:
        return {**self._platform.headers, "Authorization": f"Bearer {token.value}", "Accept": "application/json"}


def unreached(error: Exception, where: str, setting: str) -> DialError:
    """What the network, or somebody between, did instead of an answer."""
    return DialError(DialFailure(FailureKind.NETWORK, explain(error, where, setting), cause=cause_of(error)))


def refusal(status: int, message: str, headers: Mapping[str, str] | None) -> DialFailure:
    """What an HTTP answer other than the one hoped for means."""
    headers = headers or {}
    retry_after_s = read_retry_after(headers.get("Retry-After"), headers.get("Date"))
    kinds = {401: FailureKind.UNAUTHORIZED, 403: FailureKind.FORBIDDEN, 429: FailureKind.THROTTLED}
    kind = kinds.get(status)
    if kind is None:
        kind = FailureKind.NETWORK if status >= _NETWORK_FROM_STATUS else FailureKind.REJECTED
        if status == 503 and retry_after_s is not None:  # noqa: PLR2004 - Service Unavailable
            kind = FailureKind.THROTTLED
    return DialFailure(kind, message, status, retry_after_s)
