"""Items of every kind across rotations: what cannot be read is dead-lettered once, what can arrives byte for byte."""

from __future__ import annotations

import time
from typing import Any

import pytest

from connector.simulator.poison import PoisonKind
from tests.support.scenario import STREAM, Scenario, assert_calm, platform
from tests.support.stage import Stage

LIFE_S = 5.0
SLOW_START_S = 0.4
"""New sockets are silent for so long: what happens in an overlap is delivered on both."""
_DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        pytest.param("bad_json", b"", id="bad-json"),
        pytest.param("invalid_utf8", b"", id="invalid-utf8"),
        pytest.param("no_position", b"", id="no-position"),
        pytest.param("string_position", b"", id="string-position"),
        pytest.param("deep_nesting", b"", id="deep-nesting"),
        pytest.param("raw", b"\x00\xff\xfe\x01", id="binary"),
        pytest.param("raw", b"", id="empty"),
        pytest.param("raw", b"null", id="null"),
    ],
)
async def test_poison_in_sequence_across_a_rotation(stage: Stage, kind: PoisonKind, data: bytes) -> None:
    """An unreadable item at a position, also two in a row while both sockets deliver them: one dead letter for each."""
    settings = platform(rate=100, token_life_s=LIFE_S, open_delay_s=SLOW_START_S)
    async with Scenario(stage, settings) as it:
        await it.ready()
        await it.flowing(20)
        it.simulator.poison(kind, data=data, binary=kind == "raw")
        await it.overlap()
        it.simulator.poison(kind, data=data, binary=kind == "raw")
        it.simulator.poison(kind, data=data, binary=kind == "raw")
        await it.alone()
        it.simulator.poison(kind, data=data, binary=kind == "raw")
        it.simulator.abort()
        await it.until(it.open_sockets, "a socket again")
        await it.flowing(20)
        verdicts = await it.finish()
        letters = verdicts[STREAM].letters
        assert len(letters) == 4
        assert all(letter.covers is not None for letter in letters)


@pytest.mark.parametrize("kind", ["bad_json", "invalid_utf8", "no_position"])
async def test_poison_as_noise_between_rotations(stage: Stage, kind: PoisonKind) -> None:
    """An unreadable frame that stands for no position: one dead letter without ``covers``, and no gap."""
    async with Scenario(stage, platform(rate=100, token_life_s=LIFE_S)) as it:
        await it.ready()
        sent: list[bytes] = []
        for _ in range(3):
            await it.rotated(1)
            await it.alone()
            await it.flowing(20)
            it.simulator.poison(kind, noise=True)
            sent.append(bytes(it.open_sockets()[0].session.aside[-1]))
        await it.flowing(20)
        await it.drained()
        letters = [record.value for record in await it.records(f"{it.group}.dead-letter")]
        assert len(letters) == len(sent)
        assert all(frame.endswith(value) for frame, value in zip(sent, letters, strict=True))
        await it.finish(noise=letters)


async def test_poison_of_a_quiet_stream_does_not_wait_for_ever(stage: Stage) -> None:
    """An unreadable item with nothing after it becomes a dead letter all the same, once, and the next event goes on."""
    async with Scenario(stage, platform(rate=0)) as it:
        await it.ready()
        it.simulator.push(5)
        await it.committed()
        it.simulator.poison("bad_json")
        await it.until(lambda: it.story("item dead-lettered"), "the dead letter")
        it.simulator.abort()
        await it.until(it.open_sockets, "a socket again")
        await it.drained()
        assert len(await it.records(f"{it.group}.dead-letter")) == 1


async def test_events_dated_next_year_and_1970(stage: Stage) -> None:
    """Wrong dates neither stop the lane nor expire the record: the time stamp is clamped, ``ce_time`` is the truth."""
    settings = platform(rate=100, token_life_s=LIFE_S, open_delay_s=SLOW_START_S)
    async with Scenario(stage, settings) as it:
        await it.ready()
        now_ms = time.time_ns() // 1_000_000
        dates = [now_ms + 365 * _DAY_MS, 0, now_ms + 3_700_000, now_ms - 8 * _DAY_MS, 253_402_300_799_000]
        for when in dates:
            await it.flowing(10)
            it.simulator.misdate(when)
        await it.overlap()
        for when in dates:
            it.simulator.misdate(when)
        await it.alone()
        await it.flowing(20)
        await it.finish()
        assert_calm(it)


