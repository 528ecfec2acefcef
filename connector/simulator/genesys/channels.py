"""Notification channels: who has which, what they are subscribed to, and which is evicted. Pure.

A channel is no more once it was evicted, has expired, or its token is dead; the platform does not say which.
Instants are seconds on the platform's clock.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from connector.simulator.genesys.settings import GenesysSettings
from connector.simulator.genesys.topics import TopicFault, expand
from connector.simulator.tokens import IssuedToken


@dataclass(slots=True, eq=False)
class Channel:
    """One channel. ``subscriptions``: the ids as they were asked for, with the topics each stands for."""

    channel_id: str
    number: int
    token: IssuedToken
    expires_at_s: float
    last_used_s: float
    subscriptions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    topics: frozenset[str] = frozenset()
    connected: bool = False
    death: str | None = None

    @property
    def client_id(self) -> str:
        """The OAuth client, which is what counts as user and app."""
        return self.token.client_id

    def ended(self, now_s: float) -> str | None:
        """Why it is no more, or None while it lives."""
        if self.death is not None:
            return self.death
        return "expired" if now_s >= self.expires_at_s else self.token.ended(now_s)

    def replace(self, subscriptions: dict[str, tuple[str, ...]]) -> None:
        """Be subscribed to these from now on."""
        self.subscriptions = subscriptions
        self.topics = frozenset(topic for topics in subscriptions.values() for topic in topics)


class TooManyTopicsError(Exception):
    """More topics than a channel takes."""


class Channels:
    """All channels there ever were."""

    def __init__(self, settings: GenesysSettings) -> None:
        self._settings = settings
        self.all: dict[str, Channel] = {}
        self.created: Counter[str] = Counter()
        self.evicted: Counter[str] = Counter()
        self.most_alive: Counter[str] = Counter()

    def create(self, token: IssuedToken, now_s: float) -> Channel:
        """A channel more for the token's client; beyond the cap another is evicted.

        Those without a connection go first, then the one whose last use is longest ago.
        """
        alive = list(self.alive(token.client_id, now_s))
        if len(alive) >= self._settings.max_channels:
            victim = min(alive, key=lambda each: (each.connected, each.last_used_s, each.number))
            victim.death = "evicted"
            self.evicted[token.client_id] += 1
        number = len(self.all) + 1
        digest = hashlib.blake2b(f"{self._settings.seed}/{number}".encode(), digest_size=13).hexdigest()
        made = Channel(f"streaming-{number}-{digest}", number, token, now_s + self._settings.channel_life_s, now_s)
        self.all[made.channel_id] = made
        self.created[token.client_id] += 1
        count = min(len(alive) + 1, self._settings.max_channels)
        self.most_alive[token.client_id] = max(self.most_alive[token.client_id], count)
        return made

    def alive(self, client_id: str | None, now_s: float) -> Iterator[Channel]:
        """The living channels of a client, or all."""
        of_client = (each for each in self.all.values() if client_id in (None, each.client_id))
        return (each for each in of_client if each.ended(now_s) is None)

    def find(self, channel_id: str, token: IssuedToken, now_s: float) -> Channel | None:
        """The living channel of this id, if the token may name it."""
        found = self.all.get(channel_id)
        if found is None or found.ended(now_s) is not None or found.client_id != token.client_id:
            return None
        return found if self._settings.channel_owner == "app" or found.token is token else None

    def subscribe(self, channel: Channel, ids: Iterable[str], now_s: float, *, add: bool) -> TopicFault | None:
        """Subscribe to these, besides what there is or instead of it; extends the channel's life.

        Raises :class:`TooManyTopicsError` beyond the cap; nothing has changed then, nor after a fault.
        """
        wanted = dict(channel.subscriptions) if add else {}
        for topic_id in ids:
            topics = expand(topic_id)
            if isinstance(topics, TopicFault):
                return topics
            wanted[topic_id] = topics
        if len(wanted) > self._settings.max_topics:
            raise TooManyTopicsError
        channel.replace(wanted)
        channel.expires_at_s = now_s + self._settings.channel_life_s
        channel.last_used_s = now_s
        return None
