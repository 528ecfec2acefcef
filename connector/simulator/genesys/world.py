"""Everything the organisation is at a moment, and who is told what happens. No I/O."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Protocol

from connector.simulator.faults import FaultBoard
from connector.simulator.genesys.channels import Channel, Channels
from connector.simulator.genesys.clients import Clients
from connector.simulator.genesys.directory import Directory, made_id
from connector.simulator.genesys.faults import Faults
from connector.simulator.genesys.life import Life, Notification
from connector.simulator.genesys.outlet import Outlet, OutletRecord
from connector.simulator.genesys.settings import GenesysSettings
from connector.simulator.ledger import CloseRecord
from connector.simulator.session import Ending
from connector.simulator.timeline import Timeline
from connector.simulator.wire import Opcode, frame


class OpenSocket(Protocol):
    """A socket as the faults see it."""

    @property
    def session(self) -> Outlet:
        """What it does next."""
        ...

    def nudge(self) -> None:
        """Look again: something has changed."""
        ...

    def abort(self) -> None:
        """Reset the TCP connection, without a close frame."""
        ...


class World:
    """The organisation. Before anything is asked or changed, what was due by then happens (:meth:`advance`)."""

    def __init__(self, settings: GenesysSettings, now: Callable[[], float]) -> None:
        self.settings = settings
        self.now = now
        self.clients = Clients(settings)
        self.token_board = FaultBoard()
        self.channels = Channels(settings)
        self.directory = Directory(settings.seed, settings.queues, settings.users)
        self.life = Life(settings.seed, settings.conversations, self.directory)
        self.timeline = Timeline(now(), settings.rate)
        self.faults = Faults()
        self.sockets: dict[str, OpenSocket] = {}
        """Channel id → its socket."""
        self.records: list[OutletRecord] = []
        self.requests: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.windows: dict[str, tuple[float, int]] = {}
        """Token → when its window of REST requests ends, and how many there were."""
        self._happened = 0

    def platform_now(self) -> float:
        """The platform's clock, in seconds since the Unix epoch."""
        return self.now() + self.settings.clock_skew_s

    def advance(self) -> None:
        """Let happen what is due, and hand it to the sockets."""
        head = self.timeline.head(self.now())
        while self._happened < head:
            self._happened += 1
            at_s = self.timeline.time_of(self._happened) + self.settings.clock_skew_s
            for told in self.life.happen(round(at_s * 1000)):
                self._spread(told)

    def next_happening_s(self) -> float:
        """When something happens next; infinity where nothing will."""
        return self.timeline.time_of(self._happened + 1)

    def accept(self, channel: Channel) -> Outlet:
        """A socket for the channel, and in its records; another one of the channel is closed."""
        now_s = self.now()
        former = self.sockets.get(channel.channel_id)
        if former is not None:
            self.counts["displaced"] += 1
            former.session.order = Ending(self.settings.displaced_code, "another connection for this channel")
            former.nudge()
        channel.connected, channel.last_used_s = True, self.platform_now()
        record = OutletRecord(channel.channel_id, channel.client_id, channel.token.jti, now_s)
        self.records.append(record)
        return Outlet(
            channel=channel,
            record=record,
            heartbeat_s=self.settings.heartbeat_s,
            next_heartbeat_s=now_s + self.settings.heartbeat_s,
            clock_skew_s=self.settings.clock_skew_s,
            closes_when_dead=self.settings.dead_socket == "closes",
        )

    def leave(self, outlet: Outlet, socket: OpenSocket | None, close: CloseRecord) -> None:
        """A socket has ended; None where it never came to be."""
        outlet.record.closed_at_s, outlet.record.code, outlet.record.by = close.at_s, close.code, close.by
        channel_id = outlet.channel.channel_id
        if self.sockets.get(channel_id) in (socket, None):
            self.sockets.pop(channel_id, None)
            outlet.channel.connected = False

    def sockets_of(self, channel: str | None) -> Iterator[OpenSocket]:
        """The open socket of a channel, or all."""
        return (each for key, each in list(self.sockets.items()) if channel in (None, key))

    def _spread(self, told: Notification) -> None:
        now_s, platform_s = self.now(), self.platform_now()
        faults = self.faults
        listening = [
            each for each in self.sockets.values()
            if told.topic in each.session.channel.topics and each.session.channel.ended(platform_s) is None
        ]  # fmt: skip
        if len(listening) > 1 and now_s < faults.one_sided_until_s:
            listening = [listening[told.number % len(listening)]]
        for each in listening:
            channel = each.session.channel
            reorder = now_s < faults.reorder_until_s and channel.number % 2 == 0
            due_s = now_s + faults.delay_s(channel.channel_id, now_s)
            each.session.deliver(told, self._encode(told), due_s, reorder=reorder)
            each.nudge()

    def _encode(self, told: Notification) -> bytes:
        once = self.settings.correlation == "event"
        correlation = made_id(self.settings.seed, f"{told.number}") if once else str(uuid.uuid4())
        text = b'{"topicName":"%b","version":"2","eventBody":%b,"metadata":{"CorrelationId":"%b"}}' % (
            told.topic.encode(), told.body, correlation.encode(),
        )  # fmt: skip
        return frame(Opcode.TEXT, text)
