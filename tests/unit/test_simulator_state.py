"""The simulator's fault board, ledger and sessions."""

from __future__ import annotations

import json
import math

import pytest

from connector.simulator.admission import admit, token_answer, troubled_answer
from connector.simulator.answers import Answer
from connector.simulator.controls import Controls
from connector.simulator.faults import FaultBoard, Refusal, SnapshotTrouble, TokenTrouble, TokenTroubleKind
from connector.simulator.ledger import Overlap, lost
from connector.simulator.session import Ending, Rest, Session
from connector.simulator.settings import SimulatorSettings
from connector.simulator.world import World

T0 = 1_800_000_000.0


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now_s = T0

    def __call__(self) -> float:
        """The instant it was set to."""
        return self.now_s


def make_world(**properties: object) -> tuple[World, Hand]:
    """A world and its clock."""
    hand = Hand()
    return World(SimulatorSettings(**properties), hand), hand  # type: ignore[arg-type]  # named by each test


def credentials(world: World) -> str:
    """A live bearer."""
    form = {"grant_type": "client_credentials", "client_id": "simulator", "client_secret": "simulator-secret"}
    answer = token_answer(world, None, form)
    assert isinstance(answer.body, dict)
    return f"Bearer {answer.body['access_token']}"


def admitted(world: World, asked: str | None = "0", stream: str = "wfm") -> Session:
    """A session that is expected to be admitted."""
    session = admit(world, stream, credentials(world), asked)
    assert isinstance(session, Session)
    return session


@pytest.mark.parametrize(("stream", "hit"), [(None, True), ("wfm", True), ("crm", False)])
def test_a_fault_is_for_one_stream_or_all(stream: str | None, hit: bool) -> None:  # noqa: FBT001 - a table's column
    """And only until its time is over."""
    board = FaultBoard()
    board.refuse(stream, Refusal(T0 + 1))
    board.accept_then_close(stream, T0 + 1, 1011)
    board.mute(stream, T0 + 1, math.inf)
    board.stall(stream, T0 + 1)
    assert (board.refusal("wfm", T0) is not None) == hit
    assert (board.close_code_on_open("wfm", T0) == 1011) == hit
    assert (board.silent_until("wfm", T0, 0) == math.inf) == hit
    assert (board.stalled_until("wfm", T0) is not None) == hit
    assert board.refusal("wfm", T0 + 1) is None
    assert board.silent_until("wfm", T0 + 1, 0.5) == T0 + 1.5
    board.clear()
    assert board.close_code_on_open("wfm", T0) is None


def test_a_late_first_event() -> None:
    """The order's delay counts instead of the setting's."""
    board = FaultBoard()
    board.delay_open("wfm", T0 + 10, 2)
    assert [board.silent_until(name, T0, 0.5) for name in ("wfm", "crm")] == [T0 + 2, T0 + 0.5]


def test_token_trouble_ends_by_count_and_by_time() -> None:
    """Whichever comes first."""
    board = FaultBoard()
    board.trouble_tokens("500", T0, seconds=10, requests=2)
    assert [board.take_token_trouble(T0) is not None for _ in range(3)] == [True, True, False]
    board.trouble_tokens("500", T0, seconds=10)
    assert board.take_token_trouble(T0 + 10) is None


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("429", 429, "rate_limited"),
        ("invalid_grant", 400, "invalid_grant"),
        ("401", 401, "invalid_client"),
        ("500", 500, "server_error"),
    ],
)
def test_token_troubles(kind: TokenTroubleKind, status: int, error: str) -> None:
    """Each has its status and error."""
    world, _ = make_world()
    answer = troubled_answer(world, TokenTrouble(kind, T0 + 1))
    assert answer is not None
    assert isinstance(answer.body, dict)
    assert (answer.status, answer.body["error"]) == (status, error)
    assert (answer.headers.get("Retry-After") == "1") == (kind == "429")


def test_retry_after_as_a_date_is_on_the_platforms_clock() -> None:
    """RFC 9110 §10.2.3."""
    world, _ = make_world(clock_skew_s=3600)
    answer = troubled_answer(world, TokenTrouble("429", T0 + 9, retry_after_s=30, http_date=True))
    assert answer is not None
    assert answer.headers["Retry-After"] == "Fri, 15 Jan 2027 09:00:30 GMT"


def test_overlap_is_measured() -> None:
    """Seconds with two sockets or more, and the most at a time."""
    overlap = Overlap()
    for by, now_s in [(1, 0), (1, 10), (1, 11), (-1, 12), (-1, 15), (1, 20)]:
        overlap.change(by, now_s)
    assert (overlap.most, overlap.seconds, overlap.seconds_at(25)) == (3, 5, 10)


@pytest.mark.parametrize(
    ("asked", "status"), [("x", 400), ("1.5", 400), ("0", None), ("", None), (None, None), ("1", 410)]
)
def test_what_is_asked_decides(asked: str | None, status: int | None) -> None:
    """A position must be an integer that is still kept."""
    world, hand = make_world(expired_position="refuse", retention_s=5, rate=10)
    if asked == "1":
        hand.now_s += 60
    answer = admit(world, "wfm", credentials(world), asked)
    assert (answer.status if isinstance(answer, Answer) else None) == status


