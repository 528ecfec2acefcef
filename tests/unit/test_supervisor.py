"""Lanes and their streams, as ownership changes: with hand-written lanes and pipelines, no Kafka."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import cast

import pytest

from connector import telemetry
from connector.core.relocation import Relocation
from connector.core.states import State
from connector.lane_streams import StreamMakers
from connector.model import Batch, Checkpoint, DesiredState, PositionChange, Target
from connector.ports import Lane
from connector.stream.pipeline import StreamPipeline
from connector.supervisor import Supervisor


@dataclass
class FakeLane:
    """A lane that remembers what it was told."""

    number: int
    told: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    state: str = "serving"
    batches: list[Batch] = field(default_factory=list)
    renouncing: list[str] = field(default_factory=list)

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

    def renounce(self, stream: str) -> None:
        """Remember."""
        self.told.append(f"renounce {stream}")
        self.renouncing.append(stream)

    def submit(self, batch: Batch) -> None:
        """Remember."""
        self.batches.append(batch)


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

    def start(self, checkpoint: Checkpoint | None, incarnation: int = 0) -> None:
        """Remember."""
        self.told.append(("start", checkpoint))
        self.incarnation = incarnation

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
        self.desired: dict[str, DesiredState] = {}
        self.halts: list[tuple[str, tuple[int, int]]] = []
        makers = StreamMakers(
            self._pipeline,
            self._move,
            lambda name: self.desired.get(name, DesiredState(name)),
            lambda name, at: self.halts.append((name, at)),
            self.events.append,
        )
        self.supervisor = Supervisor(
            {0: [], 1: ["a", "b"], 2: []}, self._lane, makers, lambda _stream: 10_000, self.mismatches.append
        )

    def _lane(self, number: int) -> Lane:
        self.lanes.append(FakeLane(number))
        return cast("Lane", self.lanes[-1])

    def _pipeline(self, name: str, lane: Lane) -> StreamPipeline:
        del lane
        self.pipelines.append(FakePipeline(name))
        return cast("StreamPipeline", self.pipelines[-1])

    def _move(self, name: str, relocation: Relocation, incarnation: int) -> Batch:
        return Batch(name, incarnation, relocation.move.to.epoch, [], move=relocation.move)

    def told(self, desired: DesiredState) -> None:
        """There is word of what a stream is to do."""
        self.desired[desired.stream] = desired
        self.supervisor.told(desired.stream)

    def forgotten(self, checkpoint: Checkpoint | None) -> None:
        """Lane 1 has forgotten the former life of ``a``, once, as it was asked to."""
        assert self.lanes[0].renouncing == ["a"]
        self.lanes[0].renouncing.clear()
        self.supervisor.renounced(1, "a", checkpoint, 1)

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
    """The lag is the platform's now minus the last event's time; no event is from the future."""
    await world.assigned(1)
    world.supervisor.lane_opened(1, {})
    world.supervisor.committed(1, Checkpoint("a", position=6, event_time_ms=9_500), 3, 100)
    assert world.pipelines[0].told[-1] == ("committed", 3)
    world.supervisor.committed(1, Checkpoint("a", position=7, event_time_ms=10_001), 1, 100)
    committed = [e for e in world.events if isinstance(e, telemetry.Committed)]
    assert [e.lag_s for e in committed] == [0.5, 0.0]


async def test_a_rewound_stream_starts_again_with_a_new_incarnation(world: World) -> None:
    """Kafka has less than was committed: the stream begins again from there."""
    await world.assigned(1)
    world.supervisor.lane_opened(1, {})
    at = Checkpoint("b", position=2)
    world.supervisor.rewound(1, at, 4)
    assert world.pipelines[1].told[-1] == ("restart", at, 4)


async def test_a_fault_in_one_stream_leaves_the_others_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The faulty stream starts again, once its lane holds nothing of it any more, from what is committed by then."""
    monkeypatch.setattr("connector.lane_streams._FAULT_PAUSE_S", 0.0)
    await world.assigned(1)
    world.supervisor.lane_opened(1, {})
    at = Checkpoint("a", position=6)
    world.supervisor.committed(1, at, 3, 100)
    world.supervisor.pipeline_failed("a", RuntimeError("boom"))
    await asyncio.sleep(0.01)
    assert world.pipelines[0].told[-1] == "abandon"
    assert world.lanes[0].told[-1] == "renounce a"
    assert len(world.pipelines) == 2
    behind = Checkpoint("a", position=8)
    world.supervisor.committed(1, behind, 2, 70)
    world.supervisor.renounced(1, "a", behind, 5)
    assert (world.pipelines[2].name, world.pipelines[2].told) == ("a", [("start", behind)])
    assert world.pipelines[2].incarnation == 5
    assert world.pipelines[1].told == [("start", None)]


