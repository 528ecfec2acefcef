"""A platform in memory: one stream of numbered events, its sockets and its snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from connector.errors import DialError
from connector.model import SOME_TIME, DialFailure, FailureKind, Lapse, Token
from connector.ports import Closed, FrameKind


class FakeConnection:
    """Implements :class:`connector.ports.Connection`: what is after a position, one event a message."""

    def __init__(self, source: FakeSource, position: int) -> None:
        self._source = source
        self._position = position
        self._pongs = 0
        self._ended: Closed | None = None
        self.traceparent: str | None = None

    async def receive(self) -> bytes | Closed | FrameKind:
        """See :meth:`connector.ports.Connection.receive`."""
        while True:
            if self._ended is not None:
                return self._ended
            if self._pongs:
                self._pongs -= 1
                return FrameKind.PONG
            if self._position < self._source.position:
                self._position += 1
                return self._source.frame(self._position)
            await self._source.news()

    async def ping(self) -> None:
        """See :meth:`connector.ports.Connection.ping`."""
        if self._ended is None:
            self._pongs += 1
            self._source.tell()

    async def pong(self) -> None:
        """See :meth:`connector.ports.Connection.pong`."""
        self._source.ponged += 1

    async def close(self, code: int, reason: str) -> None:
        """See :meth:`connector.ports.Connection.close`."""
        self.end(code, reason)

    def end(self, code: int, reason: str = "") -> None:
        """The peer closes."""
        if self._ended is None:
            self._ended = Closed(code, reason)
            self._source.tell()


class FakeSnapshot:
    """Implements :class:`connector.ports.Snapshot`."""

    def __init__(self, position: int, conversations: list[bytes], as_of_ms: int | None = None) -> None:
        self.position = position
        self.as_of_ms = as_of_ms
        self.closed = False
        self._conversations = conversations

    def __len__(self) -> int:
        """How many there are."""
        return len(self._conversations)

    def conversations(self) -> Iterator[bytes]:
        """What the test has given."""
        return iter(self._conversations)

    def close(self) -> None:
        """See :meth:`connector.ports.Snapshot.close`."""
        self.closed = True


class FakeSource:
    """Implements :class:`connector.ports.Source`. Snapshots come from ``snapshots``, when the test puts them there."""

    def __init__(self) -> None:
        self.position = 0
        self.connections: list[FakeConnection] = []
        self.refusals: list[DialFailure] = []
        self.snapshots: asyncio.Queue[FakeSnapshot | DialFailure | None] = asyncio.Queue()
        self.waiting_for_snapshot = False
        self.lapse = SOME_TIME
        self.ponged = 0
        self._dead: set[int] = set()
        self._news = asyncio.Event()

    def happen(self, events: int = 1) -> None:
        """So many more events."""
        self.position += events
        self.tell()

    def kill(self, token: Token) -> None:
        """The platform no longer takes this token."""
        self._dead.add(token.generation)

    def frame(self, position: int) -> bytes:
        """The event at a position."""
        return b'{"sequenceId": %d}' % position

    async def dial(self, token: Token, position: int | None, timeout_s: float) -> FakeConnection:  # noqa: ARG002 - no wire
        """See :meth:`connector.ports.Source.dial`."""
        self._check(token)
        if self.refusals:
            raise DialError(self.refusals.pop(0))
        connection = FakeConnection(self, self.position if position is None else position)
        self.connections.append(connection)
        return connection

    async def snapshot(self, token: Token, lapse: Lapse) -> FakeSnapshot | None:
        """See :meth:`connector.ports.Source.snapshot`."""
        self._check(token)
        self.lapse = lapse
        self.waiting_for_snapshot = True
        try:
            found = await self.snapshots.get()
        finally:
            self.waiting_for_snapshot = False
        if isinstance(found, DialFailure):
            raise DialError(found)
        return found

    def _check(self, token: Token) -> None:
        if token.generation in self._dead:
            raise DialError(DialFailure(FailureKind.UNAUTHORIZED, "the token is dead", 401))

    def tell(self) -> None:
        """Wake whoever waits for something to read."""
        self._news.set()
        self._news = asyncio.Event()

    async def news(self) -> None:
        """Until something has happened."""
        await self._news.wait()
