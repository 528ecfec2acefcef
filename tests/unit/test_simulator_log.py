"""The simulator's event log: slots, positions, contents, bytes on the wire."""

from __future__ import annotations

import json
import math
import uuid
from collections import Counter, defaultdict
from datetime import UTC, datetime

import pytest

from connector.simulator.events import TURNS, EventWriter
from connector.simulator.poison import PoisonKind, PoisonOrder, make_poison
from connector.simulator.settings import SimulatorSettings
from connector.simulator.stream import PositionGoneError, Start, StreamLog
from connector.simulator.timeline import Positions, Run, Timeline
from connector.simulator.wire import Opcode, close_frame, frame

T0 = 1_800_000_000.0


def make_log(**properties: object) -> StreamLog:
    """A stream "wfm" that starts at T0."""
    settings = SimulatorSettings(**properties)  # type: ignore[arg-type]  # each test names the properties it is about
    return StreamLog("wfm", settings, EventWriter(settings), T0)


def split_frames(data: bytes) -> list[tuple[int, bytes]]:
    """An independent reading of unmasked frames: (opcode, payload)."""
    found = []
    while data:
        length, at = data[1], 2
        if length == 126:
            length, at = int.from_bytes(data[2:4]), 4
        elif length == 127:
            length, at = int.from_bytes(data[2:10]), 10
        found.append((data[0] & 0x0F, data[at : at + length]))
        data = data[at + length :]
    return found


def all_frames(log: StreamLog, through: int) -> list[bytes]:
    """The payloads of every frame up to a slot."""
    slot, out = 0, b""
    while slot < through:
        slot, data = log.burst(slot, through)
        out += data
    return [payload for _, payload in split_frames(out)]


@pytest.mark.parametrize(
    ("rate", "backlog", "after_s", "head"),
    [(10, 0, -1, 0), (10, 0, 0, 0), (10, 0, 1, 10), (10, 0, 1.05, 10), (0, 7, 99, 7), (10, 7, 1, 17), (0.1, 0, 9, 0)],
)
def test_events_exist_whether_or_not_anyone_listens(rate: float, backlog: int, after_s: float, head: int) -> None:
    """The head is a function of the clock alone."""
    assert Timeline(T0, rate, backlog).head(T0 + after_s) == head


def test_every_slot_exists_from_its_own_time_on() -> None:
    """``time_of`` and ``head`` agree through pauses and pushes."""
    timeline = Timeline(T0, 7, backlog=5)
    timeline.pause(T0 + 1, 2)
    timeline.push(T0 + 2, 3)
    timeline.push(T0 + 4)
    timeline.pause(T0 + 5, 1)
    for slot in range(6, 80):
        since = timeline.time_of(slot)
        assert timeline.head(since + 1e-6) >= slot
        assert timeline.head(since - 1e-3) < slot


def test_a_pause_produces_nothing_and_then_goes_on() -> None:
    """Quiet moves what follows, it loses nothing."""
    timeline = Timeline(T0, 10)
    timeline.pause(T0 + 1, 5)
    assert [timeline.head(T0 + s) for s in (1, 3, 6, 7)] == [10, 10, 10, 20]
    assert timeline.time_of(11) == pytest.approx(T0 + 6.1)


def test_a_second_pause_does_not_shorten_the_first() -> None:
    """The later end counts."""
    timeline = Timeline(T0, 10)
    timeline.pause(T0, 10)
    timeline.pause(T0 + 1, 2)
    assert timeline.head(T0 + 9) == 0
    assert timeline.head(T0 + 11) == 10


def test_without_a_rate_nothing_comes_but_what_is_pushed() -> None:
    """A rate of 0 never makes a slot by itself."""
    timeline = Timeline(T0, 0, backlog=2)
    assert timeline.time_of(3) == math.inf
    assert timeline.push(T0 + 5) == 3
    assert timeline.time_of(3) == T0 + 5
    assert timeline.time_of(1) < timeline.time_of(2) <= T0


