"""A lane's writer on real Kafka without streams: batches go in by hand, and what it tells its listener is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient

from connector.core.boundary import CommitBudget, CommitPolicy
from connector.core.checkpoint import LANES_KEY, decode
from connector.kafka.client import KafkaClient
from connector.kafka.ownership import GroupMember, Membership
from connector.kafka.services import LaneServices
from connector.kafka.topics import TopicPlan, Topics
from connector.kafka.writer import LaneWriter
from connector.model import Batch, Checkpoint, Entry, Headers, TopicLimits
from tests.support.broker import fresh_name
from tests.support.ledger import Comparison, Record, compare, read

PATIENCE_S = 25.0
"""Longest wait for anything; nothing is measured by it."""
DEFAULT_LIMITS = {"": TopicLimits(1)}


class News:
    """A condition that whoever tells something signals, and whoever waits for it looks at."""

    def __init__(self) -> None:
        self._condition = threading.Condition()

    def tell(self, change: Callable[[], object]) -> None:
        """Make the change and wake who waits."""
        with self._condition:
            change()
            self._condition.notify_all()

    def wait(self, what: str, until: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        """Return once ``until`` holds; raises TimeoutError. Looks twenty times a second even if nothing was told.

        A ``KafkaException`` while looking means not yet: a new partition has no leader for a moment.
        """
        deadline = time.monotonic() + timeout_s
        with self._condition:
            while not _holds(until):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{what}: not within {timeout_s:g} s")
                self._condition.wait(0.05)


def _holds(until: Callable[[], bool]) -> bool:
    try:
        return until()
    except KafkaException:
        return False


class Told(News):
    """Implements :class:`connector.ports.LaneListener`: keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: dict[int, Mapping[str, Checkpoint]] = {}
        self.commits: dict[str, Checkpoint] = {}
        self.suspended: dict[str, str] = {}
        self.refused: list[int] = []
        self.refused_records: list[tuple[str, int]] = []
        self.mismatches: list[str] = []
        self.rewinds: list[Checkpoint] = []
        self.renounces: dict[str, tuple[Checkpoint | None, int]] = {}

    def lane_opened(self, lane: int, checkpoints: Mapping[str, Checkpoint]) -> None:
        """See :class:`connector.ports.LaneListener`."""
        self.tell(lambda: self.opened.update({lane: checkpoints}))

    def committed(self, lane: int, checkpoint: Checkpoint, entries: int, size_bytes: int) -> None:  # noqa: ARG002
        """See :class:`connector.ports.LaneListener`."""
        self.tell(lambda: self.commits.update({checkpoint.stream: checkpoint}))

    def rewound(self, lane: int, checkpoint: Checkpoint, incarnation: int) -> None:  # noqa: ARG002
        """See :class:`connector.ports.LaneListener`."""
        self.tell(lambda: self.rewinds.append(checkpoint))

    def renounced(self, lane: int, stream: str, checkpoint: Checkpoint | None, incarnation: int) -> None:  # noqa: ARG002
        """See :class:`connector.ports.LaneListener`."""
        self.tell(lambda: self.renounces.update({stream: (checkpoint, incarnation)}))

    def suspended_stream(self, stream: str, topic: str, reason: str) -> None:
        """See :class:`connector.ports.LaneListener`."""
        self.tell(lambda: self.suspended.update({stream: f"{topic}: {reason}"}))

    def restored_stream(self, stream: str) -> None:
        """See :class:`connector.ports.LaneListener`."""
        self.tell(lambda: self.suspended.pop(stream))

    def refused_record(self, stream: str, position: int) -> None:
        """See :class:`connector.ports.LaneListener`."""
        self.tell(lambda: self.refused_records.append((stream, position)))

    def lane_refused(self, lane: int) -> None:
        """See :class:`connector.ports.LaneListener`."""
        self.tell(lambda: self.refused.append(lane))

    def mismatched(self, reason: str) -> None:
        """See :class:`connector.ports.LaneListener`."""
        self.tell(lambda: self.mismatches.append(reason))


