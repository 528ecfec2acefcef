"""The management API of real workers on real Kafka: each answers for all, and any of them steers any stream."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import requests

from tests.support.fleet import Fleet, streams
from tests.support.scenario import PATIENCE_S, platform

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.bridge_process import BridgeProcess
    from tests.support.stage import Stage

_STREAMS = 6
_TIMEOUT_S = 30


async def ask(worker: BridgeProcess, method: str, path: str, body: Any = None) -> requests.Response:  # noqa: ANN401 - JSON
    """What a worker says."""
    return await asyncio.to_thread(requests.request, method, worker.url + path, json=body, timeout=_TIMEOUT_S)


async def phases(worker: BridgeProcess) -> dict[str, tuple[str, str]]:
    """Stream → state and worker, as this worker sees it."""
    answer = await ask(worker, "GET", "/connectors?expand=status")
    return {
        name: (each["status"]["connector"]["state"], each["status"]["connector"]["worker_id"])
        for name, each in answer.json().items()
    }


async def agreed(it: Fleet, condition: Callable[[dict[str, tuple[str, str]]], object], what: str) -> None:
    """Return once every worker sees what is expected, and all see the same."""
    deadline = asyncio.get_running_loop().time() + 60
    while True:
        seen = [await phases(worker) for worker in it.workers]
        if all(each == seen[0] for each in seen) and condition(seen[0]):
            return
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"{what}: {seen}")
        await asyncio.sleep(0.5)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_any_worker_answers_for_all_and_steers_all(alone: Stage, protocol: str) -> None:
    """Who has what is the same on both; one is killed: its streams are unassigned or elsewhere, never as before."""
    membership = {"protocol": protocol}
    async with Fleet(alone, platform(rate=20), *streams(_STREAMS), workers=2, membership=membership) as it:
        await it.ready()
        await it.all_flowing(5)
        one, other = it.workers
        await agreed(
            it,
            lambda seen: (
                Counter(phase for phase, _ in seen.values()) == {"RUNNING": _STREAMS}
                and len({worker for _, worker in seen.values()}) == 2
            ),
            "all run, on both",
        )
        owners = {name: worker for name, (_, worker) in (await phases(one)).items()}
        name = next(iter(owners))
        assert (await ask(one, "PUT", f"/connectors/{name}/pause")).status_code == 202
        assert (await ask(other, "PUT", f"/connectors/{list(owners)[-1]}/pause")).status_code == 202
        await agreed(it, lambda seen: [p for p, _ in seen.values()].count("PAUSED") == 2, "two are paused")
        for paused in (name, list(owners)[-1]):
            assert (await ask(other, "PUT", f"/connectors/{paused}/resume")).status_code == 202
        await agreed(it, lambda seen: {p for p, _ in seen.values()} == {"RUNNING"}, "all run again")
        await it.all_flowing(5)
        rows = await ask(one, "GET", "/ui")
        assert rows.status_code == 200
        await it.finish()


async def test_a_position_is_moved_by_the_worker_that_has_not_the_stream(alone: Stage) -> None:
    """Only while stopped; done when the answer says so; readable by each; the stream then goes on from there."""
    async with Fleet(alone, platform(rate=50), *streams(2), workers=2, lanes=2) as it:
        await it.ready()
        await it.all_flowing(20)
        one, other = it.workers
        name = next(iter(await phases(one)))
        offsets = f"/connectors/{name}/offsets"
        partition = {"stream": name}
        move = {"offsets": [{"partition": partition, "offset": {"position": 5}}]}
        assert (await ask(one, "PATCH", offsets, move)).status_code == 400
        assert (await ask(other, "PUT", f"/connectors/{name}/stop")).status_code == 204
        await agreed(it, lambda seen: seen[name][0] == "STOPPED", "stopped")
        for worker in it.workers:
            answer = await ask(worker, "PATCH", offsets, move)
            assert (answer.status_code, "successfully" in answer.text) == (200, True)
            (told,) = (await ask(worker, "GET", offsets)).json()["offsets"]
            assert told["partition"] == partition
            assert told["offset"]["position"] == "5"
        assert (await ask(other, "PUT", f"/connectors/{name}/resume")).status_code == 202
        await agreed(it, lambda seen: seen[name][0] == "RUNNING", "running")
        await it.all_flowing(5)


async def test_what_pipelines_are_told(alone: Stage) -> None:
    """A credential that is refused: CloudEvents, keyed by the stream, each once."""
    async with Fleet(alone, platform(rate=20), *streams(2), workers=1, lanes=2) as it:
        await it.ready()
        await it.all_flowing(5)
        it.simulator.refuse(60.0, status=403)
        it.simulator.abort()
        await agreed(it, lambda seen: {p for p, _ in seen.values()} == {"FAILED"}, "both refused")
        names = sorted(await phases(it.workers[0]))
        topic = f"{it.group}.notifications"
        async with asyncio.timeout(PATIENCE_S):
            while len(records := await it.records(topic)) < len(names):  # noqa: ASYNC110 - a topic has no bell
                await asyncio.sleep(0.1)
        told = [(dict(r.headers)["ce_type"], r.key, orjson.loads(r.value)["stream"]) for r in records]
        assert sorted(told) == [(b"ccaas.bridge.credential_refused", name.encode(), name) for name in names]


async def test_a_log_level_is_set_on_all_workers(alone: Stage) -> None:
    """By any one of them (KIP-976); with the default scope only on itself."""
    path = "/admin/loggers/connector.stream"
    async with Fleet(alone, platform(rate=20), *streams(2), workers=2, lanes=2) as it:
        await it.ready()
        one, other = it.workers
        assert (await ask(one, "PUT", path, {"level": "WARN"})).json() == ["connector.stream"]
        assert (await ask(one, "PUT", f"{path}?scope=cluster", {"level": "DEBUG"})).status_code == 204
        deadline = asyncio.get_running_loop().time() + 30
        for worker in (one, other):
            while (await ask(worker, "GET", path)).json()["level"] != "DEBUG":
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.2)