def test_jump_and_reset_change_positions_not_slots() -> None:
    """Positions leave out a range, then begin again in a new epoch."""
    positions = Positions()
    positions.jump(11, 5)
    positions.reset(21)
    assert [positions.position_of(slot) for slot in (0, 1, 10, 11, 20, 21, 22)] == [0, 1, 10, 16, 25, 1, 2]
    assert positions.runs(0, 22) == [Run(0, 1, 10), Run(0, 16, 25), Run(1, 1, 2)]
    assert positions.runs(8, 12) == [Run(0, 9, 10), Run(0, 16, 17)]
    assert positions.epoch_start(22) == 21


@pytest.mark.parametrize(
    ("position", "head", "slot"),
    [(0, 20, 0), (10, 20, 10), (12, 20, 10), (15, 20, 10), (16, 20, 11), (99, 20, 20), (-3, 20, 0), (3, 25, 23)],
)
def test_finding_a_position(position: int, head: int, slot: int) -> None:
    """A position inside a jump means the last one before it."""
    positions = Positions()
    positions.jump(11, 5)
    positions.reset(21)
    assert positions.last_slot_up_to(position, head) == slot


def test_the_log_is_deterministic() -> None:
    """Two simulators with the same seed say the same; another seed or stream says something else."""
    first, second = make_log(seed=3), make_log(seed=3)
    assert [item.data for item in first.items(50)] == [item.data for item in second.items(50)]
    assert first.item(1).data != make_log(seed=4).item(1).data
    writer = EventWriter(SimulatorSettings())
    assert writer.write("a", 1, 1, 0, 0) != writer.write("b", 1, 1, 0, 0)


@pytest.mark.parametrize(("kind", "name"), [("genesys-sequence", "sequenceId"), ("nice-offset", "offset")])
def test_an_event_has_what_the_wire_promises(kind: str, name: str) -> None:
    """Position, times and type are in every event, and at least one id."""
    log = make_log(kind=kind, rate=10, clock_skew_s=3600)
    for slot in range(1, 200):
        event = json.loads(log.item(slot).data)
        assert event[name] == slot
        assert event["emittedAtMs"] == round((T0 + slot / 10) * 1000)
        told = datetime.fromisoformat(event["eventTime"])
        assert event["eventTime"].endswith("Z")
        assert round(told.timestamp() * 1000) == event["emittedAtMs"] + 3_600_000
        identity = event.get("conversationId") or event.get("userId") or event.get("queueId")
        assert uuid.UUID(identity).version == 4


def test_conversations_start_go_on_and_end() -> None:
    """Every conversation that is seen from its start has its turns in order and one end."""
    log = make_log(conversations=5, rate=10)
    seen: defaultdict[str, list[str]] = defaultdict(list)
    for item in log.items(5 * TURNS * 4):
        event = json.loads(item.data)
        if "conversationId" in event:
            seen[event["conversationId"]].append(event["eventType"])
    whole = [types for types in seen.values() if types[0] == "conversation.start" and len(types) > 7]
    assert len(whole) > 5
    for types in whole:
        assert Counter(types)["conversation.start"] == 1
        assert "conversation.end" not in types[:-1]
    assert sum(types[-1] == "conversation.end" for types in seen.values()) >= 15


def test_the_mix_is_a_contact_centres() -> None:
    """All five types occur, updates most of all."""
    log = make_log(conversations=50)
    types = Counter(json.loads(item.data)["eventType"] for item in log.items(3000))
    assert set(types) == {
        "conversation.start",
        "conversation.update",
        "agent.state",
        "queue.observation",
        "conversation.end",
    }
    assert types.most_common(1)[0][0] == "conversation.update"