class Roster(News):
    """Implements :class:`connector.ports.LaneOwner`: lets go of lanes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.owned: frozenset[int] = frozenset()
        self.lost_lanes: frozenset[int] = frozenset()
        self.assignments = 0

    def assigned(self, lanes: frozenset[int]) -> None:
        """See :class:`connector.ports.LaneOwner`."""

        def change() -> None:
            self.owned = lanes
            self.assignments += 1

        self.tell(change)

    def revoked(self, lanes: frozenset[int], deadline: float) -> None:  # noqa: ARG002
        """See :class:`connector.ports.LaneOwner`."""
        self.tell(lambda: setattr(self, "owned", self.owned - lanes))

    def lost(self, lanes: frozenset[int]) -> None:
        """See :class:`connector.ports.LaneOwner`."""
        self.tell(lambda: setattr(self, "lost_lanes", self.lost_lanes | lanes))

    def wait_for(self, count: int, timeout_s: float = PATIENCE_S) -> None:
        """Return once so many lanes are ours."""
        self.wait(f"{count} lanes", lambda: len(self.owned) == count, timeout_s)


class Member:
    """A real membership of the group, whose lanes nobody serves but who is told to."""

    def __init__(self, client: KafkaClient) -> None:
        self.roster = Roster()
        self.group = GroupMember(client, self.roster)
        self.group.start()

    def leave(self) -> None:
        """Leave the group; returns when the thread has ended. Idempotent."""
        self.group.stop(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.leave()


@dataclass
class Site:
    """Names of one test on a cluster, and questions to its topics."""

    bootstrap: str
    lanes: int = 2
    session_timeout_s: float = 6.0
    group: str = field(default_factory=lambda: fresh_name("rule"))

    @property
    def topic(self) -> str:
        """The event topic."""
        return f"{self.group}-events"

    @property
    def client(self) -> KafkaClient:
        """Clients of the bridge, by the way without a proxy."""
        return KafkaClient(self.bootstrap, self.group, session_timeout_s=self.session_timeout_s)

    @property
    def topics(self) -> Topics:
        """The bridge's view of topics."""
        return Topics(self.client, self.admin, self.lanes, TopicPlan())

    @cached_property
    def admin(self) -> AdminClient:
        """An administrator; kept, since one that is dropped answers no more."""
        return AdminClient(self.client.common())

    def rig(self, **options: object) -> LaneRig:
        """A lane's writer, its topics made; options are :class:`LaneRig`'s."""
        self.make_topics()
        return LaneRig(self, **options)  # type: ignore[arg-type]  # checked by the test that runs it

    def make_topics(self) -> None:
        """Make the topics and wait until they answer: a new partition has no leader for a moment."""
        self.topics.ensure([self.topic])
        client = self.client
        names = [self.topic, client.checkpoints_topic, client.dead_letter_topic]
        News().wait("the topics", lambda: read(self.bootstrap, names, committed=False) is not None)

    def events(self, *, committed: bool = True, topic: str | None = None) -> tuple[Record, ...]:
        """What a reader finds in the event topic."""
        return read(self.bootstrap, [topic or self.topic], committed=committed, timeout_s=PATIENCE_S)

    def dead_letters(self) -> dict[int, Record]:
        """Position → dead letter."""
        found = read(self.bootstrap, [self.client.dead_letter_topic], timeout_s=PATIENCE_S)
        return {int(record.headers["position"]): record for record in found}

    def checkpoint(self, stream: str = "s") -> Checkpoint | None:
        """The stream's last checkpoint, as a read_committed reader finds it in any lane."""
        found = read(self.bootstrap, [self.client.checkpoints_topic], timeout_s=PATIENCE_S)
        values = [r.value for r in found if r.key == stream.encode() != LANES_KEY.encode()]
        return decode(values[-1]) if values else None

    def judge(self, positions: Iterable[int], *, stream: str = "s", topic: str | None = None) -> Comparison:
        """Compare the event topic with what was handed in."""
        return compare(((p, value_of(stream, p)) for p in positions), self.events(topic=topic), stream=stream)


def value_of(stream: str, position: int) -> bytes:
    """What a test's event of this position holds."""
    return f"event {position} of {stream}".encode()


