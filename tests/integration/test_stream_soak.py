"""Random faults from a printed seed, of platform, tokens, network, Kafka and the worker itself; judged by the ledger.

Five minutes in CI, 40 s elsewhere; ``CCAAS_TEST_SOAK_S`` says otherwise, ``CCAAS_TEST_SEED`` repeats one.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from tests.support.chaos import disturb
from tests.support.maven_broker import MavenBroker
from tests.support.nginx import Nginx
from tests.support.rules import Rules
from tests.support.scenario import Scenario, platform
from tests.support.seed import SEED, TOLD
from tests.support.stage import Stage

SOAK_S = float(os.environ.get("CCAAS_TEST_SOAK_S") or (300 if "CI" in os.environ else 40))

_STREAMS = {"a": "continue", "b": "continue", "c": "snapshot"}
_RATE = 100
_QUICK = {"backoff_seconds": 0.5, "backoff_max_seconds": 2, "breaker_failures": 4, "breaker_seconds": 2}
_BACKLOG = 8000
"""Where sequences are when the faults begin, and what must be committed before one is reset: more than come to be while
a worker can be away. Else the new sequence passes the old position meanwhile, and no bridge can tell."""

Fault = Callable[[], Awaitable[None]]


class _Trouble:
    """Every fault by name; a draw is a call."""

    def __init__(self, it: Scenario, broker: MavenBroker, front: Nginx | None, rng: random.Random) -> None:
        self._it, self._broker, self._front, self._rng = it, broker, front, rng
        self._rules = Rules(broker.bootstrap)
        self._reset: set[str] = set()

    def draw(self) -> tuple[str, Fault]:
        """The next fault; those of Kafka and of the process are seldom."""
        often = [self.abort, self.close, self.expire, self.freeze, self.duplicate, self.refuse, self.mute, self.late]
        often += [self.accept_then_close, self.tokens, self.poison, self.misdate, self.jump, self.burst, self.reset]
        often += [self.snapshots, self.bad_kafka_network, self.reload_proxy]
        seldom = [self.kill_broker, self.freeze_broker, self.kill_worker, self.stop_worker, self.suspend_worker]
        seldom += [self.forbid_topic, self.no_descriptors]
        fault = self._rng.choice(often if self._rng.random() < 0.85 else seldom)
        return fault.__name__, fault

    def _stream(self) -> str | None:
        return self._rng.choice([*_STREAMS, None])

    async def abort(self) -> None:
        """TCP resets."""
        self._it.simulator.abort(self._stream())

    async def close(self) -> None:
        """Close frames of several meanings."""
        self._it.simulator.close_sockets(self._rng.choice([1000, 1001, 1008, 1011, 4001]), "", self._stream())

    async def expire(self) -> None:
        """The end of every token."""
        self._it.simulator.expire_tokens()

    async def freeze(self) -> None:
        """Silence, TCP open."""
        self._it.simulator.freeze(self._rng.uniform(0.2, 3.0), self._stream(), new=self._rng.random() < 0.3)

    async def duplicate(self) -> None:
        """Events once more."""
        self._it.simulator.duplicate(self._rng.choice([1, 20, 300]), self._stream())

    async def refuse(self) -> None:
        """Refused handshakes."""
        status = self._rng.choice([401, 403, 409, 429, 500, 503])
        self._it.simulator.refuse(self._rng.uniform(0.2, 2.0), status, stream=self._stream())

    async def mute(self) -> None:
        """New sockets that stay silent."""
        self._it.simulator.mute(self._rng.uniform(0.2, 1.5), self._stream(), for_life=True)

    async def late(self) -> None:
        """New sockets that are late."""
        self._it.simulator.delay_open(self._rng.uniform(0.1, 1.0), 5.0, self._stream())

    async def accept_then_close(self) -> None:
        """Handshakes that come to nothing."""
        self._it.simulator.accept_then_close(self._rng.uniform(0.2, 2.0), stream=self._stream())

    async def tokens(self) -> None:
        """A token endpoint in trouble."""
        kind = self._rng.choice(("429", "invalid_grant", "401", "500", "slow", "garbage"))
        self._it.simulator.token_trouble(kind, seconds=self._rng.uniform(0.5, 3.0))  # type: ignore[arg-type]

    async def poison(self) -> None:
        """Unreadable items at positions."""
        kind = self._rng.choice(("bad_json", "invalid_utf8", "no_position", "string_position", "deep_nesting"))
        self._it.simulator.poison(kind, self._stream())  # type: ignore[arg-type]

    async def misdate(self) -> None:
        """Wrong dates."""
        self._it.simulator.misdate(self._rng.choice(["future", "1970"]), self._stream())

    async def jump(self) -> None:
        """Positions that never come to be."""
        self._it.simulator.jump(self._rng.choice([1, 5, 50]), self._stream())

    async def burst(self) -> None:
        """Many events at once."""
        self._it.simulator.push(self._rng.choice([10, 500]), self._stream())

    async def reset(self) -> None:
        """A sequence that starts anew; once a stream, and not early."""
        stream = self._rng.choice(list(_STREAMS))
        if stream in self._reset or self._it.position(stream) < (0, _BACKLOG) or not self._it.open_sockets(stream):
            return
        self._reset.add(stream)
        self._it.simulator.reset(stream)

    async def snapshots(self) -> None:
        """A snapshot endpoint in trouble."""
        kind = self._rng.choice(("429", "500", "slow", "truncated", "garbage", "endless"))
        self._it.simulator.snapshot_trouble(kind, self._rng.uniform(0.5, 6.0), delay_s=3.0)  # type: ignore[arg-type]

    async def bad_kafka_network(self) -> None:
        """Cuts and delays between the worker and Kafka."""
        self._it.note += await disturb(self._broker.proxy, self._rng) + ": "

    async def reload_proxy(self) -> None:
        """The reverse proxy ends its connections, where there is one."""
        if self._front is not None:
            self._front.reload()

    async def forbid_topic(self) -> None:
        """The events may not be written for a while."""
        await asyncio.to_thread(self._rules.forbid, ResourceType.TOPIC, self._it.topic, AclOperation.WRITE)
        await asyncio.sleep(self._rng.uniform(0.1, 4.0))
        await asyncio.to_thread(self._rules.allow, ResourceType.TOPIC, self._it.topic)

    async def no_descriptors(self) -> None:
        """The worker, which has come to life, can open nothing."""
        await self._it.alive()
        pid = self._it.worker.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
        await asyncio.sleep(self._rng.uniform(0.5, 4.0))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    async def kill_broker(self) -> None:
        """A power cut of Kafka."""
        await asyncio.to_thread(self._broker.kill)
        await asyncio.to_thread(self._broker.start)

    async def freeze_broker(self) -> None:
        """Kafka stands still."""
        self._broker.freeze()
        await asyncio.sleep(self._rng.uniform(0.5, 8.0))
        self._broker.thaw()

    async def kill_worker(self) -> None:
        """A crash."""
        await self._it.kill9()
        await self._it.start()

    async def stop_worker(self) -> None:
        """A soft stop."""
        await self._it.alive()
        await self._it.stop()
        await self._it.start()

    async def suspend_worker(self) -> None:
        """The process stands still, as a suspended machine."""
        self._it.worker.freeze()
        await asyncio.sleep(self._rng.uniform(0.5, 9.0))
        self._it.worker.thaw()


@pytest.mark.slow
async def test_soak(alone: Stage, lane_broker: MavenBroker) -> None:
    """Whatever goes wrong, and several things at a time: everything once, in order, or truly in a gap record."""
    rng = random.Random(SEED)
    settings = platform(rate=_RATE, backlog=_BACKLOG, token_life_s=5, retention_s=100_000, conversations=50)
    configured = {"ping_seconds": 0.5, "silence_seconds": 2, "snapshot": {"max_wait_seconds": 8}}
    streams = [{"name": name, "on_gap": on_gap} for name, on_gap in _STREAMS.items()]
    async with AsyncExitStack() as stack:
        front = None
        if rng.random() < 0.5:  # else the worker hears the platform's resets itself
            front = stack.enter_context(Nginx(alone.directory / "nginx"))
        it = Scenario(
            alone,
            settings,
            *streams,
            worker_kafka=lane_broker.proxy.bootstrap,
            port=0 if front is None else front.upstream,
            front=None if front is None else front.url,
            lanes=2,
            configured=configured,
            network=_QUICK,
            commit={},
        )
        await stack.enter_async_context(it)
        it.note = f"{TOLD}; "
        await it.ready()
        trouble = _Trouble(it, lane_broker, front, rng)
        began = time.monotonic()
        while time.monotonic() - began < SOAK_S:
            name, fault = trouble.draw()
            it.note += f"{time.monotonic() - began:.2f} {name}, "
            await fault()
            await asyncio.sleep(rng.choice([0.0, 0.05, 0.3, 1.0]))
        it.simulator.clear()
        await it.ready()
        for name in _STREAMS:
            await it.flowing(10, name)
        await it.finish(gaps=None)
