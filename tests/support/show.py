"""A fleet to look at: streams in every state, as the status page may meet them."""

from __future__ import annotations

import random
import time
from dataclasses import replace

from connector.core.status import StreamStatus
from connector.model import Target
from tests.fakes.fleet import FakeFleet

_PURPOSES = ("wfm-adherence", "speech-analytics", "crm-screenpop", "queue-observations", "agent-states", "routing")
_SITES = ("hamburg", "leeds", "toronto", "osaka", "lyon", "austin", "perth")


def show(number: int, seed: int = 7) -> FakeFleet:
    """So many streams on four workers' lanes; nearly all run, some need help."""
    rng, now_ms = random.Random(seed), time.time_ns() // 1_000_000
    names = [f"{_PURPOSES[i % 6]}-{_SITES[i // 6 % 7]}" + (f"-{i // 42}" if i >= 42 else "") for i in range(number)]
    fleet = FakeFleet(*names)
    for i, name in enumerate(names):
        fleet.put(
            replace(fleet.kept(name), lane=i % 16, worker=f"bridge-7c9d-{i % 4}", status=_status(name, rng, now_ms))
        )
    dial_ms = now_ms + 21_000
    troubles: tuple[dict[str, object], ...] = (
        {"state": "refused", "trouble": "forbidden (HTTP 403): missing permission notifications:stream:view"},
        {
            "state": "breaker_open",
            "trouble": "network: Cannot connect to host",
            "failures": 7,
            "next_dial_ms": dial_ms,
        },
        {"gaps": 1, "gap": "retention 81223\u201381310", "gap_ms": now_ms - 340_000},
        {"reading_paused": True, "in_hand": 5000, "lag_s": 12.4},
    )
    for name, trouble in zip(names[1 :: max(1, number // 5)], troubles, strict=False):
        fleet.change(name, **trouble)
    if number > 5:
        fleet.put(replace(fleet.kept(names[-1]), target=Target.PAUSED))
        fleet.change(names[-1], state="stopped")
        fleet.put(replace(fleet.kept(names[-2]), worker=None, status=None))
    return fleet


def _status(name: str, rng: random.Random, now_ms: int) -> StreamStatus:
    return StreamStatus(
        stream=name,
        state="live",
        since_ms=now_ms - rng.randrange(9_000_000),
        position=rng.randrange(10**6, 10**8),
        per_s=round(rng.lognormvariate(2, 1.2), 2),
        events=rng.randrange(10**6),
        lag_s=round(rng.lognormvariate(-4, 0.5), 4),
        committed_ms=now_ms - rng.randrange(1500),
        complete_until_ms=now_ms - rng.randrange(1500),
        token_expires_ms=now_ms + rng.randrange(301_000, 3_600_000),
        rotations=rng.randrange(1, 40),
        rotated_ms=now_ms - rng.randrange(3_000_000),
        overlap_ms=rng.randrange(4, 90),
        duplicates=rng.randrange(400),
    )
