"""Catching up a backlog: CPU an event and throughput, beside a process that only produces the same records."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

from connector.simulator import SimulatorSettings
from tests.bench.figures import Figure, Outcome, Target, spread
from tests.bench.rig import Rig, wait_until
from tests.bench.topics import Checkpoints, judge
from tests.bench.usage import cpu_s
from tests.support.bridge_process import configuration
from tests.support.broker import fresh_name

NAME = "catch-up"

_STREAM = "events"
_LANES = 4
_PAYLOAD_BYTES = 700
_SILENCE_S = 3.0
"""The socket opens, and only then the backlog comes: the bridge's start is not part of the measurement."""
_FLOOR_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class _Run:
    events: int
    wall_s: float
    cpu_s: float
    transactions: list[int]

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.events * 1e6

    @property
    def rate(self) -> float:
        return self.events / self.wall_s

    def document(self) -> dict[str, float]:
        return {
            "events": self.events,
            "wall_s": self.wall_s,
            "cpu_s": self.cpu_s,
            "transactions": len(self.transactions),
        }


def run(rig: Rig) -> Outcome:
    """Bridge and floor by turns, so that what else the machine does hits both; the median of the pairs' ratios."""
    outcome = Outcome(NAME)
    events, repeats = (100_000, 1) if rig.quick else (250_000, 3)
    settings = SimulatorSettings(
        rate=0, backlog=events, payload_bytes=_PAYLOAD_BYTES, retention_s=1e6, open_delay_s=_SILENCE_S
    )
    pairs = []
    for _ in range(repeats):
        topic, target = rig.topic("bench-catch-up"), rig.topic("bench-floor")
        bridge = _bridge(rig, settings, topic)
        floor = _floor(rig, topic, target, bridge.transactions, outcome)
        rig.delete(topic, target)
        pairs.append((bridge, floor))
    _figures(outcome, pairs)
    return outcome


def _bridge(rig: Rig, settings: SimulatorSettings, topic: str) -> _Run:
    bootstrap = rig.broker.bootstrap
    with rig.platform(settings, prepared=[_STREAM]) as platform:
        config = configuration(
            group=fresh_name("bench"),
            kafka=bootstrap,
            platform_url=platform.url,
            streams=[{"name": _STREAM, "topic": topic}],
            lanes=_LANES,
        )
        with rig.bridge(config) as bridge:
            wait_until("the socket is open", lambda: platform.stats()["open"] == 1, bridge, 60)
            time.sleep(_SILENCE_S / 2)
            before_s = cpu_s(bridge.pid)
            checkpoints = Checkpoints(bootstrap, config["group"], _STREAM, _LANES)
            done_at_s = checkpoints.follow(settings.backlog, 60 + settings.backlog / 2000)
            used_s = cpu_s(bridge.pid) - before_s
            checkpoints.close()
            opened_at_s = float(platform.ledger(_STREAM)["sockets"][0]["opened_at_s"])
    return _Run(settings.backlog, done_at_s - opened_at_s - _SILENCE_S, used_s, checkpoints.transactions)


def _floor(rig: Rig, source: str, target: str, transactions: list[int], outcome: Outcome) -> _Run:
    floor = rig.helper(
        "tests.bench.floor", "catch-up", "--bootstrap", rig.broker.bootstrap, "--source", source, "--target", target,
        "--transactions", json.dumps(transactions),
    )  # fmt: skip
    try:
        if floor.wait(_FLOOR_TIMEOUT_S) != 0:
            raise RuntimeError(f"the floor failed:\n{floor.log_tail()}")
        result: dict[str, Any] = json.loads(floor.log_tail(1))
    finally:
        floor.kill()
    outcome.faults += result["faults"]
    outcome.faults += [
        f"floor: {fault}" for fault in judge(rig.broker.bootstrap, target, [(_STREAM, result["events"])])
    ]
    return _Run(result["events"], result["wall_s"], result["cpu_s"], transactions)


def _figures(outcome: Outcome, pairs: list[tuple[_Run, _Run]]) -> None:
    cpu = [bridge.cpu_us / floor.cpu_us for bridge, floor in pairs]
    rate = [bridge.rate / floor.rate for bridge, floor in pairs]
    sizes = [size for bridge, _ in pairs for size in bridge.transactions]
    outcome.figures += [
        Figure(
            "CPU an event",
            "µs",
            statistics.median(bridge.cpu_us for bridge, _ in pairs),
            statistics.median(floor.cpu_us for _, floor in pairs),
            statistics.median(cpu),
            Target(1.5, on_ratio=True),
            f"ratio of {spread(cpu)}",
        ),
        Figure(
            "throughput",
            "events/s",
            statistics.median(bridge.rate for bridge, _ in pairs),
            statistics.median(floor.rate for _, floor in pairs),
            statistics.median(rate),
            Target(0.5, at_least=True, on_ratio=True),
            f"ratio of {spread(rate)}; the floor has no platform beside it",
        ),
        Figure("events in a transaction", "", statistics.mean(sizes), note=f"median {statistics.median(sizes):g}"),
    ]
    outcome.details["runs"] = [{"bridge": bridge.document(), "floor": floor.document()} for bridge, floor in pairs]
