"""Lanes and their streams, as ownership changes: with hand-written lanes and pipelines, no Kafka."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import cast

import pytest

from connector import telemetry
from connector.core.states import State
from connector.model import Batch, Checkpoint
from connector.pipeline import StreamPipeline
from connector.ports import Lane
from connector.supervisor import Supervisor


@dataclass
class FakeLane:
    """A lane that remembers what it was told."""

    number: int
    told: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    state: str = "serving"

    def start(self) -> None:
        """Remember."""
        self.told.append("start")

    def hold(self) -> None:
        """Remember."""
        self.told.append("hold")

    def resume(self) -> None:
        """Remember."""
        self.told.append("resume")

    def finish(self, deadline: float) -> None:  # noqa: ARG002 - the port's signature
        """Remember, and end."""
        self.told.append("finish")
        self.ended.set()

    def submit(self, batch: Batch) -> None:
        """Take nothing."""


@dataclass
class FakeConnection:
    """What the supervisor asks of a connection."""

    connected: bool = True
    state: State = State.LIVE


@dataclass
class FakePipeline:
    """A pipeline that remembers what it was told."""

    name: str
    told: list[object] = field(default_factory=list)
    connection: FakeConnection = field(default_factory=FakeConnection)
    halted: bool = False

    def start(self, checkpoint: Checkpoint | None, incarnation: int = 0) -> None:  # noqa: ARG002 - the pipeline's
        """Remember."""
        self.told.append(("start", checkpoint))

    def stop(self, reason: str) -> None:  # noqa: ARG002 - the pipeline's signature
        """Remember."""
        self.told.append("stop")

    def abandon(self, reason: str) -> None:  # noqa: ARG002 - the pipeline's signature
        """Remember."""
        self.told.append("abandon")

    def restart(self, checkpoint: Checkpoint, incarnation: int) -> None:
        """Remember."""
        self.told.append(("restart", checkpoint, incarnation))

    def committed(self, checkpoint: Checkpoint, entries: int, size_bytes: int) -> None:  # noqa: ARG002
        """Remember."""
        self.told.append(("committed", entries))


class World:
    """A supervisor of two lanes: 0 without streams, 1 with ``a`` and ``b``."""

    def __init__(self) -> None:
        self.lanes: list[FakeLane] = []
        self.pipelines: list[FakePipeline] = []
        self.events: list[telemetry.Event] = []
        self.mismatches: list[str] = []
        self.supervisor = Supervisor(
            {0: [], 1: ["a", "b"], 2: []},
            self._lane,
            self._pipeline,
            self.events.append,
            lambda _stream: 10_000,
            self.mismatches.append,
        )

    def _lane(self, number: int) -> Lane:
        self.lanes.append(FakeLane(number))
        return cast("Lane", self.lanes[-1])

    def _pipeline(self, name: str, lane: Lane) -> StreamPipeline:
        del lane
        self.pipelines.append(FakePipeline(name))
        return cast("StreamPipeline", self.pipelines[-1])

    async def assigned(self, *lanes: int) -> None:
        """The group gave these lanes."""
        self.supervisor.assigned(frozenset(lanes))
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> World:
    """On the test's own loop."""
    return World()


async def test_lane_0_is_opened_although_it_has_no_streams(world: World) -> None:
    """It carries the number of lanes; other empty lanes stay closed."""
    await world.assigned(0, 1, 2)
    assert [lane.number for lane in world.lanes] == [0, 1]


async def test_streams_go_on_from_their_checkpoints(world: World) -> None:
    """A stream with a checkpoint goes on from it; one without is new."""
    await world.assigned(1)
    at = Checkpoint("a", position=5)
    world.supervisor.lane_opened(1, {"a": at})
    assert [(p.name, p.told) for p in world.pipelines] == [("a", [("start", at)]), ("b", [("start", None)])]


async def test_a_lost_lane_keeps_its_streams_and_writes_nothing(world: World) -> None:
    """LOST is not revoked: sockets stay, the lane is held, and goes on when it is ours again (KAFKA.md 13)."""
    await world.assigned(1)
    world.supervisor.lane_opened(1, {})
    world.supervisor.lost(frozenset({1}))
    await asyncio.sleep(0)
    assert world.lanes[0].told == ["start", "hold"]
    assert all("stop" not in p.told for p in world.pipelines)
    await world.assigned(1)
    assert world.lanes[0].told == ["start", "hold", "resume"]


async def test_a_lane_that_does_not_open_is_not_served(world: World) -> None:
    """One without streams is; one that was lost is not even ours."""
    await world.assigned(0, 1, 2)
    assert (len(world.supervisor.lanes), world.supervisor.serving) == (3, 3)
    world.lanes[1].state = "in doubt: init: no permission on the transactional id"
    assert (len(world.supervisor.lanes), world.supervisor.serving) == (3, 2)
    world.supervisor.lost(frozenset({0, 1, 2}))
    await asyncio.sleep(0)
    assert (len(world.supervisor.lanes), world.supervisor.serving) == (0, 0)