def entry(
    topic: str,
    position: int,
    *,
    stream: str = "s",
    value: bytes | None = None,
    timestamp_ms: int | None = None,
    key: str = "conversation",
) -> Entry:
    """An event's record as a stream would hand it over."""
    headers: Headers = [("ce_id", f"0/{position}"), ("ce_source", f"/ccaas/test/sim/{stream}")]
    now_ms = time.time_ns() // 1_000_000
    value = value_of(stream, position) if value is None else value
    return Entry(position, 0, topic, key, value, headers, timestamp_ms or now_ms, now_ms)


class LaneRig:
    """A running :class:`LaneWriter`, the only one of its lane unless the test says otherwise."""

    def __init__(
        self,
        site: Site,
        *,
        bootstrap: str | None = None,
        lane: int = 0,
        commit: CommitPolicy | None = None,
        membership: Callable[[], Membership] | None = None,
        properties: Mapping[str, object] | None = None,
        limits: Mapping[str, TopicLimits] = DEFAULT_LIMITS,
    ) -> None:
        """``bootstrap``: by way of a proxy. ``membership``: else an outsider's of a group that has no members."""
        self.site = site
        self.told = Told()
        self._client = client = KafkaClient(bootstrap or site.bootstrap, site.group, properties or {})
        self._outsider = Consumer(KafkaClient(site.bootstrap, site.group).member())
        alone = Membership(frozenset(range(site.lanes)), self._outsider.consumer_group_metadata(), joined=True)
        policy = commit or CommitPolicy()
        services = LaneServices(
            client=client,
            topics=site.topics,
            lanes=site.lanes,
            worker="test",
            commit=policy,
            budget=CommitBudget(policy.max_per_second),
            limits=lambda: limits,
            membership=membership or (lambda: alone),
            listener=self.told,
            post=lambda call, *arguments: call(*arguments),
        )
        self.writer = LaneWriter(lane, services)
        self.writer.start()

    def opened(self) -> Mapping[str, Checkpoint]:
        """Return once the lane is open: how far its streams have come."""
        self.told.wait("lane open", lambda: self.writer.lane in self.told.opened)
        return self.told.opened[self.writer.lane]

    def submit(
        self, positions: Iterable[int], *, stream: str = "s", topic: str | None = None, urgent: bool = True
    ) -> None:
        """Hand over one batch of ordinary events."""
        self.hand([entry(topic or self.site.topic, p, stream=stream) for p in positions], stream=stream, urgent=urgent)

    def hand(self, entries: list[Entry], *, stream: str = "s", urgent: bool = True) -> None:
        """Hand over one batch."""
        size = sum(len(e.value) for e in entries)
        self.writer.submit(Batch(stream, 0, 0, entries, size, urgent=urgent))

    def start_at(self, position: int | None, *, stream: str = "s") -> None:
        """Hand over the initial checkpoint of a stream that has none."""
        self.writer.submit(Batch(stream, 0, 0, [], start=Checkpoint(stream, position=position)))

    def committed(self, position: int, *, stream: str = "s", timeout_s: float = PATIENCE_S) -> Checkpoint:
        """Return the checkpoint once the stream is committed up to ``position``."""

        def reached() -> bool:
            checkpoint = self.told.commits.get(stream)
            return checkpoint is not None and (checkpoint.position or 0) >= position

        self.told.wait(f"{stream} at {position} (lane: {self.writer.state})", reached, timeout_s)
        return self.told.commits[stream]

    def wait_state(self, part: str) -> None:
        """Return once the lane's state has this in it."""
        self.told.wait(f"state {part!r}", lambda: part in self.writer.state)

    def stop(self, within_s: float = 5.0) -> None:
        """Commit what is in hand, at most so long (0: give up what is open), and end. Idempotent."""
        self.writer.finish(time.monotonic() + within_s)
        if not self.writer.ended.wait(PATIENCE_S):
            raise TimeoutError(f"the lane does not end: {self.writer.state}")
        self._outsider.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop(0.0 if error is not None else 5.0)
