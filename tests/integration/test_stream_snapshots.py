"""A snapshot endpoint in trouble: the stream goes on, and its gap record says what became of the snapshot."""

from __future__ import annotations

import itertools
import json
import resource
import time
from typing import Any

import pytest

from connector.simulator.faults import SnapshotTroubleKind
from tests.support.scenario import STREAM, Scenario, missed, platform
from tests.support.stage import Stage

_MIB = 1 << 20
_QUICK = {"backoff_seconds": 0.3, "backoff_max_seconds": 1, "breaker_failures": 4, "breaker_seconds": 1}
_REBUILT = {"name": STREAM, "on_gap": "snapshot"}


async def _lose_some(it: Scenario, stream: str | None = None) -> int:
    """An outage longer than the retention; returns how many gaps there were before: a slow start makes one."""
    known = len(it.story("gap recorded"))
    it.simulator.refuse(7.0, stream=stream)
    it.simulator.abort(stream)
    await it.until(lambda: len(it.story("gap recorded")) > known, "the gap")
    return known


async def _gaps(it: Scenario, known: int) -> list[dict[str, Any]]:
    """The gap records after those that were known."""
    return [json.loads(record.value) for record in await it.records(f"{it.group}.gaps")][known:]


async def _finish(it: Scenario) -> None:
    await it.drained()
    await it.finish(gaps=missed(it, "retention"))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("500", "HTTP 500"),
        ("429", "HTTP 429"),
        ("slow", "snapshot"),
        ("truncated", "failed (ClientPayloadError)"),
        ("garbage", "cannot be read"),
    ],
)
async def test_snapshot_that_cannot_be_had(stage: Stage, kind: SnapshotTroubleKind, told: str) -> None:
    """Tried until ``snapshot.max_wait_seconds``; then the gap record says ``failed``, and the stream goes on."""
    settings = platform(rate=100, retention_s=3, conversations=100)
    configured = {"snapshot": {"max_wait_seconds": 4}}
    async with Scenario(stage, settings, _REBUILT, network=_QUICK, configured=configured) as it:
        await it.ready()
        await it.flowing(50)
        it.simulator.snapshot_trouble(kind, 600.0)
        known = await _lose_some(it)
        await it.flowing(50)
        assert it.count("snapshots") < 30, "asked for in a loop"
        await _finish(it)
        assert {(gap["snapshot"], gap["snapshot_id"]) for gap in await _gaps(it, known)} == {("failed", None)}
        details = [line["detail"] for path in ("network", "auth") for line in it.failures(path)]
        assert kind == "slow" or any("snapshot" in detail and told in detail for detail in details), details


async def test_snapshot_that_is_had_at_last(stage: Stage) -> None:
    """Refused for a while, then given: written whole, and the gap record says ``done``."""
    settings = platform(rate=100, retention_s=3, conversations=100)
    async with Scenario(stage, settings, _REBUILT, network=_QUICK) as it:
        await it.ready()
        await it.flowing(50)
        it.simulator.snapshot_trouble("500", 8.0)
        known = await _lose_some(it)
        await it.until(lambda: it.story("snapshot written"), "the snapshot")
        await it.flowing(50)
        await _finish(it)
        assert {gap["snapshot"] for gap in await _gaps(it, known)} == {"done"}


async def test_no_room_for_the_snapshot(stage: Stage) -> None:
    """More than the disk takes: said so, given up in time, and memory stays as it was."""
    settings = platform(rate=50, retention_s=3, conversations=10)
    configured = {"snapshot": {"max_wait_seconds": 6}}
    async with Scenario(stage, settings, _REBUILT, network=_QUICK, configured=configured) as it:
        await it.ready()
        await it.flowing(20)
        _, most = resource.prlimit(it.worker.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(it.worker.pid, resource.RLIMIT_FSIZE, (32 * _MIB, most))  # as a full disk: writes fail
        it.simulator.snapshot_trouble("endless", 600.0)
        before = it.rss_bytes()
        known = await _lose_some(it)
        await it.flowing(20)
        assert it.rss_bytes() - before < 64 * _MIB
        await _finish(it)
        assert {gap["snapshot"] for gap in await _gaps(it, known)} == {"failed"}
        assert any("no room for the snapshot in" in line["detail"] for line in it.failures("network"))


async def test_two_hundred_thousand_conversations(stage: Stage) -> None:
    """While a large state is fetched and written, another stream of the worker is read and committed."""
    settings = platform(rate=20, retention_s=3, conversations=10)
    streams = [_REBUILT, {"name": "other", "channel": "other"}]
    async with Scenario(stage, settings, *streams, lanes=2, network=_QUICK, commit={}) as it:
        await it.ready()
        await it.flowing(20)
        it.simulator.snapshot_trouble("endless", 600.0, size_bytes=200_000 * 380)
        await _lose_some(it, STREAM)
        began = time.monotonic()
        seen = [(began, it.position("other"))]

        def written() -> bool:
            if it.position("other") != seen[-1][1]:
                seen.append((time.monotonic(), it.position("other")))
            return any(line["conversations"] > 100_000 for line in it.story("snapshot written"))

        await it.until(written, "the snapshot", look_s=0.01)
        longest = max(later[0] - former[0] for former, later in itertools.pairwise(seen))
        print(  # noqa: T201 - measured
            f"{it.story('snapshot written')[-1]} after {time.monotonic() - began:.1f} s; the other stream waited at "
            f"most {longest:.2f} s between commits; {it.rss_bytes() / _MIB:.0f} MiB"
        )
        await it.flowing(20)
        assert it.sockets("other")[-1].closed is None, "its socket was lost meanwhile"
        snapshot = [r for r in await it.records(it.topic) if "ce_snapshotid" in r.headers]
        assert len({r.key for r in snapshot if r.key and r.key.startswith(b"0000")}) >= 190_000
