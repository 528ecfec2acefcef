"""Gaps and what follows them: snapshots, refused positions, items too large to read, streams that stop or are quiet."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.support.ledger import Record
from tests.support.scenario import STREAM, Scenario, missed, platform
from tests.support.stage import Stage
from tests.support.verdict import GapSeen
from tests.validation import validate, validate_snapshot_record

_QUICK = {"backoff_seconds": 0.5, "backoff_max_seconds": 2, "breaker_failures": 4, "breaker_seconds": 2}
_REBUILT = {"name": STREAM, "on_gap": "snapshot"}


async def _snapshots(it: Scenario) -> dict[str, list[Record]]:
    """The records of each snapshot in the topic, by its id."""
    found: dict[str, list[Record]] = {}
    for record in await it.records(it.topic):
        if "ce_snapshotid" in record.headers:
            await asyncio.to_thread(validate_snapshot_record, list(record.headers.items()), record.value)
            found.setdefault(record.headers["ce_snapshotid"].decode(), []).append(record)
    return found


def _kinds(records: list[Record]) -> dict[str, int]:
    """How many begins, conversations and ends."""
    kinds = [record.headers["ce_type"].decode().rpartition("snapshot")[2] for record in records]
    return {kind: kinds.count(kind) for kind in ("", ".begin", ".end")}


async def _lose_some(it: Scenario) -> None:
    """An outage longer than the retention."""
    await it.ready()
    await it.flowing(50)
    it.simulator.refuse(7.0)
    it.simulator.abort()
    await it.until(lambda: it.story("snapshot written"), "the snapshot")
    await it.flowing(50)
    await it.drained()


async def test_state_is_rebuilt_after_a_gap(stage: Stage) -> None:
    """The gap record names its snapshot; begin and end are in every partition, and every conversation between them."""
    settings = platform(rate=100, retention_s=3, conversations=200)
    async with Scenario(stage, settings, _REBUILT, network=_QUICK) as it:
        await _lose_some(it)
        await it.finish(gaps=missed(it, "retention"))
        snapshots = await _snapshots(it)
        gaps = [validate_gap(record) for record in await it.records(f"{it.group}.gaps")]
        assert {gap["snapshot"] for gap in gaps} == {"done"}
        assert {gap["snapshot_id"] for gap in gaps} <= set(snapshots)
        for records in snapshots.values():
            kinds = _kinds(records)
            assert (kinds[".begin"], kinds[".end"]) == (4, 4)
            assert kinds[""] > 0
        checkpoint = it.checkpoint()
        assert checkpoint is not None
        assert checkpoint["snapshot"]["id"] is None


def validate_gap(record: Record) -> dict[str, Any]:
    """A gap record, held against its schema."""
    validate("gap", record.value)
    return dict(json.loads(record.value))


async def test_kill_in_the_middle_of_a_snapshot(stage: Stage) -> None:
    """The checkpoint says that a snapshot has begun and has no end: the next owner writes a new one, and no new gap."""
    settings = platform(rate=100, retention_s=3, conversations=20_000)
    commit = {"max_events": 200, "max_per_second": 10}
    async with Scenario(stage, settings, _REBUILT, network=_QUICK, commit=commit) as it:
        await it.ready()
        await it.flowing(50)
        it.simulator.refuse(7.0)
        it.simulator.abort()
        await it.until(
            lambda: ((it.checkpoint() or {}).get("snapshot") or {}).get("records"), "a snapshot that has begun"
        )
        await it.kill9()
        await it.start()
        await it.until(lambda: it.story("snapshot written"), "a whole snapshot")
        await it.flowing(20)
        await it.drained()
        await it.stop()
        verdict = (await it.judge())[STREAM]
        verdict.assert_exact(gaps=verdict.gaps)  # what the killed worker had in hand may be gone from the platform too
        gaps = [validate_gap(record) for record in await it.records(f"{it.group}.gaps")]
        ranges = sorted((gap["from"], gap["to"]) for gap in gaps)
        assert all(former[1] < later[0] for former, later in pairwise(ranges)), "a gap was recorded twice"
        kinds = [_kinds(records) for records in (await _snapshots(it)).values()]
        assert any(each[".begin"] and not each[".end"] for each in kinds), "the killed one has no end"
        assert any(each[".end"] == 4 for each in kinds), "the new one is whole"


async def test_start_at_a_snapshot(stage: Stage) -> None:
    """The state first, then every event after the position that it stands for."""
    settings = platform(rate=50, backlog=500, conversations=100)
    async with Scenario(stage, settings, {**_REBUILT, "start": "snapshot"}) as it:
        await it.ready()
        await it.until(lambda: it.story("snapshot written"), "the snapshot")
        await it.flowing(50)
        events = [record for record in await it.records(it.topic) if "ce_sequence" in record.headers]
        begin = min(int(record.headers["ce_position"]) for record in events) - 1
        assert begin >= 500
        await it.finish(begins={STREAM: begin})


async def test_refused_position_is_a_gap(stage: Stage) -> None:
    """A platform that refuses an expired position is asked for its present; what is between is declared missing."""
    settings = platform(rate=100, retention_s=3, expired_position="refuse")
    streams = {"name": STREAM, "on_gap": "continue"}
    async with Scenario(stage, settings, streams, network=_QUICK, configured={"expired_position": 410}) as it:
        await it.ready()
        await it.flowing(50)
        known = len(it.story("gap recorded"))
        it.simulator.refuse(7.0)
        it.simulator.abort()
        await it.until(lambda: len(it.story("gap recorded")) > known, "the gap")
        await it.flowing(50)
        await it.drained()
        await it.finish(gaps=missed(it, "retention"))


async def test_item_too_large_to_read_is_a_gap(stage: Stage) -> None:
    """Twice at the same position: declared missing, that one alone, and the stream goes on."""
    settings = platform(rate=50)
    async with Scenario(stage, settings, network=_QUICK, configured={"max_frame_bytes": 65_536}) as it:
        await it.ready()
        await it.flowing(20)
        it.simulator.poison("oversized", STREAM, size_bytes=100_000)
        await it.until(lambda: it.story("gap recorded"), "the gap")
        await it.flowing(50)
        await it.drained()
        (large,) = [item for item in it.simulator.items(STREAM) if len(item.data) > 65_536]
        await it.finish(gaps=[GapSeen(0, large.position, large.position, "oversize")])


async def test_quiet_stream_is_complete_all_the_same(stage: Stage) -> None:
    """At night nothing comes: the checkpoint's ``complete_until`` advances, its position does not."""
    settings = platform(rate=50, retention_s=8)
    async with Scenario(stage, settings, configured={"ping_seconds": 1, "silence_seconds": 5}) as it:
        await it.ready()
        await it.flowing(20)
        await it.drained()

        def complete_until() -> datetime:
            checkpoint = it.checkpoint()
            assert checkpoint is not None
            return datetime.fromisoformat(checkpoint["complete_until"])

        first, position = complete_until(), it.position()
        await it.until(lambda: (complete_until() - first).total_seconds() > 6, "time passing for a quiet stream")
        assert it.position() == position
        await it.finish(gaps=missed(it, "retention"))  # where the start took longer than the retention