def test_the_order_of_refusals() -> None:
    """Outage before token before limits."""
    world, _ = make_world(max_sockets=1)
    controls = Controls(world)
    controls.refuse(5, status=429, retry_after_s=2.5)
    outage = admit(world, "wfm", None, None)
    assert isinstance(outage, Answer)
    assert (outage.status, outage.headers["Retry-After"]) == (429, "3")
    controls.clear()
    stranger = admit(world, "wfm", None, None)
    assert isinstance(stranger, Answer)
    assert (stranger.status, stranger.headers["WWW-Authenticate"]) == (401, 'Bearer realm="simulator"')
    first = admitted(world)
    second = admit(world, "wfm", credentials(world), None)
    assert isinstance(second, Answer)
    assert second.status == 409
    assert isinstance(admit(world, "crm", credentials(world), None), Session)
    world.ledger.closed(first.record, lost(T0), expiry=False)
    admitted(world)


def test_a_session_sends_what_exists_and_waits_for_the_next() -> None:
    """Everything up to the head, then a rest until the next event's time."""
    world, hand = make_world(rate=10)
    session = admitted(world)
    first = session.sending(T0)
    assert isinstance(first, Rest)
    assert first.until_s == pytest.approx(T0 + 0.1)
    hand.now_s += 1
    assert isinstance(session.sending(hand.now_s), bytes)
    then = session.sending(hand.now_s)
    assert isinstance(then, Rest)
    assert then.until_s == pytest.approx(T0 + 1.1)
    session.write_down()
    assert (session.record.sent_events, session.record.sent) == (10, ((0, 1, 10),))


def test_a_session_ends_with_its_token() -> None:
    """At the very instant, on the platform's clock, with the configured code."""
    world, _ = make_world(token_life_s=5, close_code=4001, clock_skew_s=-7200)
    session = admitted(world)
    assert session.ending(T0) == Rest(T0 + 5)
    assert session.ending(T0 + 5) == Ending(4001, "token expired", expiry=True)


def test_a_frozen_session_does_nothing() -> None:
    """Not even end; afterwards it does."""
    world, _ = make_world(backlog=10)
    session = admitted(world)
    session.frozen_until_s = T0 + 5
    session.order = Ending(1008, "by order")
    assert session.ending(T0) == session.sending(T0) == Rest(T0 + 5)
    assert session.ending(T0 + 5) == Ending(1008, "by order")


def test_a_silent_session_still_ends() -> None:
    """Mute is about events."""
    world, _ = make_world(backlog=10, token_life_s=5)
    Controls(world).mute(60, for_life=True)
    session = admitted(world)
    assert session.sending(T0 + 999) == Rest(math.inf)
    assert isinstance(session.ending(T0 + 5), Ending)


def test_events_are_sent_once_more() -> None:
    """Only what this socket has sent, and it counts apart."""
    world, _ = make_world(rate=0, backlog=10)
    session = admitted(world, "4")
    first = session.sending(T0)
    session.repeat(99)
    assert session.sending(T0) == first
    session.write_down()
    assert (session.record.sent_events, session.record.frames_aside) == (6, 1)


def test_what_happens_to_all_streams_happens_to_later_ones() -> None:
    """A stream that is named only afterwards has the same history."""
    world, hand = make_world(rate=10)
    controls = Controls(world)
    world.stream("early")
    controls.jump(5)
    controls.quiet(10)
    controls.poison("bad_json")
    controls.misdate("1970")
    controls.reset("early")
    hand.now_s += 20
    assert list(controls.items("late"))[:7] == list(controls.items("late"))[:7]
    assert [item.position for item in controls.items("late")][:3] == [6, 7, 8]
    assert [item.epoch for item in controls.items("early")][:3] == [0, 0, 1]


def test_truth_is_what_the_sessions_send() -> None:
    """Position and bytes, poison included."""
    world, _ = make_world(rate=0, backlog=3)
    controls = Controls(world)
    controls.poison("raw", "wfm", data=b"\xff")
    truth = list(controls.truth("wfm"))
    assert [position for position, _ in truth] == [1, 2, 3, 4]
    assert truth[3][1] == b"\xff"
    assert json.loads(truth[0][1])["sequenceId"] == 1


def test_the_ledger_tells_a_streams_story() -> None:
    """What exists, what is kept, what was sent to whom."""
    world, hand = make_world(rate=10, retention_s=5)
    controls = Controls(world)
    session = admitted(world, "0")
    hand.now_s += 10
    session.sending(hand.now_s)
    session.write_down()
    world.ledger.closed(session.record, lost(hand.now_s), expiry=False)
    told = controls.ledger("wfm")
    assert (told["head"], told["exists"], told["oldest_kept"]) == (100, [[0, 1, 100]], 51)
    assert told["sockets"][0]["sent"] == ((0, 1, 100),)
    assert told["sockets"][0]["closed"]["code"] == 1006
    stats = controls.stats()
    assert (stats["opens"], stats["closes"], stats["tokens"], stats["streams"]["wfm"]["sent"]) == (1, 1, 1, 100)


def test_snapshot_trouble_ends_by_time_and_by_order() -> None:
    """A window like the others."""
    board = FaultBoard()
    board.trouble_snapshots(SnapshotTrouble("500", T0 + 1))
    assert board.snapshot_trouble(T0) is not None
    assert board.snapshot_trouble(T0 + 1) is None
    board.clear()
    assert board.snapshot_trouble(T0) is None
