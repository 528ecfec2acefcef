"""Messages of Genesys Cloud's Notifications API: ``{topicName, version, eventBody, metadata}``. Pure.

Heartbeats and the ``v2.system.*`` topics, which arrive unasked, speak of the connection; everything else is an event.
"""

from __future__ import annotations

import hashlib
from enum import Enum, auto

import orjson

from connector.core.frames import Event, Unread

PING = b'{"message":"ping"}'
"""What the platform answers on ``channel.metadata``."""
_MARKS = (b'"channel.metadata"', b'"v2.system.')
_UNNUMBERED = 0


class Signal(Enum):
    """What a message is about."""

    EVENT = auto()
    ALIVE = auto()  # a heartbeat, an answer to a ping, or a system topic that asks nothing of us
    CLOSING = auto()  # the platform will close the socket, in about a minute
    TOKEN_REVOKED = auto()
    UNSUBSCRIBED = auto()  # the channel brings nothing more


_SYSTEM = {
    "v2.system.socket_closing": Signal.CLOSING,
    "v2.system.token_revoked": Signal.TOKEN_REVOKED,
    "v2.system.no_longer_subscribed": Signal.UNSUBSCRIBED,
}


def read_signal(frame: bytes) -> Signal:
    """What a message is about; what cannot be read is an event's trouble. The look for marks spares events a parse."""
    if not any(mark in frame for mark in _MARKS):
        return Signal.EVENT
    topic = _topic(_parse(frame))
    if topic == "channel.metadata":
        return Signal.ALIVE
    if not topic.startswith("v2.system."):
        return Signal.EVENT
    return next((found for name, found in _SYSTEM.items() if f"{topic}.".startswith(f"{name}.")), Signal.ALIVE)


class NotificationReader:
    """Reads messages of a channel. Its events carry no position."""

    def read(self, frame: bytes) -> list[Event | Unread]:
        """The event in a message. Never raises for what a platform sends."""
        document = _parse(frame)
        if document is None:
            return [Unread("not_json", frame)]
        if not isinstance(document, dict):
            return [Unread("not_an_object", frame)]
        if not _topic(document):
            return [Unread("no_topic", frame)]
        return [Event(_UNNUMBERED, document, frame)]


def identity(document: object) -> str:
    """The same for every delivery of an event: topic and body; ``metadata`` is the delivery's own."""
    body = document.get("eventBody") if isinstance(document, dict) else document
    told = orjson.dumps([_topic(document), body], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(told, digest_size=12).hexdigest()


def _parse(frame: bytes) -> object:
    try:
        return orjson.loads(frame)
    except orjson.JSONDecodeError:
        return None


def _topic(document: object) -> str:
    found = document.get("topicName") if isinstance(document, dict) else None
    return found if isinstance(found, str) else ""