async def test_array_frames_are_cut_byte_for_byte(stage: Stage) -> None:
    """Events out of arrays with odd spacing, escapes and numbers like 1.0, with unreadable elements among them."""
    settings = platform(rate=200, batch=7, token_life_s=LIFE_S, open_delay_s=SLOW_START_S, backlog=1000)
    async with Scenario(stage, settings) as it:
        await it.ready()
        for kind in ("no_position", "string_position"):
            await it.flowing(50)
            it.simulator.poison(kind)
            await it.overlap()
            it.simulator.poison(kind)
            await it.alone()
        await it.finish()


async def test_kind_nice_offset(stage: Stage) -> None:
    """The other kind: positions by the name of ``offset``, through rotations and a drop."""
    async with Scenario(stage, platform(kind="nice-offset", rate=200, token_life_s=LIFE_S)) as it:
        await it.ready()
        await it.rotated(2)
        it.simulator.abort()
        await it.flowing(50)
        await it.finish()


async def test_large_events(stage: Stage) -> None:
    """Events of 20 kB in transactions and topics of the usual limits."""
    settings = platform(rate=50, payload_bytes=20_000, token_life_s=LIFE_S, backlog=300)
    async with Scenario(stage, settings) as it:
        await it.ready()
        await it.rotated(2)
        await it.finish()
        assert_calm(it)


async def test_routes_to_several_topics(stage: Stage) -> None:
    """WFM, speech and CRM, each by its routes into its topics, in order through rotations."""
    settings = platform(rate=100, token_life_s=LIFE_S)
    streams: list[dict[str, Any]] = [
        {
            "name": "wfm",
            "routes": [
                {"match": {"event_type": "agent.*"}, "topic": stage.name("agents"), "priority": "high"},
                {"match": {"event_type": "queue.*"}, "topic": stage.name("queues")},
            ],
        },
        {"name": "speech", "topic": stage.name("speech"), "type_prefix": "com.example."},
        {
            "name": "crm",
            "type_prefix": "com.example.",
            "routes": [{"match": {"event_type": "conversation.*"}, "topic": stage.name("crm")}],
        },
    ]
    async with Scenario(stage, settings, *streams, lanes=3) as it:
        await it.ready()
        for stream in streams:
            await it.rotated(2, stream["name"])
        verdicts = await it.finish()
        assert set(verdicts) == {"wfm", "speech", "crm"}
        for name in verdicts:
            assert_calm(it, name)


async def test_priority_route_commits_at_once(stage: Stage) -> None:
    """An event of a ``high`` route does not wait for the linger; one of another route does."""
    hurried = [{"match": {"event_type": "*"}, "topic": stage.name("hurried"), "priority": "high"}]
    streams: list[dict[str, Any]] = [{"name": "hurried", "routes": hurried}, {"name": "patient"}]
    async with Scenario(stage, platform(rate=0), *streams, lanes=7, commit={"linger_seconds": 1.0}) as it:
        await it.ready()
        for _ in range(3):
            it.simulator.push()
            await it.committed(stream="hurried")
            assert it.position("patient") < it.head("patient")
            await it.committed(stream="patient")
        await it.finish()


async def test_one_platform_stream_under_two_names(stage: Stage) -> None:
    """The same channel configured twice: two streams, each with its own position, each complete."""
    settings = platform(rate=100, token_life_s=LIFE_S)
    streams = [
        {"name": "for-wfm", "channel": "shared", "topic": stage.name("for-wfm")},
        {"name": "for-crm", "channel": "shared", "topic": stage.name("for-crm")},
    ]
    async with Scenario(stage, settings, *streams, lanes=2) as it:
        await it.ready()
        await it.rotated(4, "for-wfm")
        it.simulator.abort()
        await it.flowing(50, "for-wfm")
        verdicts = await it.finish()
        assert verdicts["for-wfm"].events == verdicts["for-crm"].events