@pytest.mark.parametrize("i", [0, 1, 37, 400])
def test_the_snapshot_agrees_with_the_events(i: int) -> None:
    """Active are the conversations that have not ended by then; each of them is heard of again."""
    settings = SimulatorSettings(conversations=10)
    writer = EventWriter(settings)
    active = {each["conversationId"] for each in writer.active("wfm", i)}

    def heard(first: int, last: int, *types: str) -> set[str]:
        events = (json.loads(writer.write("wfm", n, n, 0, 0)) for n in range(first, last))
        return {event.get("conversationId") for event in events if event["eventType"] in types}

    assert not active & heard(1, i + 1, "conversation.end")
    assert active <= heard(i + 1, i + 1 + 10 * TURNS, "conversation.end")
    assert not active & heard(i + 1, i + 1 + 10 * TURNS, "conversation.start")


@pytest.mark.parametrize("size", [700, 2000, 70_000])
def test_padding_reaches_the_size(size: int) -> None:
    """An event is padded to the byte."""
    log = make_log(payload_bytes=size)
    assert {len(item.data) for item in log.items(30)} == {size}


@pytest.mark.parametrize("length", [0, 125, 126, 65_535, 65_536])
def test_frames_are_read_back(length: int) -> None:
    """All three lengths of RFC 6455 §5.2."""
    assert split_frames(frame(Opcode.TEXT, b"x" * length)) == [(1, b"x" * length)]


def test_a_close_reason_fits_a_control_frame() -> None:
    """It is cut at a character, not within."""
    [(opcode, payload)] = split_frames(close_frame(1008, "ü" * 100))
    assert (opcode, payload[:2], len(payload)) == (8, b"\x03\xf0", 124)
    payload[2:].decode()


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_frames_hold_the_truth_byte_for_byte(batch: int) -> None:
    """Objects or arrays: what is sliced out of the frames is what the log says."""
    log = make_log(batch=batch)
    sent = b"".join(all_frames(log, 300))
    for item in log.items(300):
        assert item.data in sent
    if batch == 1:
        assert all_frames(log, 300) == [item.data for item in log.items(300)]
    else:
        events = [json.loads(payload) for payload in all_frames(log, 300)]
        assert max(len(each) for each in events if isinstance(each, list)) == batch


def test_prepared_bytes_are_the_same() -> None:
    """Preparing changes the cost, not the bytes; also from the middle of a chunk."""
    plain, prepared = (make_log(rate=0, backlog=1000) for _ in range(2))
    prepared.prepare()
    prepared.prepare()
    assert all_frames(plain, 1000) == all_frames(prepared, 1000)
    assert prepared.burst(130, 1000) == plain.burst(130, 1000)


@pytest.mark.parametrize(
    ("kind", "parses"),
    [("bad_json", False), ("invalid_utf8", False), ("no_position", True), ("string_position", True)],
)
def test_poison_cannot_be_used(kind: PoisonKind, parses: bool) -> None:  # noqa: FBT001 - a column of the table
    """It does not parse, or has no integer for a position."""
    data = make_poison(PoisonOrder(kind), "sequenceId", 7).data
    if parses:
        assert not isinstance(json.loads(data).get("sequenceId"), int)
    else:
        with pytest.raises(ValueError, match=r"."):
            json.loads(data.decode())


def test_poison_of_a_size_or_of_raw_bytes() -> None:
    """``oversized`` is exactly as large as asked; ``raw`` is what was given; deep nesting is deep."""
    assert len(make_poison(PoisonOrder("oversized", size_bytes=1000), "offset", 1).data) == 1000
    raw = make_poison(PoisonOrder("raw", data=b"\0\1", binary=True), "offset", 1)
    assert (raw.data, raw.opcode) == (b"\0\1", Opcode.BINARY)
    assert b"[" * 1000 in make_poison(PoisonOrder("deep_nesting"), "offset", 1).data


