"""Messages of the Notifications API: what they are about, what they carry, how often they may be asked for."""

from __future__ import annotations

import pytest

from connector.core.frames import Event, Unread
from connector.core.notifications import NotificationReader, Signal, identity, read_signal
from connector.core.rate_limit import RateLimit


@pytest.mark.parametrize(
    ("frame", "signal"),
    [
        (b'{"topicName":"channel.metadata","eventBody":{"message":"WebSocket Heartbeat"}}', Signal.ALIVE),
        (b'{"topicName":"v2.system.socket_closing","eventBody":{}}', Signal.CLOSING),
        (b'{"topicName":"v2.system.token_revoked.u1","eventBody":{}}', Signal.TOKEN_REVOKED),
        (b'{"topicName":"v2.system.no_longer_subscribed.c1","eventBody":{}}', Signal.UNSUBSCRIBED),
        (b'{"topicName":"v2.system.something_new","eventBody":{}}', Signal.ALIVE),
        (b'{"topicName":"v2.users.a.presence","eventBody":{"message":"channel.metadata"}}', Signal.EVENT),
        (b'{"topicName":"v2.users.a.presence","eventBody":{"x":"channel.metadata","y":"v2.system.x"}}', Signal.EVENT),
        (b'["channel.metadata"]', Signal.EVENT),
        (b'"channel.metadata" is not JSON', Signal.EVENT),
        (b"\xff", Signal.EVENT),
    ],
)
def test_signals(frame: bytes, signal: Signal) -> None:
    """Only the topic counts, and what cannot be read is an event's trouble."""
    assert read_signal(frame) is signal


def test_reading() -> None:
    """An event is a document with a topic; its bytes stay as they are."""
    frame = b'{"topicName": "v2.users.a.presence",  "eventBody": {}}'
    assert NotificationReader().read(frame) == [Event(0, {"topicName": "v2.users.a.presence", "eventBody": {}}, frame)]
    assert NotificationReader().read(b"{") == [Unread("not_json", b"{")]
    assert NotificationReader().read(b"[1]") == [Unread("not_an_object", b"[1]")]
    assert NotificationReader().read(b"{}") == [Unread("no_topic", b"{}")]


def test_identity_is_what_an_event_carries() -> None:
    """Not its delivery, nor the order of its members."""
    one = {"topicName": "t", "eventBody": {"a": 1, "b": 2}, "metadata": {"CorrelationId": "1"}}
    other = {"metadata": {"CorrelationId": "2"}, "eventBody": {"b": 2, "a": 1}, "version": "2", "topicName": "t"}
    assert identity(one) == identity(other)
    assert identity(one) != identity({**one, "topicName": "u"})
    assert identity(one) != identity({**one, "eventBody": {"a": 1, "b": 3}})


def test_rate_limit() -> None:
    """What is used up counts anew after the reset; Retry-After is obeyed; nothing makes it shorter."""
    limit = RateLimit()
    limit.told({"inin-ratelimit-count": "299", "inin-ratelimit-allowed": "300", "inin-ratelimit-reset": "30"}, 10)
    assert limit.due == 0
    limit.told({"inin-ratelimit-count": "300", "inin-ratelimit-allowed": "300", "inin-ratelimit-reset": "30"}, 10)
    assert limit.due == 40
    limit.told({"Retry-After": "5"}, 20)
    assert limit.due == 40
    limit.told({"Retry-After": "50"}, 20)
    assert limit.due == 70
    limit.told({}, 100)
    assert limit.due == 70
