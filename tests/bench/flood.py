"""A broker that has stopped answering, and a platform that floods: the bridge's memory over time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from connector.simulator import SimulatorSettings
from tests.bench.figures import Figure, Outcome, Target
from tests.bench.platform import Platform
from tests.bench.rig import Rig, wait_until
from tests.bench.topics import Checkpoints, judge
from tests.bench.usage import rss_bytes
from tests.support.bridge_process import configuration
from tests.support.broker import fresh_name

NAME = "flood"

_STREAMS = [f"flood-{i}" for i in range(4)]
_RATE = 2500.0
_LANES = 4
_BUFFER_BYTES = 16_777_216
_PAYLOAD_BYTES = 700
_BEFORE_S = 4.0
_FULL_S = 2.0
"""After so long the buffers are full; from then on the memory must be flat."""
_MB = 1_000_000


def run(rig: Rig) -> Outcome:
    """Steady, then stopped, then going again; in the end every event must be there."""
    outcome = Outcome(NAME)
    topic = rig.topic("bench-flood")
    settings = SimulatorSettings(rate=_RATE, payload_bytes=_PAYLOAD_BYTES, retention_s=1e6)
    with rig.platform(settings) as platform:
        config = configuration(
            group=fresh_name("bench"),
            kafka=rig.broker.bootstrap,
            platform_url=platform.url,
            streams=[{"name": name, "topic": topic, "buffer": {"bytes": _BUFFER_BYTES}} for name in _STREAMS],
            lanes=_LANES,
        )
        with rig.bridge(config) as bridge:
            wait_until("all sockets are open", lambda: platform.stats()["open"] == len(_STREAMS), bridge, 60)
            steady = _sample(bridge.pid, _BEFORE_S)
            rig.broker.freeze()
            try:
                stopped = _sample(bridge.pid, 15.0 if rig.quick else 60.0)
            finally:
                rig.broker.thaw()
            platform.quiet(3600)
            heads = {name: int(platform.ledger(name)["head"]) for name in _STREAMS}
            for name, head in heads.items():
                checkpoints = Checkpoints(rig.broker.bootstrap, config["group"], name, _LANES)
                checkpoints.follow(head, 120 + head / 2000)
                checkpoints.close()
            _check_sockets(platform, outcome)
            after = rss_bytes(bridge.pid)
    outcome.faults += judge(rig.broker.bootstrap, topic, list(heads.items()))
    rig.delete(topic)
    _figures(outcome, steady, stopped, after)
    return outcome


def _check_sockets(platform: Platform, outcome: Outcome) -> None:
    reopened = sum(len(platform.ledger(name)["sockets"]) - 1 for name in _STREAMS)
    outcome.details["sockets_reopened"] = reopened


def _sample(pid: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> list[tuple[float, int]]:
    """(seconds since the start, RSS in bytes), twice a second."""
    began, samples = clock(), []
    while (at := clock() - began) < seconds:
        samples.append((at, rss_bytes(pid)))
        time.sleep(0.5)
    return samples


def _figures(outcome: Outcome, steady: list[tuple[float, int]], stopped: list[tuple[float, int]], after: int) -> None:
    before = steady[-1][1]
    full = [(at, used) for at, used in stopped if at >= _FULL_S]
    slope = statistics.linear_regression([at for at, _ in full], [used for _, used in full]).slope
    growth = max(used for _, used in stopped) - before
    bound = len(_STREAMS) * _BUFFER_BYTES
    outcome.figures += [
        Figure(
            "memory gained while Kafka is stopped", "MB", growth / _MB, None, None, Target(bound / _MB),
            f"from {before / _MB:.0f} MB; the buffers of {len(_STREAMS)} streams are {bound / _MB:.0f} MB",
        ),
        Figure(
            "memory's slope once the buffers are full", "kB/s", slope / 1000, None, None, Target(10.0),
            f"over {full[-1][0] - full[0][0]:.0f} s; the platform offers {_RATE * len(_STREAMS):g} events/s",
        ),
        Figure("memory after the backlog is caught up", "MB", after / _MB),
    ]  # fmt: skip
    outcome.details["rss"] = {"steady": steady, "stopped": stopped}