async def test_a_fault_of_a_stream_that_has_not_begun(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins again; the answer of a lane that has left meanwhile is nobody's."""
    monkeypatch.setattr("connector.lane_streams._FAULT_PAUSE_S", 0.0)
    await world.assigned(1)
    world.supervisor.lane_opened(1, {})
    world.supervisor.pipeline_failed("a", RuntimeError("boom"))
    await asyncio.sleep(0.01)
    world.supervisor.renounced(1, "a", None, 1)
    world.supervisor.renounced(7, "a", None, 1)
    assert world.pipelines[2].told == [("start", None)]


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


async def test_refused_records_count_as_poison(world: World) -> None:
    """They are told as dead letters, which the poison alert counts."""
    world.supervisor.refused_record("a", 17)
    assert world.events[-1] == telemetry.DeadLettered("a", 16, "refused")


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
    assert 7 not in world.supervisor.lane_states()  # until it has ended: nobody has its streams
    assert world.lanes == []


async def test_a_stream_that_left_is_no_concern_of_this_worker(world: World) -> None:
    """Its metrics are told to go, and what was wrong with it no longer keeps this worker from being ready."""
    await world.assigned(0, 1)
    world.supervisor.lane_opened(1, {})
    world.supervisor.suspended_stream("b", "t", "gone")
    await asyncio.to_thread(world.supervisor.revoked, frozenset({1}), time.monotonic() + 5)
    assert world.supervisor.unready() == []
    assert [e.stream for e in world.events if isinstance(e, telemetry.StreamLeft)] == ["a", "b"]


async def test_streams_that_are_paused_or_stopped_are_not_opened(world: World) -> None:
    """What they are to do is known before they open; that they rest keeps no worker from being ready."""
    world.desired = {"a": DesiredState("a", Target.PAUSED), "b": DesiredState("b", Target.STOPPED)}
    await world.assigned(1)
    world.supervisor.lane_opened(1, {"a": Checkpoint("a", position=5)})
    assert world.pipelines == []
    assert world.supervisor.unready() == []
    assert telemetry.StreamState("a", State.STOPPED, 0) in world.events


async def test_pause_closes_and_resume_goes_on_from_the_last_commit(world: World) -> None:
    """Also from what was read before the pause and committed after it."""
    await world.assigned(1)
    world.supervisor.lane_opened(1, {"a": Checkpoint("a", position=5)})
    world.told(DesiredState("a", Target.PAUSED, by="pat"))
    assert world.pipelines[0].told[-1] == "stop"
    world.supervisor.committed(1, Checkpoint("a", position=7), 2, 10)
    world.told(DesiredState("a", Target.RUNNING, by="pat"))
    assert len(world.pipelines) == 2  # not before the lane has forgotten its former life
    world.forgotten(Checkpoint("a", position=7))
    assert (world.pipelines[-1].name, world.pipelines[-1].told) == ("a", [("start", Checkpoint("a", position=7))])
    assert telemetry.Told("a", "paused", "pat") in world.events
    assert world.pipelines[1].told == [("start", None)]  # the other stream heard nothing of it


async def test_a_restart_is_done_once(world: World) -> None:
    """By its id: the record comes again with whatever is asked next; a takeover has restarted the stream already."""
    world.desired["a"] = DesiredState("a", restart_id="0")
    await world.assigned(1)
    world.supervisor.lane_opened(1, {})
    assert len(world.pipelines) == 2
    for restart_id in ("1", "1", "2"):
        world.told(DesiredState("a", restart_id=restart_id))
        if world.lanes[0].renouncing:
            world.forgotten(None)
    assert [p.told[0] for p in world.pipelines if p.name == "a"] == [("start", None)] * 3
    assert [p.told[-1] for p in world.pipelines if p.name == "a"] == ["stop", "stop", ("start", None)]


async def test_a_change_of_position_is_the_lanes_to_commit_and_then_the_stream_goes_on(world: World) -> None:
    """A resume that overtakes the change does not erase it; nothing is read before it is committed."""
    await world.assigned(1)
    world.supervisor.lane_opened(1, {"a": Checkpoint("a", position=5)})
    change = PositionChange("c1", 100)
    world.told(DesiredState("a", Target.STOPPED))
    world.told(DesiredState("a", Target.STOPPED, change=change))
    world.told(DesiredState("a", Target.RUNNING, change=change))
    assert world.lanes[0].batches == []
    world.forgotten(Checkpoint("a", position=5))
    moves = [batch.move for batch in world.lanes[0].batches]
    assert {move.to.command_id for move in moves if move is not None} == {"c1"}
    assert [p.name for p in world.pipelines] == ["a", "b"]
    moved = Checkpoint("a", position=100, command_id="c1")
    world.supervisor.committed(1, moved, 1, 10)
    assert world.pipelines[-1].told == [("start", moved)]
    assert [e.gap.first for e in world.events if isinstance(e, telemetry.GapRecorded)] == [6]
    assert [e.position for e in world.events if isinstance(e, telemetry.Moved)] == [100]


async def test_a_change_decided_on_an_older_commit_is_decided_again(world: World) -> None:
    """What the stream had read before it stopped commits first; the lane then drops the change, and says so."""
    await world.assigned(1)
    world.supervisor.lane_opened(1, {"a": Checkpoint("a", position=5)})
    world.told(DesiredState("a", Target.STOPPED, change=PositionChange("c1", 100)))
    world.forgotten(Checkpoint("a", position=5))
    world.supervisor.committed(1, Checkpoint("a", position=9), 4, 10)
    bases = [batch.move.base.position for batch in world.lanes[0].batches if batch.move and batch.move.base]
    assert bases == [5, 9]


async def test_a_change_that_the_former_owner_made_is_not_made_again(world: World) -> None:
    """The checkpoint remembers it."""
    world.desired["a"] = DesiredState("a", change=PositionChange("c1", 100))
    await world.assigned(1)
    world.supervisor.lane_opened(1, {"a": Checkpoint("a", position=150, command_id="c1")})
    assert world.lanes[0].batches == []
    assert world.pipelines[0].told == [("start", Checkpoint("a", position=150, command_id="c1"))]


async def test_a_stream_that_met_a_gap_stops_for_all_until_it_is_resumed(world: World) -> None:
    """``on_gap: stop`` becomes what the stream is to do, once, and a resume lets it go on from there."""
    await world.assigned(1)
    world.supervisor.lane_opened(1, {"a": Checkpoint("a", position=5)})
    met = Checkpoint("a", position=9, stopped=True)
    world.supervisor.committed(1, met, 4, 10)
    world.supervisor.committed(1, met, 0, 0)
    assert world.pipelines[0].told[-1] == "stop"
    assert world.halts == [("a", (0, 9))]
    assert world.supervisor.unready() == ["stream a: stopped after a gap at 9"]
    world.told(DesiredState("a", Target.STOPPED, halted_at=(0, 9)))
    world.told(DesiredState("a", Target.RUNNING, halted_at=(0, 9)))
    world.forgotten(met)
    assert world.pipelines[-1].told == [("start", met)]
    assert world.supervisor.unready() == []
    world.supervisor.committed(1, met, 0, 0)
    assert world.pipelines[-1].told[-1] != "stop"


async def test_a_halt_is_remembered_across_a_takeover(world: World) -> None:
    """Also where the former owner died before it could tell: the new one does."""
    await world.assigned(1)
    world.supervisor.lane_opened(1, {"a": Checkpoint("a", position=9, stopped=True)})
    assert [p.name for p in world.pipelines] == ["b"]
    assert world.halts == [("a", (0, 9))]
    assert telemetry.Halted("a", 9) in world.events
