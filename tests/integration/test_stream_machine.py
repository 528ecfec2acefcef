"""The machine under the bridge: stalls, suspensions, stepped clocks, no descriptors left."""

from __future__ import annotations

import asyncio
import resource
import time
from datetime import datetime

import pytest

from tests.support.scenario import Scenario, platform
from tests.support.stage import Stage

_QUICK = {"backoff_seconds": 0.5, "backoff_max_seconds": 2, "breaker_failures": 4, "breaker_seconds": 2}
_HOUR_S = 3600
_STEPPED = """
import time

_now_s, _now_ns = time.time, time.time_ns


def _step_s():
    with open({file!r}) as file:
        return int(file.read() or 0)


time.time = lambda: _now_s() + _step_s()
time.time_ns = lambda: _now_ns() + _step_s() * 1_000_000_000
"""


async def _stand_still(it: Scenario, seconds: float) -> None:
    it.worker.freeze()
    await asyncio.sleep(seconds)
    it.worker.thaw()


async def test_event_loop_stalled_for_seconds(stage: Stage) -> None:
    """The whole process stands still for 3 s, again and again, under load: nothing is lost, the sockets live on."""
    async with Scenario(stage, platform(rate=200, retention_s=600)) as it:
        await it.ready()
        for _ in range(3):
            await it.flowing(100)
            await _stand_still(it, 3.0)
        await it.flowing(100)
        await it.finish()
        assert it.count("opens") == 1
        assert not it.failures("network")


async def test_suspended_for_longer_than_the_tokens_life(stage: Stage) -> None:
    """As a suspended machine: the token died meanwhile, and the platform closed. One new token, and on it goes."""
    async with Scenario(stage, platform(rate=200, token_life_s=6, retention_s=600), network=_QUICK) as it:
        await it.ready()
        for _ in range(2):
            await it.flowing(100)
            await _stand_still(it, 10.0)
            await it.flowing(100)
        await it.rotated(1)
        await it.ready()
        await it.finish()
        assert it.count("unauthorized") <= 2


@pytest.mark.parametrize("step_s", [_HOUR_S, -_HOUR_S])
async def test_wall_clock_stepped_by_an_hour(stage: Stage, step_s: int) -> None:
    """Under a running worker: tokens rotate as before, nothing is lost; only time stamps tell."""
    directory = stage.directory / stage.name("clock")
    directory.mkdir()
    step = directory / "step"
    step.write_text("0")
    (directory / "sitecustomize.py").write_text(_STEPPED.format(file=str(step)))
    env = {"PYTHONPATH": str(directory)}
    async with Scenario(stage, platform(rate=100, token_life_s=6, retention_s=600), env=env) as it:
        await it.ready()
        await it.rotated(1)
        step.write_text(str(step_s))
        tokens = it.count("tokens")
        await it.rotated(2)
        assert it.count("tokens") - tokens <= 3
        checkpoint = it.checkpoint()
        assert checkpoint is not None
        off_s = datetime.fromisoformat(checkpoint["committed_at"]).timestamp() - time.time()
        assert abs(off_s - step_s) < 60, "the worker did not see another time"
        step.write_text("0")
        await it.rotated(1)
        await it.drained()
        await it.stop()
        for verdict in (await it.judge()).values():
            verdict.faults = [fault for fault in verdict.faults if "time stamp" not in fault]
            verdict.assert_exact()
        assert (it.count("unauthorized"), it.count("expiry_closes")) == (0, 0)
        assert not it.failures("network")


async def test_no_file_descriptors_left(stage: Stage) -> None:
    """Nothing can be opened: dials fail and say why; with descriptors again everything heals by itself."""
    async with Scenario(stage, platform(rate=100, retention_s=600), {"name": "a"}, {"name": "b"}, network=_QUICK) as it:
        await it.ready()
        await it.flowing(50, "a")
        pid = it.worker.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
        it.simulator.abort("a")
        await it.until(lambda: len(it.failures("network")) >= 4, "failed dials")
        assert any("Too many open files" in line["detail"] for line in it.failures("network"))
        assert it.open_sockets("b"), "what was open was not left alone"
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        await it.flowing(100, "a")
        await it.flowing(100, "b")
        await it.ready()
        assert it.worker.pid == pid
        assert len(it.story("starting")) == 1
        assert not it.story("a fault of the bridge in one stream")
        await it.finish()
