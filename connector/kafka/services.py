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


def _nothing(*_measured: object) -> None:
    return


def _read_already(_still: Callable[[], None]) -> None:
    return


@dataclass(frozen=True, slots=True)
class LaneServices:
    """What the lanes of one worker share. ``post`` runs a call on the event loop's thread.

    ``committed`` is told of each transaction its lane, records and seconds, ``renewed`` why a producer was replaced;
    both on the lane's thread. ``read_control`` returns once the control topic is read to its end; it may be given up by
    what is called between its waits.
    """

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
    committed: Callable[[int, int, float], object] = _nothing
    renewed: Callable[[str], object] = _nothing
    read_control: Callable[[Callable[[], None]], None] = _read_already
