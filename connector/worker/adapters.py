"""From a platform's settings to the adapter of its kind. The pipeline never names a platform."""

from __future__ import annotations

import aiohttp

from connector.core.channels import Channels
from connector.core.frames import FrameReader
from connector.core.notifications import NotificationReader
from connector.platforms.genesys_api import ApiPlace, GenesysApi
from connector.platforms.notifications import NotificationSource
from connector.platforms.topics import TopicList, TopicPlan
from connector.platforms.websocket import Handshake, SequencePlatform, SequenceSource
from connector.ports import Clock, Source
from connector.settings import AnyPlatform, SequenceSettings, StreamSettings
from connector.stream.parts import Frames

_REFUSALS = range(400, 600)
"""Statuses of HTTP by which a position can be refused."""


def source(
    platform: AnyPlatform,
    stream: StreamSettings,
    session: aiohttp.ClientSession,
    clock: Clock,
    channels: Channels | None = None,
) -> Source:
    """The platform as one stream sees it. ``channels``: those that it may use again, where it has channels."""
    if isinstance(platform, SequenceSettings):
        return SequenceSource(session, wire(platform), stream.channel_name)
    headers, proxy = platform.revealed_headers(), platform.proxy_of(platform.api)
    api = GenesysApi(session, ApiPlace(platform.api, headers, proxy), clock)
    names = {"queues": stream.queues, "users": stream.users}
    topics = TopicList(api, TopicPlan(stream.subscribe, names, platform.names_refresh_seconds), clock)
    handshake = Handshake(headers, platform.max_frame_bytes, proxy, compression=platform.compression)
    return NotificationSource(session, api, topics, handshake, clock, Channels() if channels is None else channels)


def frames(platform: AnyPlatform) -> Frames:
    """What reads the platform's messages."""
    return FrameReader(platform.position.field) if isinstance(platform, SequenceSettings) else NotificationReader()


def wire(platform: SequenceSettings) -> SequencePlatform:
    """Where a platform is, and what its wire calls things."""
    refusal = platform.expired_position
    return SequencePlatform(
        stream_url=platform.stream_url,
        snapshot_url=platform.snapshot_url,
        position_parameter=platform.position.parameter,
        position_field=platform.position.field,
        headers=platform.revealed_headers(),
        max_frame_bytes=platform.max_frame_bytes,
        expired_position_status=refusal if isinstance(refusal, int) and refusal in _REFUSALS else None,
        stream_proxy=platform.proxy_of(platform.stream_url),
        snapshot_proxy=platform.proxy_of(platform.snapshot_url or ""),
        compression=platform.compression,
    )
