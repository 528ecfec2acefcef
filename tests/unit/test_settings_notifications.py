"""The configuration of the kind ``genesys-notifications``."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from connector.settings import NotificationsSettings, Settings
from connector.settings.fields import explain
from connector.worker import plans

TOPIC = "v2.routing.queues.{id}.conversations"


def document(stream: dict[str, Any] | None = None, **platform: Any) -> dict[str, Any]:  # noqa: ANN401 - any setting
    """The least, with more of the stream's and the platform's."""
    auth = {"client_id": "c", "client_secret": "s"}
    own = {"kind": "genesys-notifications", "region": "mypurecloud.de", "auth": auth}
    return {
        "group": "g",
        "kafka": {"bootstrap_servers": "b:9092"},
        "platforms": {"genesys": own | platform},
        "streams": [{"name": "wfm", "platform": "genesys", "topic": "t", "subscribe": [TOPIC]} | (stream or {})],
    }


def faults(document: dict[str, Any]) -> set[str]:
    """The places of the faults."""
    with pytest.raises(ValidationError) as raised:
        Settings(**document)
    return {".".join(map(str, fault.location)) for fault in explain(raised.value, Settings)}


def test_region_gives_the_addresses() -> None:
    """Of API and login."""
    platform = Settings(**document()).platforms["genesys"]
    assert isinstance(platform, NotificationsSettings)
    assert platform.api == "https://api.mypurecloud.de"
    assert platform.auth.token_url == "https://login.mypurecloud.de/oauth/token"


def test_addresses_in_place_of_a_region() -> None:
    """For gateways and tests."""
    settings = Settings(**document(region=None, api_url="http://a/", login_url="http://l/"))
    platform = settings.platforms["genesys"]
    assert isinstance(platform, NotificationsSettings)
    assert (platform.api, platform.auth.token_url) == ("http://a", "http://l/oauth/token")


def test_streams_find_keys_and_times_in_the_body() -> None:
    """Unless they say where else."""
    stream = Settings(**document()).streams[0]
    assert (stream.key[0], stream.key[-1]) == ("/eventBody/conversationId", "/topicName")
    assert (stream.type, stream.time) == ("/topicName", "/eventBody/eventTime")
    assert Settings(**document({"time": "/eventBody/at"})).streams[0].time == "/eventBody/at"


def test_plan() -> None:
    """No resume, overlap, ordinals of our own; a gap is made good from the details query."""
    settings = Settings(**document())
    plan = plans.stream_plan(settings, settings.streams[0])
    assert (plan.resumes, plan.contiguous, plan.policy.overlap, plan.on_gap) == (False, True, True, "snapshot")
    assert not plan.policy.resumes
    assert plan.identity is not None


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"region": "mypurecloud.xy"}, "platforms.genesys.region"),
        ({"region": None}, "platforms.genesys.region"),
        ({"api_url": "http://a"}, "platforms.genesys.region"),
        ({"stream_url": "wss://x"}, "platforms.genesys.stream_url"),
        ({"kind": "other"}, "platforms.genesys.kind"),
        ({"kind": ["other"]}, "platforms.genesys.kind"),
        ({"stream": {"subscribe": []}}, "streams.0.subscribe"),
        ({"stream": {"subscribe": ["users"]}}, "streams.0.subscribe.0"),
        ({"stream": {"subscribe": ["v2.detail.events.conversation.{id}.acd.start"]}}, "streams.0.subscribe.0"),
        ({"stream": {"subscribe": ["v2.users.{id}.{id}"]}}, "streams.0.subscribe.0"),
        ({"stream": {"subscribe": [f"v2.users.{'a' * 200}"]}}, "streams.0.subscribe.0"),
        ({"stream": {"channel": "c"}}, "streams.0.channel"),
        ({"stream": {"start": "earliest"}}, "streams.0.start"),
    ],
)
def test_faults(changes: dict[str, Any], place: str) -> None:
    """Each at its place."""
    stream = changes.pop("stream", None)
    assert place in faults(document(stream, **changes))


def test_other_kinds_subscribe_nothing() -> None:
    """Their streams have a channel."""
    changed = document()
    auth = {"token_url": "http://t", "client_id": "c", "client_secret": "s"}
    changed["platforms"]["genesys"] = {"kind": "genesys-sequence", "stream_url": "ws://s", "auth": auth}
    assert faults(changed) == {"streams.0.subscribe"}
