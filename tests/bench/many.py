"""A worker with many streams: what each costs, idle and at work, and that all start and change their token in time.

The streams share one platform's token, or each has a platform and a token of its own, as a provider with many tenants
would have it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from connector.simulator import SimulatorSettings
from tests.bench.figures import Figure, Outcome, Target
from tests.bench.platform import Platform
from tests.bench.rig import Rig, wait_until
from tests.bench.topics import judge
from tests.bench.usage import cpu_s, rss_bytes
from tests.support.bridge_process import Configuration, configuration
from tests.support.broker import fresh_name

NAME = "many-streams"

_TOKEN_LIFE_S, _BUFFER_S = 40.0, 12.0
_ROTATION_S = _TOKEN_LIFE_S - _BUFFER_S
_QUIET_RATE, _BUSY_RATE = 0.05, 2.0
_LIVENESS = {"ping_seconds": 5, "silence_seconds": 12}
_SETTLE_S = 2.0
_LANES = 8
_KB = 1000


@dataclass(frozen=True, slots=True)
class _Measured:
    """``started_s``: from the process to the last socket. ``rotated_s``: from a token's issue to its last socket."""

    streams: int
    started_s: float
    used_bytes: int
    cpu_share: float
    rotated_s: float
    rotations: int


def run(rig: Rig) -> Outcome:
    """One stream, then many: the difference is what a stream costs."""
    outcome = Outcome(NAME)
    many = 100 if rig.quick else 1000
    seconds = 2 * _ROTATION_S + 5
    lone = _measure(rig, outcome, 1, seconds=_SETTLE_S)
    shared = _measure(rig, outcome, many, seconds=seconds)
    own = _measure(rig, outcome, many, seconds=seconds, own_tokens=True)
    busy = _measure(rig, outcome, many, seconds=_ROTATION_S + 5, rate=_BUSY_RATE)
    outcome.figures += [
        *_figures("one token", shared, lone),
        *_figures("a token each", own, lone),
        Figure(
            f"CPU, one token, {_BUSY_RATE:g} events/s each", "%", busy.cpu_share * 100,
            note=f"{busy.cpu_share / (many * _BUSY_RATE) * 1e6:.0f} µs an event, rotations and pings included",
        ),
    ]  # fmt: skip
    return outcome


def _figures(which: str, measured: _Measured, lone: _Measured) -> list[Figure]:
    each = (measured.used_bytes - lone.used_bytes) / (measured.streams - 1) / _KB
    return [
        Figure(
            f"memory a stream, {which}", "kB", each, target=Target(300.0),
            note=f"{measured.streams} streams: {measured.used_bytes / 1e6:.0f} MB; one: {lone.used_bytes / 1e6:.0f} MB",
        ),
        Figure(f"last stream started, {which}", "s", measured.started_s, note=f"one: {lone.started_s:.1f} s"),
        Figure(
            f"last stream rotated, {which}", "s", measured.rotated_s, target=Target(_BUFFER_S / 2),
            note=f"after its token was issued; {measured.rotations} rotations; the token's buffer is {_BUFFER_S:g} s",
        ),
        Figure(f"CPU, {which}, quiet", "%", measured.cpu_share * 100),
    ]  # fmt: skip


def _measure(
    rig: Rig, outcome: Outcome, streams: int, *, seconds: float, rate: float = _QUIET_RATE, own_tokens: bool = False
) -> _Measured:
    """Start, watch for so long, and hold the platform's ledgers and the topic against each other."""
    names = [f"many-{i}" for i in range(streams)]
    topic = rig.topic("bench-many")
    settings = SimulatorSettings(rate=rate, retention_s=1e6, token_life_s=_TOKEN_LIFE_S, conversations=10)
    with rig.platform(settings) as platform:
        config = _configuration(rig, platform.url, names, topic, own_tokens=own_tokens)
        with rig.bridge(config) as bridge:
            started = time.monotonic()
            wait_until("all sockets are open", lambda: platform.stats()["open"] >= streams, bridge, 60 + streams / 10)
            before_s, began = cpu_s(bridge.pid), time.monotonic()
            time.sleep(seconds)
            share = (cpu_s(bridge.pid) - before_s) / (time.monotonic() - began)
            used_bytes = rss_bytes(bridge.pid)
            platform.quiet(600)
            time.sleep(_SETTLE_S)
            _check_life(platform, outcome)
            ledgers = [platform.ledger(name) for name in names]
    outcome.faults += judge(rig.broker.bootstrap, topic, [(ledger["stream"], ledger["head"]) for ledger in ledgers])
    rig.delete(topic)
    slowest_s = max((_slowest_rotation_s(ledger) for ledger in ledgers), default=0.0)
    rotations = sum(len(ledger["sockets"]) - 1 for ledger in ledgers)
    return _Measured(streams, began - started, used_bytes, share, slowest_s, rotations)


def _configuration(rig: Rig, url: str, names: list[str], topic: str, *, own_tokens: bool) -> Configuration:
    config = configuration(
        group=fresh_name("bench"),
        kafka=rig.broker.bootstrap,
        platform_url=url,
        streams=[{"name": name, "topic": topic} for name in names],
        refresh_buffer_s=_BUFFER_S,
        lanes=_LANES,
        platform=_LIVENESS,
    )
    if own_tokens:
        (platform,) = config["platforms"].values()
        config["platforms"] = {f"of-{name}": platform for name in names}
        for stream in config["streams"]:
            stream["platform"] = f"of-{stream['name']}"
    return config


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