async def test_a_lost_lane_that_is_another_workers_is_closed(world: World) -> None:
    """After the rejoin the group's word decides."""
    await world.assigned(1)
    world.supervisor.lane_opened(1, {})
    world.supervisor.lost(frozenset({1}))
    await world.assigned(0)
    assert world.lanes[0].told == ["start", "hold", "finish"]
    assert all(p.told[-1] == "stop" for p in world.pipelines)


async def test_a_revoke_waits_for_the_lane_but_not_beyond_its_deadline(world: World) -> None:
    """The membership's thread waits until nothing more is written, at the latest until the deadline (KAFKA.md 14)."""
    await world.assigned(1)
    world.supervisor.lane_opened(1, {})
    await asyncio.to_thread(world.supervisor.revoked, frozenset({1}), time.monotonic() + 5)
    assert world.lanes[0].told == ["start", "finish"]
    assert world.supervisor.lanes == frozenset()


async def test_commits_reach_their_stream_with_the_lag(world: World) -> None:
    """The lag is the platform's now minus the last event's time."""
    await world.assigned(1)
    world.supervisor.lane_opened(1, {})
    world.supervisor.committed(1, Checkpoint("a", position=6, event_time_ms=9_500), 3, 100)
    assert world.pipelines[0].told[-1] == ("committed", 3)
    committed = [e for e in world.events if isinstance(e, telemetry.Committed)]
    assert [e.lag_s for e in committed] == [0.5]


async def test_a_rewound_stream_starts_again_with_a_new_incarnation(world: World) -> None:
    """Kafka has less than was committed: the stream begins again from there."""
    await world.assigned(1)
    world.supervisor.lane_opened(1, {})
    at = Checkpoint("b", position=2)
    world.supervisor.rewound(1, at, 4)
    assert world.pipelines[1].told[-1] == ("restart", at, 4)


async def test_a_fault_in_one_stream_leaves_the_others_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The faulty stream starts again from its last commit."""
    monkeypatch.setattr("connector.supervisor._FAULT_PAUSE_S", 0.0)
    await world.assigned(1)
    world.supervisor.lane_opened(1, {})
    at = Checkpoint("a", position=6)
    world.supervisor.committed(1, at, 3, 100)
    world.supervisor.pipeline_failed("a", RuntimeError("boom"))
    await asyncio.sleep(0.01)
    assert world.pipelines[0].told[-1] == "abandon"
    assert (world.pipelines[2].name, world.pipelines[2].told) == ("a", [("start", at)])
    assert world.pipelines[1].told == [("start", None)]


async def test_what_keeps_a_worker_from_being_ready_is_said(world: World) -> None:
    """Each reason names what it is about."""
    assert "not joined" in world.supervisor.unready()[0]
    await world.assigned(1)
    world.supervisor.lane_opened(1, {})
    assert world.supervisor.unready() == []
    world.pipelines[0].connection = FakeConnection(connected=False, state=State.BREAKER_OPEN)
    world.supervisor.suspended_stream("b", "t", "gone")
    reasons = " | ".join(world.supervisor.unready())
    assert "stream a: breaker_open" in reasons
    assert "stream b is suspended: topic t: gone" in reasons


async def test_a_refused_lane_is_tried_again_if_the_group_still_gives_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker said that we are no member; when the group still says we are, the lane goes on."""
    monkeypatch.setattr("connector.supervisor._REGAIN_S", 0.0)
    await world.assigned(1)
    world.supervisor.lane_opened(1, {})
    world.supervisor.lane_refused(1)
    await asyncio.sleep(0.01)
    assert world.lanes[0].told == ["start", "hold", "resume"]


async def test_a_lane_that_does_not_exist_ends_the_worker(world: World) -> None:
    """A checkpoint topic that was given more partitions must not silently hand out new lanes (KAFKA.md 10)."""
    await world.assigned(1, 7)
    assert "7" in world.mismatches[0]
    assert world.lanes == []


async def test_a_stream_that_left_is_no_concern_of_this_worker(world: World) -> None:
    """Its metrics are told to go, and what was wrong with it no longer keeps this worker from being ready."""
    await world.assigned(0, 1)
    world.supervisor.lane_opened(1, {})
    world.supervisor.suspended_stream("b", "t", "gone")
    await asyncio.to_thread(world.supervisor.revoked, frozenset({1}), time.monotonic() + 5)
    assert world.supervisor.unready() == []
    assert [e.stream for e in world.events if isinstance(e, telemetry.StreamLeft)] == ["a", "b"]
