"""The configuration changes while the worker runs: what differs is taken up, and nothing else is touched."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

from tests.support.bridge_process import BridgeProcess
from tests.support.scenario import STREAM, Scenario, platform
from tests.support.stage import Stage

_REFUSED = "configuration refused: nothing has changed"


def _rewrite(it: Scenario, **sections: Any) -> None:  # noqa: ANN401 - any section of the file
    """As an editor or Kubernetes does: another file in the place of the former."""
    path = it.worker.file
    document = {**json.loads(path.read_text()), **sections}
    following = path.with_suffix(".next")
    following.write_text(json.dumps(document))
    following.rename(path)


def _configured(it: Scenario) -> dict[str, Any]:
    return dict(json.loads(it.worker.file.read_text()))


def _sockets(it: Scenario, channel: str) -> int:
    """Open sockets of a channel that the scenario did not begin with."""
    return len(list(it.simulator.world.sockets_of(channel)))


async def test_streams_are_added_changed_and_removed_beside_one_that_flows_on(stage: Stage) -> None:
    """Its socket is never closed; a stream that comes back goes on where it was: its checkpoint stayed."""
    streams = ({"name": STREAM}, {"name": "crm"})
    async with Scenario(stage, platform(rate=100), *streams) as it:
        await it.ready()
        await it.flowing(20, "crm")
        all_streams = _configured(it)["streams"]
        _rewrite(it, streams=[all_streams[0], {**all_streams[0], "name": "extra", "channel": "extra"}])
        await it.until(lambda: not it.open_sockets("crm"), "crm to go")
        await it.until(lambda: _sockets(it, "extra"), "extra to come")
        changed = {**all_streams[1], "buffer": {"events": 100}}
        _rewrite(it, streams=[all_streams[0], changed])
        await it.flowing(50, "crm")
        await it.until(lambda: not _sockets(it, "extra"), "extra to go")
        assert len(it.sockets(STREAM)) == 1
        assert len(it.story("configuration taken up")) == 2
        await it.finish()


async def test_faulty_configuration_changes_nothing_and_says_why(stage: Stage) -> None:
    """Nor does one that changes what cannot be: the key is named. Put right, it is taken up."""
    async with Scenario(stage, platform(rate=100)) as it:
        await it.ready()
        good = it.worker.file.read_text()
        it.worker.file.write_text(good.replace("streams", "steams"))
        await it.until(lambda: it.story(_REFUSED), "the complaint")
        assert "steams" in it.story(_REFUSED)[0]["detail"]
        it.worker.file.write_text(good.replace(it.group, "other"))
        await it.until(lambda: len(it.story(_REFUSED)) > 1, "another complaint")
        assert it.story(_REFUSED)[1]["detail"].startswith("group: cannot change")
        metrics = await asyncio.to_thread(it.worker.metrics)
        assert metrics["ccaas_configuration_refused"] == 1
        assert metrics['ccaas_configuration_reads_total{outcome="refused"}'] == 2
        it.worker.file.write_text(good)
        await it.until(lambda: it.story("configuration read again: nothing is new"), "good again")
        await it.flowing(50)
        assert len(it.sockets(STREAM)) == 1
        await it.finish()


async def test_sighup_reads_again_at_once(stage: Stage) -> None:
    """As daemons do."""
    async with Scenario(stage, platform(rate=100)) as it:
        await it.ready()
        os.kill(it.worker.pid, signal.SIGHUP)
        await it.until(lambda: it.story("configuration read again: nothing is new"), "a reading")
        await it.finish()


async def test_rotated_client_secret_is_picked_up_from_its_file(stage: Stage) -> None:
    """The next token is asked for with it; the stream keeps its socket until that token is there."""
    secret = stage.directory / "client-secret"
    secret.write_text("secret")
    configured = {"auth": {"client_secret_file": str(secret), "client_secret": None}}
    settings = platform(rate=100, token_life_s=8)
    async with Scenario(stage, settings, configured=configured, refresh_buffer_s=2) as it:
        await it.ready()
        await it.rotated(1)
        it.simulator.world.tokens.client_secret = "hush-hush-2"
        secret.write_text("hush-hush-2")
        await it.until(lambda: it.story("configuration taken up"), "the new secret")
        assert it.story("configuration taken up")[0]["renewed"] == ["sim"]
        await it.rotated(2)
        assert "hush-hush-2" not in it.worker.log_text()
        await it.finish()


async def test_workers_with_different_configurations_are_named(stage: Stage) -> None:
    """In the log and in a metric, until they agree again."""
    async with Scenario(stage, platform(rate=100)) as it:
        await it.ready()
        other = BridgeProcess(it.directory, it.configured(), name="other")
        document = json.loads(other.file.read_text())
        document["streams"][0]["buffer"] = {"events": 777}
        other.file.write_text(json.dumps(document))
        await asyncio.to_thread(other.start)
        try:
            differs = "workers of this group run with another configuration"
            await it.until(lambda: it.story(differs), "the difference")
            assert (await asyncio.to_thread(it.worker.metrics))["ccaas_configuration_differs"] == 1
        finally:
            await asyncio.to_thread(other.stop)
        await it.until(lambda: it.story("all workers of this group run with the same configuration"), "agreement")
        await it.finish()
