"""Whatever operators ask for, and whatever becomes of the lane meanwhile, a change of position is made exactly once."""

from __future__ import annotations

from typing import cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from connector.core.desired import Request, granted
from connector.core.relocation import Relocation
from connector.lane_streams import LaneStreams, StreamMakers
from connector.model import Batch, Checkpoint, DesiredState, Entry, Mark, PositionChange, Target
from connector.ports import Lane
from connector.stream.pipeline import StreamPipeline
from tests.fakes.sink import FakeLane, FakeLog

S = "wfm"


class _Lane(FakeLane):
    """A lane whose transactions the machine carries out."""

    def renounce(self, stream: str) -> None:
        """See :class:`connector.ports.Lane`."""
        self.hand.renounce(stream)


class _Pipeline:
    """Reads one event after the other, from where it is started."""

    def __init__(self, lane: _Lane) -> None:
        self.lane = lane
        self.open = False
        self.at = Checkpoint(S)
        self.incarnation = 0

    def start(self, checkpoint: Checkpoint | None, incarnation: int) -> None:
        self.open, self.incarnation = True, incarnation
        if checkpoint is None or checkpoint.anew:
            self.at = Checkpoint(S, 0 if checkpoint is None else checkpoint.epoch, 0)
            self.lane.submit(Batch(S, incarnation, 0, [], start=Checkpoint(S, position=0)))
        else:
            self.at = checkpoint

    def read(self) -> None:
        position = (self.at.position or 0) + 1
        self.at = Checkpoint(S, self.at.epoch, position)
        entry = Entry(position, 0, "t", S, b"", [], 0, None)
        self.lane.submit(Batch(S, self.incarnation, self.at.epoch, [entry]))

    def stop(self, _reason: str) -> None:
        self.open = False

    def committed(self, *_: object) -> None:
        """Room again."""


class Operators(RuleBasedStateMachine):
    """One stream, its lane's owners one after the other, and operators who want this and that."""

    def __init__(self) -> None:
        super().__init__()
        self.log = FakeLog()
        self.desired = DesiredState(S)
        self.asked: list[PositionChange] = []
        self.marks: list[Mark] = []
        self.made: list[str] = []
        self.opened: list[_Pipeline] = []
        self.taken_over()

    @rule()
    def taken_over(self) -> None:
        """Another worker has the lane; the former one's memory is lost."""
        self.lane = _Lane(self.log)
        makers = StreamMakers(self._pipeline, self._move, lambda _: self.desired, lambda *_: None, lambda _: None)
        self.streams = LaneStreams(cast("Lane", self.lane), [S], makers)
        self.opened.clear()
        self.streams.open(self.log.checkpoints)

    def _pipeline(self, _name: str, _lane: Lane) -> StreamPipeline:
        self.opened.append(_Pipeline(self.lane))
        return cast("StreamPipeline", self.opened[-1])

    def _move(self, name: str, relocation: Relocation, incarnation: int) -> Batch:
        gap, to = relocation.gap, relocation.move.to
        entries = [] if gap is None else [Entry(gap.last or 0, 0, "gaps", S, b"", [], 0, None)]
        return Batch(name, incarnation, to.epoch, entries, move=relocation.move)

    @rule(wanted=st.sampled_from(Target), told=st.booleans())
    def wants(self, wanted: Target, told: bool) -> None:  # noqa: FBT001
        """Pause, stop, resume; the word may be missed, for the next record says all."""
        self._ask(Request("x", wanted), told=told)

    @rule(told=st.booleans())
    def restarts(self, told: bool) -> None:  # noqa: FBT001
        """Restart."""
        self._ask(Request("x", restart_id=str(len(self.opened))), told=told)

    @rule(position=st.none() | st.integers(0, 12), told=st.booleans())
    def moves(self, position: int | None, told: bool) -> None:  # noqa: FBT001
        """Stop, and change the position."""
        change = PositionChange(f"c{len(self.asked)}", position, reason="x")
        self.asked.append(change)
        self._ask(Request("x", Target.STOPPED, change=change), told=told)

    def _ask(self, request: Request, *, told: bool) -> None:
        self.desired = granted(self.desired, request, 0)
        if told:
            self.streams.told(S)

    @rule()
    def hears(self) -> None:
        """The record comes, once more."""
        self.streams.told(S)

    @rule()
    def reads(self) -> None:
        """An event."""
        for pipeline in self.opened:
            if pipeline.open:
                pipeline.read()

    @rule(
        limits=st.lists(st.integers(1, 3), min_size=1, max_size=3), outcome=st.sampled_from(["told", "unheard", "lost"])
    )
    def transaction(self, limits: list[int], outcome: str) -> None:
        """It commits; or commits and nobody hears of it; or is aborted."""
        batches = self.lane.fill(*limits)
        before = self.log.checkpoints.get(S)
        if outcome == "lost":
            self.lane.renew()
        freed = self.lane.commit(batches, told=outcome == "told") if outcome != "lost" else self.lane.hand.dropped()
        if outcome == "unheard":
            self.lane.renew()
            freed = self.lane.hand.dropped()
        self._note(before)
        for each in freed:
            self.streams.committed(each.checkpoint, each.entries, each.size_bytes)
        self._answer()

    def _answer(self) -> None:
        for each in self.lane.hand.renounced():
            self.streams.renounced(each.stream, each.checkpoint, each.incarnation)

    def _note(self, before: Checkpoint | None) -> None:
        now = self.log.checkpoints.get(S)
        if now is not None:
            self.marks.append(now.mark)
            if now.command_id is not None and (before is None or before.command_id != now.command_id):
                self.made.append(now.command_id)

    @invariant()
    def positions_only_grow(self) -> None:
        """Marks decide every doubt; an id is there once."""
        assert self.marks == sorted(self.marks)
        ids = [(epoch, entry.position) for _, epoch, entry in self.log.records if entry.topic == "t"]
        assert len(ids) == len(set(ids))

    @invariant()
    def no_change_is_made_twice(self) -> None:
        """Nor one that nobody asked for."""
        assert len(self.made) == len(set(self.made))
        assert set(self.made) <= {change.change_id for change in self.asked}

    def teardown(self) -> None:
        """Left alone, the last change is made, and the stream does what it is to do."""
        self.streams.told(S)
        for _ in range(6):
            self.transaction([5, 5, 5], "told")
        checkpoint, change = self.log.checkpoints.get(S), self.desired.change
        assert change is None or (checkpoint is not None and checkpoint.command_id == change.change_id)
        assert any(pipeline.open for pipeline in self.opened) == (self.desired.target is Target.RUNNING)


TestOperators = Operators.TestCase
TestOperators.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
