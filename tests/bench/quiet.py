"""A worker with many streams that say next to nothing: what each costs, and that each keeps its token and its life."""

from __future__ import annotations

import time
from typing import Any

from connector.simulator import SimulatorSettings
from tests.bench.figures import Figure, Outcome, Target
from tests.bench.platform import Platform
from tests.bench.rig import Rig, wait_until
from tests.bench.topics import judge
from tests.bench.usage import cpu_s, rss_bytes
from tests.support.bridge_process import configuration
from tests.support.broker import fresh_name

NAME = "quiet"

_TOKEN_LIFE_S, _BUFFER_S = 40.0, 12.0
_ROTATION_S = _TOKEN_LIFE_S - _BUFFER_S
_EVENTS_A_SECOND = 0.05
_LIVENESS = {"ping_seconds": 5, "silence_seconds": 12}
_SETTLE_S = 2.0
_LANES = 8


def run(rig: Rig) -> Outcome:
    """One stream, then many: the difference is what a stream costs."""
    outcome = Outcome(NAME)
    many = 100 if rig.quick else 1000
    lone_bytes, _, _, _ = _measure(rig, 1, _SETTLE_S, Outcome(NAME))
    seconds = 2 * _ROTATION_S + 5
    all_bytes, cpu_share, last_s, ledgers = _measure(rig, many, seconds, outcome)
    rotated = sum(len(ledger["sockets"]) - 1 for ledger in ledgers)
    outcome.figures += [
        Figure(
            "memory a stream", "kB", (all_bytes - lone_bytes) / (many - 1) / 1000, None, None, Target(300.0),
            f"{many} streams: {all_bytes / 1e6:.0f} MB; one stream: {lone_bytes / 1e6:.0f} MB",
        ),
        Figure(
            "last stream rotated", "s", last_s, None, None, Target(_BUFFER_S / 2),
            f"after its token was issued; {rotated} rotations; the token's buffer is {_BUFFER_S:g} s",
        ),
        Figure("CPU of the process", "%", cpu_share * 100),
    ]  # fmt: skip
    return outcome


def _measure(
    rig: Rig, streams: int, seconds: float, outcome: Outcome
) -> tuple[int, float, float, list[dict[str, Any]]]:
    """RSS at the end, share of a core, the slowest rotation in seconds, and the platform's ledgers."""
    names = [f"quiet-{i}" for i in range(streams)]
    topic = rig.topic("bench-quiet")
    settings = SimulatorSettings(rate=_EVENTS_A_SECOND, retention_s=1e6, token_life_s=_TOKEN_LIFE_S, conversations=10)
    with rig.platform(settings) as platform:
        config = configuration(
            group=fresh_name("bench"),
            kafka=rig.broker.bootstrap,
            platform_url=platform.url,
            streams=[{"name": name, "topic": topic} for name in names],
            refresh_buffer_s=_BUFFER_S,
            lanes=_LANES,
            platform=_LIVENESS,
        )
        with rig.bridge(config) as bridge:
            wait_until("all sockets are open", lambda: platform.stats()["open"] >= streams, bridge, 60 + streams / 10)
            before_s, began_s = cpu_s(bridge.pid), time.monotonic()
            time.sleep(seconds)
            share = (cpu_s(bridge.pid) - before_s) / (time.monotonic() - began_s)
            used_bytes = rss_bytes(bridge.pid)
            platform.quiet(600)
            time.sleep(_SETTLE_S)
            _check_life(platform, outcome)
            ledgers = [platform.ledger(name) for name in names]
    expected = [(ledger["stream"], ledger["head"]) for ledger in ledgers]
    outcome.faults += judge(rig.broker.bootstrap, topic, expected)
    rig.delete(topic)
    return used_bytes, share, max((_slowest_rotation_s(ledger) for ledger in ledgers), default=0.0), ledgers


def _check_life(platform: Platform, outcome: Outcome) -> None:
    """No socket was lost, or closed by the platform because its token had died."""
    stats = platform.stats()
    outcome.faults += [
        f"{stats[name]} {name.replace('_', ' ')}"
        for name in ("expiry_closes", "unauthorized", "refused")
        if stats[name]
    ]
    silent = [name for name, stream in stats["streams"].items() if not stream["open"]]
    if silent:
        outcome.faults.append(f"{len(silent)} streams have no socket, {silent[0]} among them")


def _slowest_rotation_s(ledger: dict[str, Any]) -> float:
    """From the issue of a token to the opening of the socket that carries it, the first socket left out.

    Both clocks are the machine's here. Tokens are issued in whole seconds at the platform's word, so this errs upwards.
    """
    issued = {number: token["issued_at_s"] for number, token in enumerate(ledger["tokens"], 1)}
    lags = [socket["opened_at_s"] - issued[socket["token"]] for socket in ledger["sockets"][1:]]
    return max(lags, default=0.0)
