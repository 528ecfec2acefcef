"""Who is at fault: log, metrics and the stream's state tell rotation, network, platform, Kafka and configuration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.maven_broker import MavenBroker
from tests.support.scenario import Scenario, platform
from tests.support.stage import Stage

_LOST = "lanes lost from sight; sockets stay, nothing is written"
_POISON = "much cannot be read or written; look at the dead letters"
_LOUD = ("warning", "error", "critical")
_ALARMS = {
    "rotation": ("ccaas_rotation_failures_total",),
    "network": ("ccaas_network_failures_total",),
    "platform": ("ccaas_dead_letters_total", "ccaas_poison_alerts_total", "ccaas_gaps_total"),
    "kafka": ('ccaas_producer_renewals_total{cause="renew', 'ccaas_rebalances_total{change="lost"}'),
    "configuration": ('ccaas_configuration_reads_total{outcome="refused"}', "ccaas_configuration_refused"),
    "credential": ("ccaas_auth_failures_total", 'ccaas_token_requests_total{outcome="http'),
    "the bridge": ("ccaas_stream_faults_total",),
}
"""What must not move where another is at fault; the last two are nobody's here."""


def _loud(it: Scenario) -> list[dict[str, Any]]:
    """The worker's warnings and errors."""
    return [line for line in it.worker.log_lines() if line["level"] in _LOUD]


def _kind(line: dict[str, Any]) -> str:
    """Whom a line of the log blames."""
    logger, event = line["logger"], line["event"]
    if event == "connection failed":
        return str(line["path"])
    if event in ("item dead-lettered", _POISON):
        return "platform"
    if logger in ("connector.lane", "connector.kafka.librdkafka") or event.startswith(("lanes lost", "Kafka cannot")):
        return "kafka"
    return "configuration" if event.startswith("configuration refused") else f"{logger}: {event}"


async def _alarms(it: Scenario) -> dict[str, float]:
    """By kind, how often its alarms have sounded."""
    metrics = await asyncio.to_thread(it.worker.metrics)
    return {
        kind: sum(value for sample, value in metrics.items() if sample.startswith(names))
        for kind, names in _ALARMS.items()
    }


async def _state(it: Scenario) -> str:
    """The stream's state, by its metric."""
    metrics = await asyncio.to_thread(it.worker.metrics)
    (state,) = [
        sample.partition('state="')[2].partition('"')[0]
        for sample, value in metrics.items()
        if sample.startswith("ccaas_stream_state{") and value == 1
    ]
    return state


@asynccontextmanager
async def _blamed(it: Scenario, kind: str) -> AsyncIterator[None]:
    """Play a fault in the body: this kind is blamed for it, in the log and by its alarms, and no other."""
    before, told = await _alarms(it), len(_loud(it))
    yield
    await it.ready()
    await it.flowing(20)
    after = await _alarms(it)
    assert {name for name in after if after[name] > before[name]} == {kind}
    assert {_kind(line) for line in _loud(it)[told:]} == {kind}


async def test_log_and_metrics_tell_who_is_at_fault(alone: Stage, lane_broker: MavenBroker) -> None:
    """One fault of each kind, one after the other, against one worker."""
    settings = platform(rate=100, token_life_s=10, retention_s=600)
    async with Scenario(alone, settings, worker_kafka=lane_broker.proxy.bootstrap) as it:
        await it.ready()
        await it.rotated(1)
        async with _blamed(it, "rotation"):
            it.simulator.refuse(60.0)
            await it.until(lambda: it.failures("rotation"), "a rotation that fails")
            assert await _state(it) in ("rotation_due", "rotating")
            assert len(it.open_sockets()) == 1
            it.simulator.clear()
            await it.rotated(1)
        async with _blamed(it, "network"):
            it.simulator.refuse(60.0)
            it.simulator.abort()
            await it.until(lambda: len(it.failures("network")) > 1, "a dial that fails")
            assert await _state(it) in ("backing_off", "dialing")
            it.simulator.clear()
        async with _blamed(it, "platform"):
            for _ in range(10):
                it.simulator.poison("bad_json")
            await it.until(lambda: it.story(_POISON), "the poison alert")
            assert await _state(it) in ("live", "rotation_due", "rotating", "overlap")
        async with _blamed(it, "kafka"):
            await asyncio.to_thread(lane_broker.proxy.pause)
            await it.until(lambda: it.story(_LOST), "the loss of the lanes")
            assert "lane 0: held" in await it.unready()
            assert len(it.open_sockets()) >= 1
            await asyncio.to_thread(lane_broker.proxy.resume)
        async with _blamed(it, "configuration"):
            good = it.worker.file.read_text()
            it.worker.file.write_text(good.replace("streams", "steams"))
            await it.until(lambda: it.story("configuration refused: nothing has changed"), "the complaint")
            assert await it.status("/health/ready") == 200
        await it.finish()
