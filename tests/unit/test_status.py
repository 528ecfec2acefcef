"""What streams are doing: folded from telemetry, published, and put together for the whole group."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from connector import telemetry
from connector.core.fleet import Phase, StreamView
from connector.core.states import State
from connector.core.status import (
    Bulletins,
    Heard,
    LaneStatus,
    StreamStatus,
    decode,
    encode,
    key_of,
    owner_of,
    parts,
)
from connector.errors import ControlUnavailableError
from connector.management import Place
from connector.model import Checkpoint, Gap, GapReason, Target
from connector.worker.board import Board
from connector.worker.fleet import GroupFleet, Own
from tests.fakes.control import FakeControl

GAP = Gap(0, 8, 10, None, None, GapReason.RETENTION)


def board_after(*events: telemetry.Event) -> StreamStatus:
    """The status of ``wfm`` after these events."""
    board = Board({"wfm": "genesys"})
    for event in events:
        board(event)
    (status,) = board.statuses(["wfm"])
    return status


def test_a_stream_of_which_nothing_is_known_is_starting() -> None:
    """It has a status all the same."""
    status = board_after()
    assert (status.stream, status.state, status.failing) == ("wfm", "starting", "")


def test_counts_and_positions() -> None:
    """What was read, dropped, committed and lost."""
    status = board_after(
        telemetry.Dialing("wfm", 1, "network", 1, 7),
        telemetry.BatchRead("wfm", 5, 500, 2, 0, 3, 300),
        telemetry.BatchRead("wfm", 1, 100, 0, 0, 4, 400),
        telemetry.Committed("wfm", Checkpoint("wfm", 2, 13, complete_until_ms=99), 6, 600, 0.25),
        telemetry.GapRecorded("wfm", GAP),
        telemetry.DeadLettered("wfm", 13, "unparsable"),
        telemetry.RotationDone("wfm", 3, "caught_up", 0.125, 0.25),
        telemetry.ReadingPaused("wfm", paused=True, in_hand_events=4, in_hand_bytes=400),
    )
    assert (status.events, status.duplicates, status.in_hand) == (6, 2, 4)
    assert (status.epoch, status.position, status.lag_s, status.complete_until_ms) == (2, 13, 0.25, 99)
    assert (status.gaps, status.gap, status.dead_letters) == (1, "retention 8\u201310", 1)
    assert (status.rotations, status.overlap_ms, status.reading_paused) == (1, 125, True)
    assert board_after(telemetry.Dialing("wfm", 1, "network", 1, 7)).position == 7


def failed(path: str = "network") -> telemetry.Failed:
    """A failed dial."""
    return telemetry.Failed("wfm", path, "connect", "connection refused", 4.0, 5, breaker_open=True)


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([failed(), telemetry.StreamState("wfm", State.BREAKER_OPEN, 0)], "cannot be reached: connection refused"),
        ([failed("auth"), telemetry.StreamState("wfm", State.REFUSED, 0)], "refuses the credential"),
        ([telemetry.Suspended("wfm", "t", "UNKNOWN_TOPIC")], "suspended: topic t: UNKNOWN_TOPIC"),
        ([telemetry.Halted("wfm", 7)], "on_gap: stop"),
        ([telemetry.StreamFailed("wfm", "KeyError: 1")], "KeyError: 1"),
        ([failed(), telemetry.StreamState("wfm", State.BACKING_OFF, 0)], ""),
        ([telemetry.Suspended("wfm", "t", "x"), telemetry.Restored("wfm")], ""),
        ([telemetry.StreamFailed("wfm", "x"), telemetry.StreamState("wfm", State.LIVE, 1)], ""),
        ([telemetry.Halted("wfm", 7), telemetry.StreamState("wfm", State.DIALING, 1)], ""),
    ],
)
def test_what_needs_help_says_why(events: list[telemetry.Event], why: str) -> None:
    """And nothing else does; once it is well, the trouble is forgotten."""
    status = board_after(*events)
    assert (why in status.failing) if why else (status.failing == "")


def test_no_token_is_a_failure_only_while_one_is_awaited() -> None:
    """A failing token endpoint hurts nobody who has a token."""
    board = Board({"wfm": "genesys", "crm": "nice"})
    board.token_granted("genesys", 60.0)
    board.token_failed("genesys", "HTTP 500")
    board(telemetry.StreamState("wfm", State.LIVE, 1))
    assert board.statuses(["wfm"])[0].failing == ""
    assert board.statuses(["wfm"])[0].token_expires_ms is not None
    board(telemetry.StreamState("wfm", State.AWAITING_TOKEN, 0))
    assert "HTTP 500" in board.statuses(["wfm"])[0].failing
    assert board.statuses(["crm"])[0].token_trouble == ""
    board.token_granted("genesys", None)
    assert board.statuses(["wfm"])[0].failing == ""


def test_the_rate_follows() -> None:
    """Smoothed over seconds; back to nothing when nothing comes."""
    board = Board({"wfm": "genesys"})
    for _ in range(20):
        board(telemetry.BatchRead("wfm", 100, 1, 0, 0, 0, 0))
        board.tick(1.0)
    assert board.statuses(["wfm"])[0].per_s == pytest.approx(100, rel=0.01)
    for _ in range(30):
        board.tick(1.0)
    assert board.statuses(["wfm"])[0].per_s < 0.1


def test_a_lanes_record_is_read_back_and_garbage_is_not() -> None:
    """Nor another version; a field that this version does not know is ignored."""
    told = LaneStatus(lane=3, worker="w1", at_ms=5, state="serving", streams=[StreamStatus(stream="wfm", gaps=2)])
    assert decode(encode(told)) == told
    newer = encode(told).replace(b'"gaps":2', b'"gaps":2,"mood":"fine"')
    assert decode(newer) == told
    for value in (b"", b"{", b"[]", b"{}", encode(LaneStatus(v=2, lane=0, worker="w", at_ms=0, state="", streams=[]))):
        assert decode(value) is None


def test_a_record_of_a_lane_is_never_too_large_for_kafka() -> None:
    """A thousand streams in one lane, each with the worst that can be said of it."""
    worst = "\x01" * 5000
    streams = [
        StreamStatus(
            stream=f"{number:0200}",
            trouble=worst,
            suspended=worst,
            fault=worst,
            token_trouble=worst,
            gap=worst,
            position=2**63,
            events=2**63,
        )
        for number in range(1000)
    ]
    records = [
        encode(LaneStatus(lane=0, worker="w" * 200, at_ms=2**48, state="serving", streams=list(part)))
        for part in parts(streams)
    ]
    assert max(map(len, records)) < 1_000_000
    told = [status for record in records for status in (decode(record) or pytest.fail("unreadable")).streams]
    assert [status.stream for status in told] == [status.stream for status in streams]
    assert told[0].trouble.endswith("…")
    assert len({key_of(0, part) for part in range(len(records))}) == len(records)
    assert key_of(0, 0) == "$status/0"


def test_a_part_of_a_lane_is_published_when_it_changes() -> None:
    """The others are not told again for its sake."""
    bulletins, one, other = Bulletins(), StreamStatus(stream="a"), StreamStatus(stream="b")
    assert bulletins.due(1, 0, [one], 0.0)
    assert bulletins.due(1, 1, [other], 0.0)
    other.state = "live"
    assert not bulletins.due(1, 0, [one], 2.0)
    assert bulletins.due(1, 1, [other], 2.0)


def test_published_on_a_change_and_else_every_ten_seconds() -> None:
    """But not more often than once a second, whatever changes."""
    bulletins, status = Bulletins(), StreamStatus(stream="wfm", state="dialing")
    assert bulletins.due(1, 0, [status], 0.0)
    assert not bulletins.due(1, 0, [status], 5.0)
    status.state = "live"
    assert bulletins.due(1, 0, [status], 5.1)
    status.gaps = 1
    assert not bulletins.due(1, 0, [status], 5.2)
    assert bulletins.due(1, 0, [status], 6.2)
    status.events, status.lag_s = 99, 1.0
    assert not bulletins.due(1, 0, [status], 8.0)
    assert bulletins.due(1, 0, [status], 16.2)
    bulletins.keep(frozenset())
    assert bulletins.due(1, 0, [status], 16.3)


def test_the_group_says_who_has_a_lane_and_a_fresh_record_where_it_cannot() -> None:
    """Never an old record."""
    heard = Heard(LaneStatus(lane=1, worker="w1", at_ms=0, state="", streams=[]), 100.0)
    assert owner_of(1, {1: "w2"}, heard, 101.0) == "w2"
    assert owner_of(1, {}, heard, 101.0) is None
    assert owner_of(1, None, heard, 101.0) == "w1"
    assert owner_of(1, None, heard, 160.0) is None
    assert owner_of(1, None, None, 101.0) is None


@pytest.mark.parametrize(
    ("target", "worker", "state", "phase"),
    [
        (Target.RUNNING, "w", State.LIVE, Phase.RUNNING),
        (Target.RUNNING, "w", None, Phase.RUNNING),
        (Target.RUNNING, "w", State.REFUSED, Phase.FAILED),
        (Target.RUNNING, None, None, Phase.UNASSIGNED),
        (Target.PAUSED, "w", State.LIVE, Phase.RUNNING),
        (Target.PAUSED, "w", State.STOPPED, Phase.PAUSED),
        (Target.PAUSED, None, None, Phase.UNASSIGNED),
        (Target.STOPPED, "w", State.LIVE, Phase.RUNNING),
        (Target.STOPPED, "w", State.STOPPED, Phase.STOPPED),
        (Target.STOPPED, None, None, Phase.STOPPED),
    ],
)
def test_phases(target: Target, worker: str | None, state: str | None, phase: Phase) -> None:
    """What was asked for shows once it is done."""
    status = None if state is None else StreamStatus(stream="wfm", state=state)
    assert StreamView("wfm", 0, target, worker, status).phase is phase


@dataclass
class FakeGroup:
    """Says who has which lane, or does not answer."""

    lanes: dict[int, str] = field(default_factory=dict)
    away: bool = False
    asked: int = 0
    kept: dict[str, Checkpoint] = field(default_factory=dict)

    def owners(self) -> Mapping[int, str]:
        """See :class:`connector.management.Group`."""
        self.asked += 1
        self._reached()
        return self.lanes

    def cluster_id(self) -> str:
        """See :class:`connector.management.Group`."""
        self._reached()
        return "abc"

    def checkpoints(self, lane: int) -> Callable[[], Mapping[str, Checkpoint]]:
        """See :class:`connector.management.Group`."""
        del lane
        self._reached()
        return lambda: self.kept

    def _reached(self) -> None:
        if self.away:
            raise ControlUnavailableError("away")


class World:
    """Two workers of three lanes over one control topic; lane 2 has nobody yet."""

    def __init__(self) -> None:
        self.control, self.group = FakeControl(), FakeGroup({0: "one", 1: "other"})
        self.boards = {"one": Board({"a": "p"}), "other": Board({"b": "p"})}
        self.one, self.other = self._worker("one", 0), self._worker("other", 1)

    def _worker(self, name: str, lane: int) -> GroupFleet:
        own = Own(name, lambda: {lane: "serving"}, self.boards[name])
        return GroupFleet({0: ["a"], 1: ["b"], 2: ["c"]}, own, self.group, self.control, self.control)

    async def told(self) -> None:
        """Both workers have published."""
        running = [asyncio.create_task(fleet.run()) for fleet in (self.one, self.other)]
        while len(self.control.notices) < 2:  # noqa: ASYNC110 - the fake has no bell
            await asyncio.sleep(0.01)
        for task in running:
            task.cancel()


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """With ticks as short as tests are."""
    monkeypatch.setattr("connector.worker.fleet._TICK_S", 0.01)
    return World()


async def test_any_worker_answers_for_all(world: World) -> None:
    """The same by each, whoever has the stream."""
    world.boards["other"](telemetry.StreamState("b", State.REFUSED, 0))
    await world.told()
    for fleet in (world.one, world.other):
        await fleet.refresh()
        assert [(v.name, v.worker, v.phase) for v in fleet.views()] == [
            ("a", "one", Phase.RUNNING),
            ("b", "other", Phase.FAILED),
            ("c", None, Phase.UNASSIGNED),
        ]
        assert [(lane.lane, lane.worker, lane.state) for lane in fleet.lanes()] == [
            (0, "one", "serving"), (1, "other", "serving"), (2, None, ""),
        ]  # fmt: skip
        assert fleet.view("nobody") is None


async def test_a_record_of_a_former_owner_says_nothing(world: World) -> None:
    """Until the new one has told."""
    world.boards["other"](telemetry.StreamState("b", State.REFUSED, 0))
    await world.told()
    world.group.lanes[1] = "third"
    await world.one.refresh()
    view = world.one.view("b")
    assert view is not None
    assert (view.worker, view.status, view.phase) == ("third", None, Phase.RUNNING)


async def test_the_group_is_not_asked_at_every_look(world: World) -> None:
    """Once in two seconds, however many look at once; not at all by who has all lanes."""
    await asyncio.gather(*(world.one.refresh() for _ in range(20)))
    assert world.group.asked == 1
    own = Own("one", lambda: {0: "serving"}, world.boards["one"])
    await GroupFleet({0: ["a"]}, own, world.group, world.control, world.control).refresh()
    assert world.group.asked == 1


async def test_kafka_away_leaves_what_was_heard(world: World) -> None:
    """Views never raise; orders and places do."""
    await world.told()
    world.group.away = world.control.away = True
    await world.one.refresh()
    assert [v.worker for v in world.one.views()] == ["one", "other", None]
    assert await world.one.cluster_id() is None
    for order in (world.one.steer("a", Target.PAUSED), world.one.restart("a"), world.one.place("a")):
        with pytest.raises(ControlUnavailableError):
            await order


async def test_orders_stand_in_the_control_topic(world: World) -> None:
    """For whichever worker has the lane."""
    await world.one.steer("b", Target.STOPPED)
    await world.one.restart("b")
    assert world.control.desired("b").target is Target.STOPPED
    assert world.control.desired("b").restart_id
    assert await world.other.place("b") is None
    world.group.kept["b"] = Checkpoint("b", 1, 70)
    assert await world.other.place("b") == Place(1, 70)


async def test_a_move_is_done_when_the_checkpoint_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it will be: nobody has the lane, or the owner takes its time."""
    monkeypatch.setattr("connector.worker.fleet._CARRIED_OUT_S", 0.05)
    monkeypatch.setattr("connector.worker.fleet._LOOK_S", 0.01)
    await world.one.refresh()
    for stream in "bc":
        await world.one.steer(stream, Target.STOPPED)
        assert not await world.one.move(stream, 7, None)
    change = world.control.desired("b").change
    assert change is not None
    assert (change.position, change.epoch) == (7, None)
    monkeypatch.setattr("connector.worker.fleet._CARRIED_OUT_S", 5.0)
    moving = asyncio.create_task(world.one.move("b", 9, 1))
    while (change := world.control.desired("b").change) is None or change.position != 9:  # noqa: ASYNC110 - nor here
        await asyncio.sleep(0)
    world.group.kept["b"] = Checkpoint("b", 1, 9, command_id=change.change_id)
    assert await moving
