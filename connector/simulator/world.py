"""Everything the platform is at a moment: streams, tokens, faults, sockets, ledger. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from connector.simulator.events import EventWriter
from connector.simulator.faults import FaultBoard
from connector.simulator.ledger import SimulatorLedger
from connector.simulator.session import Session
from connector.simulator.settings import SimulatorSettings
from connector.simulator.stream import StreamLog
from connector.simulator.tokens import TokenOffice


class OpenSocket(Protocol):
    """A socket as the faults see it."""

    session: Session

    def nudge(self) -> None:
        """Look again at the session's state: something has changed."""
        ...

    def abort(self) -> None:
        """Reset the TCP connection, without a close frame."""
        ...


class World:
    """The platform's state. Streams come to be when they are first named, with a history since the start."""

    def __init__(self, settings: SimulatorSettings, now: Callable[[], float]) -> None:
        self.settings = settings
        self.now = now
        self.tokens = TokenOffice(settings)
        self.board = FaultBoard()
        self.ledger = SimulatorLedger()
        self.sockets: set[OpenSocket] = set()
        self.streams: dict[str, StreamLog] = {}
        self.started_at_s = now()
        self._writer = EventWriter(settings)
        self._edits: list[Callable[[StreamLog], None]] = []

    def platform_now(self) -> float:
        """The platform's clock, in seconds since the Unix epoch."""
        return self.now() + self.settings.clock_skew_s

    def stream(self, name: str) -> StreamLog:
        """The stream of this name; what was done to all streams before was done to it too."""
        found = self.streams.get(name)
        if found is None:
            found = self.streams[name] = StreamLog(name, self.settings, self._writer, self.started_at_s)
            for edit in self._edits:
                edit(found)
        return found

    def edit(self, stream: str | None, change: Callable[[StreamLog], None]) -> None:
        """Change one stream, or all there are and will be. ``change`` holds its own instant, so it can be replayed."""
        if stream is not None:
            change(self.stream(stream))
        else:
            self._edits.append(change)
            for each in self.streams.values():
                change(each)
        self.nudge(stream)

    def sockets_of(self, stream: str | None) -> Iterator[OpenSocket]:
        """The open sockets of a stream, or all."""
        return (each for each in list(self.sockets) if stream is None or each.session.log.name == stream)

    def nudge(self, stream: str | None = None) -> None:
        """Have the sockets look again."""
        for each in self.sockets_of(stream):
            each.nudge()
