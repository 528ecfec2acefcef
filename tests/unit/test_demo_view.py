"""What the demo shows and how it judges: telemetry in, a picture, a line and a verdict out. No clock, no network."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from connector import telemetry
from connector.audit import AuditReport, Unread
from connector.core.evidence import StreamEvidence
from connector.core.verdict import Point
from connector.demo.scenario import STREAM, Scenario
from connector.demo.state import DemoState
from connector.demo.verdict import DemoVerdict, Played, judge, sent_positions
from connector.demo.view import Now, Stage, line, picture, verdict_text
from connector.model import Checkpoint, Gap, GapReason

_STAGE = Stage("embedded broker 127.0.0.1:9", "http://127.0.0.1:8", "http://127.0.0.1:7/metrics", 30, 5.0, 4)
_NOW = Now(wall_ms=1_000_008, played_s=12.0, token_left_s=3.25)
_PLAYED = Played(frozenset(range(1, 7)), rotations=5, least_rotations=4, resets=1, closes_1008=1)


def _opened(state: DemoState, socket: int, why: str = "start") -> None:
    state(telemetry.SocketOpened(STREAM, socket, why, 0.01))


def _rotation(state: DemoState, old: int, new: int, overlap_s: float = 0.15) -> None:
    _opened(state, new, "rotation")
    state(telemetry.SocketClosed(STREAM, old, 1000, "token refresh", "us"))
    state(telemetry.RotationDone(STREAM, new, "caught_up", overlap_s, overlap_s))


def _running() -> DemoState:
    """Two hundred events, a rotation, a reset by the network."""
    state = DemoState(phase="playing")
    state(telemetry.StreamState(STREAM, "live", 1))
    _opened(state, 1)
    state.sample()
    state(telemetry.BatchRead(STREAM, 200, 60_000, 3, 0, 200, 60_000))
    state(telemetry.Committed(STREAM, Checkpoint(STREAM, position=200, event_time_ms=1_000_000), 200, 60_000, 0.01))
    state.sample()
    state.at_s = 4.0
    _rotation(state, 1, 2)
    state.sample()
    state.at_s = 5.0
    state(telemetry.SocketClosed(STREAM, 2, 1006, "reset", "peer"))
    state.sample()
    return state


def _drawn(state: DemoState, now: Now, columns: int = 100, rows: int = 40) -> str:
    console = Console(file=io.StringIO(), width=columns, height=rows, force_terminal=True, color_system=None)
    console.print(picture(_STAGE, state, now, columns, rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_telemetry_becomes_figures() -> None:
    """Every figure of the picture comes from an event."""
    state = _running()
    assert (state.events, state.duplicates_dropped, state.position) == (200, 3, 200)
    assert (state.rotations, state.last_overlap_s, state.sockets) == (1, 0.15, 0)
    assert state.lag_ms(_NOW.wall_ms) == 8
    assert state.events_per_s == 200 / 1.0  # four samples of a quarter of a second
    assert [news.text.split(":")[0] for news in state.news] == [
        "socket 1 opened (start)",
        "rotation 1",
        "socket 2 lost",
    ]


def test_samples_begin_with_the_first_socket_and_show_overlaps_and_breaks() -> None:
    """A rotation is a sample with two sockets, however short; a break is one with none."""
    state = DemoState()
    state.sample()
    assert not state.samples
    _opened(state, 1)
    state.sample()
    _rotation(state, 1, 2)
    state.sample()
    state.sample()
    state(telemetry.SocketClosed(STREAM, 2, 1006, "", "peer"))
    _opened(state, 3, "network")
    state.sample()
    assert [(s.fewest_sockets, s.most_sockets) for s in state.samples] == [(0, 1), (1, 2), (1, 1), (0, 1)]


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (telemetry.TokenDied(STREAM, 3, "closed 1008"), "token 3 is dead"),
        (telemetry.Failed(STREAM, "network", "reset", "closed 1006", 0.5, 1, breaker_open=False), "again in 0.50 s"),
        (telemetry.GapRecorded(STREAM, Gap(0, 5, 7, None, None, GapReason.JUMP)), "gap 5 to 7: jump"),
        (telemetry.DeadLettered(STREAM, 5, "bad_json"), "dead letter after 5"),
        (telemetry.HoleSuspected(STREAM, 5, 2), "a hole after 5"),
        (telemetry.ReadingPaused(STREAM, paused=True, in_hand_events=9, in_hand_bytes=9), "not reading"),
        (telemetry.Suspended(STREAM, "events", "gone"), "topic events cannot be written"),
        (telemetry.StreamFailed(STREAM, "KeyError"), "a fault of the bridge: KeyError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, telemetry.Event) else "",
)
def test_whatever_goes_wrong_is_told(event: telemetry.Event, told: str) -> None:
    """Nothing that a user would want to know is swallowed."""
    state = DemoState()
    state(event)
    assert told in state.news[-1].text


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (102, 30), (200, 60)])
def test_the_picture_fits_the_terminal(columns: int, rows: int) -> None:
    """Also one of 80 by 24, with more news than there is room for."""
    state = _running()
    for number in range(100):
        state.say("bad", f"something rather long to say, number {number}, " * 4)
        state.sample()
    drawn = _drawn(state, _NOW, columns, rows).rstrip("\n").split("\n")
    assert len(drawn) < rows
    assert {len(row) for row in drawn} == {min(columns - 2, 100)}
    assert any("number 99" in row for row in drawn)


def test_the_picture_shows_every_figure() -> None:
    """Rate, position, token, state, rotations, overlap, duplicates, lag, sockets, addresses, progress."""
    drawn = _drawn(_running(), _NOW)
    for shown in (
        "● live",
        "200 /s",
        "3.2 s left",
        "1  of at least 4",
        "150 ms",
        "8 ms",
        "━╋",
        "12 of 30 s",
        "/metrics",
    ):
        assert shown in drawn


def test_the_picture_before_anything_happened() -> None:
    """The first seconds have no token, no position, no lag."""
    drawn = _drawn(DemoState(), Now(0, None, None))
    assert "no connection yet" in drawn
    assert "0 of 30 s" in drawn


def test_a_line_says_what_happened_since_the_last_one() -> None:
    """Plain ASCII, one line, only new news."""
    state = _running()
    text = line(state, _NOW, told=1)
    assert text.isascii()
    assert "\n" not in text
    assert "position 200" in text
    assert "token 3.2 s" in text
    assert "rotation 1" in text
    assert "socket 1 opened" not in text


def _report(positions: list[int], *, unread: tuple[Unread, ...] = ()) -> AuditReport:
    evidence = StreamEvidence(STREAM)
    for position in positions:
        evidence.event("events", 0, b"key", 0, position)
    evidence.checkpoint = Point(0, max(positions)) if positions else None
    return AuditReport((evidence.verdict(),), len(positions), 0, unread)


def _judged(positions: list[int], played: Played = _PLAYED) -> DemoVerdict:
    return judge(_report(positions), played)


def test_everything_once_and_in_order_holds() -> None:
    """The only way to exit code 0."""
    verdict = _judged([1, 2, 3, 4, 5, 6])
    assert verdict.held
    assert (verdict.events, verdict.sent, verdict.lost, verdict.duplicated, verdict.out_of_order) == (6, 6, 0, 0, 0)


@pytest.mark.parametrize(
    ("positions", "figures"),
    [
        ([1, 2, 4, 5, 6], (1, 0, 0)),
        ([1, 2, 3, 4], (2, 0, 0)),
        ([3, 4, 5, 6], (2, 0, 0)),
        ([1, 2, 3, 3, 4, 5, 6], (0, 1, 0)),
        ([1, 2, 3, 5, 4, 6], (0, 0, 1)),
        ([1, 2, 2, 5, 4], (2, 1, 1)),
        ([], (6, 0, 0)),
    ],
    ids=["a hole", "the end", "the beginning", "twice", "swapped", "all of it", "nothing at all"],
)
def test_what_the_platform_sent_is_the_truth(positions: list[int], figures: tuple[int, int, int]) -> None:
    """Lost at either end shows only against what was sent; no fault hides another."""
    verdict = _judged(positions)
    assert (verdict.lost, verdict.duplicated, verdict.out_of_order) == figures
    assert not verdict.held


@pytest.mark.parametrize(
    ("played", "fault"),
    [
        (replace(_PLAYED, rotations=3), "3 rotations, fewer than 4"),
        (replace(_PLAYED, resets=0), "no connection was reset"),
        (replace(_PLAYED, closes_1008=0), "no socket was closed with 1008"),
        (replace(_PLAYED, sent=frozenset()), "the platform sent nothing"),
        (replace(_PLAYED, sent=frozenset(range(2, 8))), "other positions than were sent"),
    ],
    ids=["rotations", "reset", "1008", "silence", "invented"],
)
def test_a_demo_that_proved_nothing_does_not_hold(played: Played, fault: str) -> None:
    """Too few rotations, a fault that did not strike, events that nobody sent."""
    verdict = _judged([1, 2, 3, 4, 5, 6], played)
    assert not verdict.held
    assert fault in verdict.faults[0]


def test_a_partition_that_was_not_read_to_its_end_does_not_hold() -> None:
    """The ledger claims nothing about what it has not seen."""
    verdict = judge(_report([1, 2, 3, 4, 5, 6], unread=(Unread("events", 0, 6, 7),)), _PLAYED)
    assert verdict.faults == ("1 partitions could not be read to their end",)


def test_the_verdict_is_one_sentence_at_the_end() -> None:
    """What scripts look for, and why it did not hold."""
    held = verdict_text(_judged([1, 2, 3, 4, 5, 6]), "demo.events", 0.151, 62).plain
    assert held.splitlines()[-1] == "verdict: 6 events, 5 rotations, 0 lost, 0 duplicated, 0 out of order: held"
    broken = verdict_text(_judged([1, 2, 3, 4, 5, 5]), "demo.events", 0.151, 62).plain
    assert broken.splitlines()[-1].endswith("did NOT hold (1 lost; 1 duplicated)")


def test_sent_positions_are_those_of_all_sockets() -> None:
    """Two sockets send the same positions during an overlap."""
    assert sent_positions([(0, 1, 3), (0, 3, 5)]) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(("seconds", "least"), [(1, 0), (8, 0), (12, 1), (24, 3), (30, 4), (600, 4)])
def test_a_short_demo_wants_fewer_rotations(seconds: float, least: int) -> None:
    """Four, scaled down."""
    assert Scenario.new(seconds).least_rotations == least


def test_a_demo_has_names_of_its_own() -> None:
    """All topics are under the group's name, which is never used twice: so they can be removed."""
    one, other = Scenario.new(30), Scenario.new(30)
    assert one.group != other.group
    assert all(topic.startswith(f"{one.group}.") for topic in one.topics)
