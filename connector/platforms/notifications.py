"""The adapter of kind ``genesys-notifications``: channels of Genesys Cloud's Notifications API.

To dial is to have a channel for every thousand topics, to replace its subscriptions, to open its socket, and to see
that the subscriptions stand: a socket alone proves nothing, since one whose channel was silenced stays open and has its
heartbeats. What is asked with every ping is therefore whether the subscriptions still stand.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
from yarl import URL

from connector.core.channels import Channel, Channels, rearranged, spread
from connector.core.notifications import PING, Signal, read_signal
from connector.core.states import TOKEN_REVOKED
from connector.errors import DialError
from connector.http_errors import cause_of
from connector.model import DialFailure, FailureKind, Lapse, Token
from connector.platforms.backfill import fetch_conversations
from connector.platforms.genesys_api import NOT_FOUND, GenesysApi
from connector.platforms.topics import TopicList
from connector.platforms.websocket import Handshake, WebSocketConnection
from connector.ports import Clock, Closed, Connection, FrameKind, Snapshot

_PATH = "/api/v2/notifications/channels"
_ABNORMAL = 1006
_MEANINGS: dict[Signal, FrameKind | Closed] = {
    Signal.ALIVE: FrameKind.PONG,
    Signal.CLOSING: FrameKind.LEAVING,
    Signal.TOKEN_REVOKED: Closed(TOKEN_REVOKED, "the platform says that the token was revoked"),
    Signal.UNSUBSCRIBED: Closed(_ABNORMAL, "the platform says that the channel is not subscribed any more"),
}


@dataclass(slots=True, eq=False)
class _Line:
    """A channel that is listened to."""

    channel: Channel
    topics: tuple[str, ...]
    subscribed_at_s: float
    socket: WebSocketConnection


class NotificationConnection:
    """Implements :class:`connector.ports.Connection` over the sockets of one or more channels."""

    def __init__(self, lines: Sequence[_Line], source: NotificationSource, token: Token) -> None:
        self._lines = list(lines)
        self._source = source
        self._token = token
        self._told: deque[FrameKind] = deque()
        self._reads: dict[asyncio.Task[bytes | Closed | FrameKind], _Line] = {}
        self._ended: Closed | None = None
        self._released = False

    @property
    def traceparent(self) -> str | None:
        """See :meth:`connector.ports.Connection.traceparent`."""
        return self._lines[0].socket.traceparent

    async def receive(self) -> bytes | Closed | FrameKind:
        """See :meth:`connector.ports.Connection.receive`."""
        if self._ended is None and self._told:
            return self._told.popleft()
        message = await self._next()
        if isinstance(message, bytes):
            message = _MEANINGS.get(read_signal(message), message)
        if self._ended is None and isinstance(message, Closed):
            self._ended = message
        return self._ended or message

    async def _next(self) -> bytes | Closed | FrameKind:
        """The next message of any channel; of each at most one is read ahead."""
        if self._ended is not None:
            return self._ended
        if len(self._lines) == 1:
            return await self._lines[0].socket.receive()
        for line in set(self._lines).difference(self._reads.values()):
            self._reads[asyncio.ensure_future(line.socket.receive())] = line
        await asyncio.wait(self._reads, return_when=asyncio.FIRST_COMPLETED)
        done = next(read for read in self._reads if read.done())
        del self._reads[done]
        return done.result()

    async def ping(self) -> None:
        """Ask whether the subscriptions stand, mend what changed, and ask each socket for an answer."""
        try:
            proven = await self._source.prove(self._lines, self._token)
        except DialError as error:
            if error.failure.status == NOT_FOUND:
                await self._lapse("the platform does not know the channel any more")
            return
        if not proven:
            await self._lapse("the platform has dropped subscriptions")
            return
        self._told.append(FrameKind.PROVEN)
        for line in self._lines:
            await line.socket.send_text(PING)

    async def _lapse(self, reason: str) -> None:
        if self._ended is None:
            self._ended = Closed(_ABNORMAL, reason, lapsed=True)
            await self._close_sockets(1000, reason)  # receive() tells

    async def pong(self) -> None:
        """See :meth:`connector.ports.Connection.pong`."""
        for line in self._lines:
            await line.socket.pong()

    async def close(self, code: int, reason: str) -> None:
        """See :meth:`connector.ports.Connection.close`."""
        await self._close_sockets(code, reason)
        for read in self._reads:
            read.cancel()
        self._reads.clear()
        if not self._released:
            self._released = True
            for line in self._lines:
                self._source.release(line.channel)

    async def _close_sockets(self, code: int, reason: str) -> None:
        await asyncio.gather(*(line.socket.close(code, reason) for line in self._lines))


class NotificationSource:
    """Implements :class:`connector.ports.Source` for one stream."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        api: GenesysApi,
        topics: TopicList,
        handshake: Handshake,
        clock: Clock,
        channels: Channels,
    ) -> None:
        """``channels``: those that the stream has made and does not use at present."""
        self._session = session
        self._api = api
        self._topics = topics
        self._handshake = handshake
        self._clock = clock
        self._channels = channels

    async def dial(self, token: Token, position: int | None, timeout_s: float) -> Connection:  # noqa: ARG002 - no replay
        """See :meth:`connector.ports.Source.dial`."""
        try:
            async with asyncio.timeout(timeout_s), AsyncExitStack() as undo:
                lines = []
                for topics in spread(await self._topics.current(token)):
                    channel = await self._channel(token)
                    undo.callback(self.release, channel)
                    await self._subscribe(token, channel, topics)
                    line = _Line(channel, topics, self._clock.now(), await self._open(channel))
                    undo.push_async_callback(line.socket.close, 1000, "not needed")
                    lines.append(line)
                if not lines:
                    raise DialError(DialFailure(FailureKind.REJECTED, "no queue or user matches: nothing to subscribe"))
                if not await self._stands(lines, token):
                    raise DialError(DialFailure(FailureKind.NETWORK, "the subscriptions did not stand"))
                undo.pop_all()
        except TimeoutError as error:
            detail = f"no channel that brings the topics within {timeout_s:g} s"
            raise DialError(DialFailure(FailureKind.NETWORK, detail, cause=cause_of(error))) from error
        return NotificationConnection(lines, self, token)

    async def snapshot(self, token: Token, lapse: Lapse) -> Snapshot | None:
        """See :meth:`connector.ports.Source.snapshot`."""
        return await fetch_conversations(self._api, token, lapse)

    async def prove(self, lines: Sequence[_Line], token: Token) -> bool:
        """Whether the subscriptions stand; those of queues and users that came or went are mended.

        All are renewed from time to time: a channel ends 24 hours after the last time, however long its token lives.
        """
        if not await self._stands(lines, token):
            return False
        wanted = await self._topics.current(token)
        for line, topics in zip(lines, rearranged([line.topics for line in lines], wanted), strict=True):
            now = self._clock.now()
            if topics != line.topics or now >= line.subscribed_at_s + self._topics.every_s:
                await self._subscribe(token, line.channel, topics)
                line.topics, line.subscribed_at_s = topics, now
        return True

    def release(self, channel: Channel) -> None:
        """It is not listened to any more."""
        self._channels.released(channel)

    # ------------------------------------------------------------------ one channel

    async def _channel(self, token: Token) -> Channel:
        """One to use again, or a new one."""
        while (known := self._channels.take(token, self._clock.now())) is not None:
            if await self._lives(token, known):
                return known
        made = await self._api.ask(token, "POST", _PATH)
        name, uri = made.get("id"), made.get("connectUri")
        if not isinstance(name, str) or not isinstance(uri, str):
            raise DialError(DialFailure(FailureKind.REJECTED, "the platform made a channel without id or connectUri"))
        return Channel(name, uri, token.generation, token.expires_at_s)

    async def _lives(self, token: Token, channel: Channel) -> bool:
        try:
            await self._api.ask(token, "HEAD", f"{_PATH}/{channel.id}")
        except DialError as error:
            if error.failure.status == NOT_FOUND:
                return False
            self.release(channel)
            raise
        return True

    async def _subscribe(self, token: Token, channel: Channel, topics: Sequence[str]) -> None:
        """Replace what the channel brings; this also starts its 24 hours anew."""
        body = [{"id": topic} for topic in topics]
        await self._api.ask(token, "PUT", f"{_PATH}/{channel.id}/subscriptions", body=body)

    async def _open(self, channel: Channel) -> WebSocketConnection:
        try:
            url = URL(channel.uri, encoded=True)
        except ValueError as error:
            raise DialError(DialFailure(FailureKind.REJECTED, "the platform's connectUri is no URL")) from error
        return await self._handshake.open(
            self._session, url, f"the channel's socket at {url.host}", "region or api_url"
        )

    async def _stands(self, lines: Sequence[_Line], token: Token) -> bool:
        for line in lines:
            answer = await self._api.ask(token, "GET", f"{_PATH}/{line.channel.id}/subscriptions")
            entities = answer.get("entities") or []
            if not {entity.get("id") for entity in entities}.issuperset(line.topics):
                return False
        return True
