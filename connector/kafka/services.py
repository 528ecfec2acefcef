"""What the lanes of one worker share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connector.core.boundary import CommitBudget, CommitPolicy
from connector.kafka.client import KafkaClient
from connector.kafka.ownership import Membership
from connector.kafka.topics import Topics
from connector.model import TopicLimits
from connector.ports import LaneListener


@dataclass(frozen=True, slots=True)
class LaneServices:
    """``limits``: what topics accept, by name. ``post`` runs a call on the event loop's thread."""

    client: KafkaClient
    topics: Topics
    lanes: int
    worker: str
    commit: CommitPolicy
    budget: CommitBudget
    limits: Callable[[], Mapping[str, TopicLimits]]
    membership: Callable[[], Membership]
    listener: LaneListener
    post: Callable[..., object]
