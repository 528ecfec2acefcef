"""Visible latency at a steady rate while tokens rotate, beside a minimal transactional loop; and the rotations."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka.admin import AdminClient, NewTopic

from connector.simulator import SimulatorSettings
from tests.bench.figures import Figure, Outcome, Target, percentile
from tests.bench.platform import Platform
from tests.bench.rig import Rig, wait_until
from tests.bench.topics import Sight, Watcher, judge
from tests.bench.usage import cpu_s
from tests.support.bridge_process import configuration
from tests.support.broker import fresh_name

NAME = "latency"

_STREAM = "events"
_RATE = 1000.0
_TOKEN_LIFE_S, _BUFFER_S = 14.0, 4.0
_ROTATION_S = _TOKEN_LIFE_S - _BUFFER_S
_AROUND_S = 0.5
_WARM_UP_S = 3.0
_PAYLOAD_BYTES = 700


def run(rig: Rig) -> Outcome:
    """The bridge, then the floor, each watched by the same reader."""
    outcome = Outcome(NAME)
    seconds = 25.0 if rig.quick else 65.0
    sights, rotations, used_s = _bridge(rig, seconds, outcome)
    floor, floor_used_s = _floor(rig, 10.0 if rig.quick else 30.0, outcome)
    _figures(outcome, sights, rotations, floor)
    outcome.figures.append(
        Figure("CPU of the process", "%", used_s / seconds * 100, floor_used_s * 100, note=f"at {_RATE:g} events/s")
    )
    return outcome


def _bridge(rig: Rig, seconds: float, outcome: Outcome) -> tuple[list[Sight], list[tuple[float, float]], float]:
    """What the reader saw, the rotations as (new socket opened, old one closed), and CPU seconds."""
    topic = rig.topic("bench-latency")
    settings = SimulatorSettings(rate=_RATE, payload_bytes=_PAYLOAD_BYTES, retention_s=1e6, token_life_s=_TOKEN_LIFE_S)
    with rig.platform(settings) as platform:
        config = configuration(
            group=fresh_name("bench"),
            kafka=rig.broker.bootstrap,
            platform_url=platform.url,
            streams=[{"name": _STREAM, "topic": topic, "start": "earliest"}],
            refresh_buffer_s=_BUFFER_S,
        )
        watcher = Watcher(rig.broker.bootstrap, topic)
        with rig.bridge(config) as bridge:
            try:
                wait_until("the first events are there", lambda: bool(watcher.sights), bridge, 60)
                time.sleep(_WARM_UP_S)
                begin_ms, before_s = time.time() * 1000, cpu_s(bridge.pid)
                time.sleep(seconds)
                end_ms, used_s = time.time() * 1000, cpu_s(bridge.pid) - before_s
                platform.quiet(600)
                ledger = platform.ledger(_STREAM)
                wait_until("the last event is there", lambda: watcher.highest >= ledger["head"], bridge, 30)
                rotations = _rotations(outcome, platform)
            finally:
                sights = watcher.stop()
    outcome.faults += judge(rig.broker.bootstrap, topic, [(_STREAM, ledger["head"])])
    rig.delete(topic)
    return [sight for sight in sights if begin_ms <= sight.emitted_ms < end_ms], rotations, used_s


def _rotations(outcome: Outcome, platform: Platform) -> list[tuple[float, float]]:
    """From the platform's ledger; what it delivered twice, the bridge dropped."""
    ledger = platform.ledger(_STREAM)
    sockets: list[dict[str, Any]] = ledger["sockets"]
    stats = platform.stats()
    unwanted = {name: stats[name] for name in ("expiry_closes", "unauthorized", "refused") if stats[name]}
    if unwanted:
        outcome.faults.append(f"tokens did not rotate in time: {unwanted}")
    pairs = itertools.pairwise(sockets)
    rotations = [(new["opened_at_s"], old["closed"]["at_s"]) for old, new in pairs if old["closed"] is not None]
    both_s = [closed - opened for opened, closed in rotations]
    dropped = sum(socket["sent_events"] for socket in sockets) - ledger["head"]
    if not both_s:
        outcome.faults.append("there was no rotation")
        return []
    outcome.figures += [
        Figure(
            "rotation: two sockets", "s", max(both_s), None, None, Target(2.0),
            f"the longest of {len(both_s)}; median {statistics.median(both_s):.4f} s",
        ),
        Figure("rotation: duplicates dropped", "events", dropped / len(both_s), note=f"a rotation; {dropped} in all"),
    ]  # fmt: skip
    return rotations


def _floor(rig: Rig, seconds: float, outcome: Outcome) -> tuple[list[Sight], float]:
    topic = rig.topic("bench-latency-floor")
    checkpoints = f"{topic}.checkpoints"
    admin = AdminClient({"bootstrap.servers": rig.broker.bootstrap})
    admin.create_topics([NewTopic(checkpoints, num_partitions=1, replication_factor=-1)])[checkpoints].result(15)
    watcher = Watcher(rig.broker.bootstrap, topic)
    floor = rig.helper(
        "tests.bench.floor", "latency", "--bootstrap", rig.broker.bootstrap, "--target", topic,
        "--rate", str(_RATE), "--seconds", str(seconds + _WARM_UP_S), "--payload-bytes", str(_PAYLOAD_BYTES),
    )  # fmt: skip
    try:
        if floor.wait(seconds + 120) != 0:
            raise RuntimeError(f"the floor failed:\n{floor.log_tail()}")
        result: dict[str, Any] = json.loads(floor.log_tail(1))
        time.sleep(1.0)
    finally:
        floor.kill()
        sights = watcher.stop()
    found = sorted(sight.position for sight in sights)
    if found != list(range(1, result["events"] + 1)):
        outcome.faults.append(f"floor: {len(found)} of {result['events']} events were seen")
    rig.delete(topic, checkpoints)
    warm = [sight for sight in sights if sight.position > _WARM_UP_S * _RATE]
    return warm, result["cpu_s"] / (seconds + _WARM_UP_S)


def _figures(
    outcome: Outcome, sights: Sequence[Sight], rotations: Sequence[tuple[float, float]], floor: Sequence[Sight]
) -> None:
    around: list[float] = []
    elsewhere: list[float] = []
    for sight in sights:
        near = any(abs(sight.emitted_ms / 1000 - opened) <= _AROUND_S for opened, _ in rotations)
        (around if near else elsewhere).append(sight.seen_ms - sight.emitted_ms)
    all_ms = sorted(around + elsewhere)
    floor_ms = sorted(sight.seen_ms - sight.emitted_ms for sight in floor)
    for share, bound in ((0.5, 12.0), (0.99, 50.0)):
        value, floor_value = percentile(all_ms, share), percentile(floor_ms, share)
        name = f"visible, p{share * 100:g}"
        outcome.figures.append(Figure(name, "ms", value, floor_value, value / floor_value, Target(bound)))
    near_ms, far_ms = percentile(sorted(around), 0.99), percentile(sorted(elsewhere), 0.99)
    outcome.figures.append(
        Figure(
            "visible, p99 within 0.5 s of a rotation", "ms", near_ms, far_ms, near_ms / far_ms,
            Target(1.2, on_ratio=True), "the floor here: p99 elsewhere in the same run",
        )
    )  # fmt: skip
    outcome.details["milliseconds"] = {
        who: {f"p{share * 100:g}": percentile(values, share) for share in (0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)}
        for who, values in (("bridge", all_ms), ("floor", floor_ms))
    }
