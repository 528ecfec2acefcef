"""What the socket of a channel does next. Pure: the shell in ``simulator.sockets`` writes, waits and asks again.

Instants are seconds on the machine's clock. Notifications leave in the order in which they came, but for ``reorder``.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from connector.simulator.genesys.channels import Channel
from connector.simulator.genesys.life import Notification
from connector.simulator.session import Ending, Rest
from connector.simulator.wire import Opcode, frame

_KEPT_FOR_REPEATS = 1000
_HELD_S = 0.1
_FOREVER_S = 3600.0
_PONG: dict[str, Any] = {"topicName": "channel.metadata", "eventBody": {"message": "pong"}}
_HEARTBEAT: dict[str, Any] = {"topicName": "channel.metadata", "eventBody": {"message": "WebSocket Heartbeat"}}


class Outgoing(NamedTuple):
    """A frame that leaves no earlier than ``due_s``; ``told`` where it is a notification."""

    due_s: float
    data: bytes
    told: Notification | None = None


@dataclass(slots=True)
class OutletRecord:
    """A socket's life, for the ledger; ``sent``: the numbers of the notifications that were handed to TCP."""

    channel_id: str
    client_id: str
    token: int
    opened_at_s: float
    sent: list[int] = field(default_factory=list)
    closed_at_s: float | None = None
    code: int | None = None
    by: str = ""


@dataclass(slots=True)
class Outlet:
    """State of one accepted socket; implements ``simulator.sockets.SocketSession``.

    ``order`` is an ending that someone asked for, not before ``order_at_s``; it waits while the socket is frozen.
    ``closes_when_dead``: the channel's end is the socket's too. ``ended_at_s``: when the platform saw that it is.
    """

    channel: Channel
    record: OutletRecord
    heartbeat_s: float
    next_heartbeat_s: float
    clock_skew_s: float
    closes_when_dead: bool
    frozen_until_s: float = 0.0
    order: Ending | None = None
    order_at_s: float = 0.0
    _queue: deque[Outgoing] = field(default_factory=deque)
    _recent: deque[Outgoing] = field(default_factory=lambda: deque(maxlen=_KEPT_FOR_REPEATS))
    _held: Outgoing | None = None

    def frozen(self, now_s: float) -> bool:
        """Whether nothing may be sent or answered."""
        return now_s < self.frozen_until_s

    def ending(self, now_s: float) -> Ending | Rest:
        """Whether the socket is to be closed now, or when to ask again."""
        if self.frozen(now_s):
            return Rest(self.frozen_until_s)
        if self.order is not None:
            return self.order if now_s >= self.order_at_s else Rest(self.order_at_s)
        if not self.closes_when_dead:
            return Rest(now_s + _FOREVER_S)
        ended = self.channel.ended(now_s + self.clock_skew_s)
        if ended is not None:
            return Ending(1001, ended, expiry=True)
        token = self.channel.token
        return Rest(min(self.channel.expires_at_s, token.expires_at_s, token.idle_from_s) - self.clock_skew_s)

    def sending(self, now_s: float) -> bytes | Rest:
        """The bytes to send next, which count as sent, or when to ask again."""
        if self.frozen(now_s):
            return Rest(self.frozen_until_s)
        if self._held is not None and now_s >= self._held.due_s + _HELD_S:
            self._release()
        if self._queue and self._queue[0].due_s <= now_s:
            outgoing = self._queue.popleft()
            if outgoing.told is not None:
                self.record.sent.append(outgoing.told.number)
                self._recent.append(outgoing)
            return outgoing.data
        if now_s >= self.next_heartbeat_s:
            self.next_heartbeat_s = now_s + self.heartbeat_s
            return _text(_HEARTBEAT)
        wakes = [self.next_heartbeat_s]
        wakes += [self._queue[0].due_s] if self._queue else []
        wakes += [self._held.due_s + _HELD_S] if self._held is not None else []
        return Rest(min(wakes))

    def hear(self, text: str) -> None:
        """A text message of the client: a ping is answered, anything else is not."""
        try:
            message = json.loads(text)
        except ValueError:
            return
        if isinstance(message, dict) and message.get("message") == "ping":
            self._queue.appendleft(Outgoing(0.0, _text(_PONG)))

    def deliver(self, told: Notification, data: bytes, due_s: float, *, reorder: bool) -> None:
        """Send a notification once it is due; ``reorder``: after the next one, if that is about something else."""
        outgoing = Outgoing(due_s, data, told)
        held, self._held = self._held, None
        if held is None and reorder:
            self._held = outgoing
        elif held is None or held.told is None or held.told.keys.items() & told.keys.items():
            self._queue += (held, outgoing) if held is not None else (outgoing,)
        else:
            self._queue += (outgoing, held)

    def tell(self, topic: str, body: dict[str, Any]) -> None:
        """Send a message of the platform's own."""
        self.put(orjson.dumps({"topicName": topic, "eventBody": body}))

    def put(self, text: bytes) -> None:
        """Send any text frame."""
        self._queue.append(Outgoing(0.0, frame(Opcode.TEXT, text)))

    def repeat(self, count: int) -> None:
        """Send the last notifications of this socket once more."""
        self._queue += list(self._recent)[-count:]

    def _release(self) -> None:
        if self._held is not None:
            self._queue.append(self._held)
            self._held = None


def _text(message: dict[str, Any]) -> bytes:
    return frame(Opcode.TEXT, orjson.dumps(message))