@pytest.mark.parametrize("batch", [1, 10])
def test_poison_keeps_its_place(batch: int) -> None:
    """It has a position of its own, and everyone who passes it gets the same bytes."""
    log = make_log(rate=0, backlog=5, batch=batch)
    log.poison(T0, PoisonOrder("bad_json"))
    log.timeline.push(T0, 2)
    log.poison(T0, PoisonOrder("no_position"))
    log.timeline.push(T0)
    items = list(log.items(9 if batch == 1 else 10))
    assert [item.poison for item in items][:9] == [False] * 5 + [True, False, False, True]
    assert log.poisoned() == [(0, 6), (0, 9)]
    frames = all_frames(log, 10)
    assert items[5].data in frames
    assert frames == all_frames(log, 10)
    assert (items[8].data in frames) == (batch == 1)
    assert any(items[8].data in payload for payload in frames)


def test_a_wrong_date_is_only_a_wrong_date() -> None:
    """``eventTime`` lies, ``emittedAtMs`` does not, and the next event is right again."""
    log = make_log(rate=0, backlog=1)
    log.misdate(T0, 0)
    log.timeline.push(T0 + 1)
    odd, usual = (json.loads(log.item(slot).data) for slot in (2, 3))
    assert odd["eventTime"] == "1970-01-01T00:00:00.000Z"
    assert odd["emittedAtMs"] == round(T0 * 1000)
    assert datetime.fromisoformat(usual["eventTime"]) == datetime.fromtimestamp(T0 + 1, UTC)


@pytest.mark.parametrize(
    ("properties", "asked", "start"),
    [
        ({}, None, Start(1000)),
        ({}, 990, Start(990)),
        ({}, 1000, Start(1000)),
        ({}, 5000, Start(1000)),
        ({"resume": "at"}, 990, Start(989)),
        ({"resume": "at"}, 900, Start(900)),
        ({}, 900, Start(900)),
        ({}, 899, Start(1000, expired=True)),
        ({}, 0, Start(1000, expired=True)),
        ({"expired_position": "oldest"}, 5, Start(900, expired=True)),
    ],
)
def test_resuming(properties: dict[str, object], asked: int | None, start: Start) -> None:
    """After N or at N, within what is kept: 10 s of 100 in which 1,000 events came."""
    log = make_log(rate=10, retention_s=10, **properties)
    assert log.resume(asked, T0 + 100) == start


def test_an_expired_position_can_be_refused() -> None:
    """``refuse`` raises, and only for what is gone."""
    log = make_log(rate=10, retention_s=10, expired_position="refuse")
    assert log.resume(900, T0 + 100) == Start(900)
    with pytest.raises(PositionGoneError):
        log.resume(899, T0 + 100)


def test_after_a_reset_the_new_epoch_is_delivered_whole() -> None:
    """A position from before the reset is ahead of the new sequence."""
    log = make_log(rate=10)
    log.reset(T0 + 50)
    assert log.position_at(T0 + 50) == 500
    assert log.position_at(T0 + 51) == 10
    assert log.resume(500, T0 + 51) == Start(500)
    assert log.resume(4, T0 + 51) == Start(504)
    assert [(item.epoch, item.position) for item in (log.item(500), log.item(501))] == [(0, 500), (1, 1)]


def test_a_jump_leaves_positions_out() -> None:
    """Whoever resumes inside the hole goes on after it."""
    log = make_log(rate=10)
    log.jump(T0 + 1, 100)
    assert [log.item(slot).position for slot in (10, 11)] == [10, 111]
    assert log.resume(50, T0 + 2) == Start(10)


@pytest.mark.parametrize(
    "properties", [{"token_life_s": 0}, {"rate": -1}, {"batch": 0}, {"kind": "other"}, {"conversations": 0}]
)
def test_nonsense_is_refused(properties: dict[str, object]) -> None:
    """A setting without meaning is an error at once."""
    with pytest.raises(ValueError, match=next(iter(properties))):
        SimulatorSettings(**properties)  # type: ignore[arg-type]  # wrong on purpose
