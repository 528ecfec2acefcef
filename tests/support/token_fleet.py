"""Many workers' token services in one process, each with connections of its own, against one OAuth server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from random import Random
from typing import Any

from connector.clock import BootClock
from connector.model import Token
from connector.settings import Settings
from connector.simulator import Simulator, SimulatorSettings
from connector.web.metrics import Metrics
from connector.worker.board import Board
from connector.worker.observer import Observer
from connector.worker.platform_clients import PlatformClients
from tests.support.bridge_process import configuration
from tests.support.broker import fresh_name

PATIENCE_S = 60.0
_LOOK_S = 0.02


class Worker:
    """What a worker holds of a platform, composed as the service composes it, and the tokens that a stream got."""

    def __init__(self, settings: Settings, number: int) -> None:
        self.clock = BootClock()
        self.metrics = Metrics()
        self.clients = PlatformClients(self.clock, Random(number), Observer(self.metrics, Board({})))
        self.tokens: list[Token] = []
        self.late = 0
        """How often a token came when the one before was over: a stream would have been without."""
        self._settings = settings

    async def open(self, stack: contextlib.AsyncExitStack, group: asyncio.TaskGroup) -> None:
        """Start it, with one stream."""
        await self.clients.open(self._settings, stack)
        self.clients.start(group)
        self.clients["sim"].tokens.lease(self._token)

    def report_dead(self) -> None:
        """The stream's token was refused."""
        self.clients["sim"].tokens.report_dead(self.tokens[-1].generation)

    def had(self, outcome: str) -> int:
        """How often a token came about in this way."""
        return int(
            self.metrics.registry.get_sample_value(
                "ccaas_token_requests_total", {"platform": "sim", "outcome": outcome}
            )
            or 0
        )

    @property
    def shares(self) -> bool:
        """Whether it says that Redis can be used, and has nothing to remark."""
        up = self.metrics.registry.get_sample_value("ccaas_redis_up", {"use": "tokens"})
        return up == 1 and not self.clients.remarks()

    def _token(self, token: Token) -> None:
        former = self.tokens[-1] if self.tokens else None
        if former is not None and former.expires_at_s is not None and former.expires_at_s <= self.clock.now():
            self.late += 1
        self.tokens.append(token)


class Fleet:
    """The OAuth server, and workers that come and go together with the fleet."""

    def __init__(self, simulator: Simulator, group: asyncio.TaskGroup, stack: contextlib.AsyncExitStack) -> None:
        self.simulator = simulator
        self.name = fresh_name("fleet")
        self.workers: list[Worker] = []
        self._group = group
        self._stack = stack

    async def start(
        self, number: int, redis: Mapping[str, Any], auth: Mapping[str, Any] | None = None
    ) -> Sequence[Worker]:
        """So many more workers at once."""
        made = [Worker(self._settings(redis, auth or {}), len(self.workers) + n) for n in range(number)]
        self.workers += made
        await asyncio.gather(*(worker.open(self._stack, self._group) for worker in made))
        return made

    def count(self, what: str) -> int:
        """One of the simulator's counts: ``tokens``, ``token_429``."""
        return self.simulator.world.ledger.counts[what]

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Return once the condition holds."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():  # noqa: ASYNC110 - the world has no bell for it
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError as error:
            error.add_note(f"{what}; {self.simulator.stats()}; tokens {[len(each.tokens) for each in self.workers]}")
            raise

    async def all_have(self, tokens: int) -> None:
        """Return once every worker has had so many tokens."""
        await self.until(lambda: all(len(each.tokens) >= tokens for each in self.workers), f"{tokens} tokens each")

    async def all_share(self, *, shares: bool = True) -> None:
        """Return once every worker says so."""
        await self.until(lambda: all(each.shares is shares for each in self.workers), f"sharing {shares}")

    def values(self, newest: int = 1) -> set[str]:
        """The last, or an earlier, token of all workers: one, where they share."""
        return {each.tokens[-newest].value for each in self.workers}

    def _settings(self, redis: Mapping[str, Any], auth: Mapping[str, Any]) -> Settings:
        config = configuration(
            group=self.name,
            kafka="127.0.0.1:9",
            platform_url=self.simulator.base_url,
            streams=[{"name": "wfm", "topic": "events"}],
            redis=dict(redis),
        )
        config["platforms"]["sim"]["auth"] |= auth
        return Settings(**config)


class _Done(Exception):  # noqa: N818 - ends a task group, is not an error
    """The fleet goes home."""


@contextlib.asynccontextmanager
async def fleet(**settings: Any) -> AsyncIterator[Fleet]:  # noqa: ANN401 - the simulator's own fields
    """A fleet without workers yet; ``settings``: the simulator's."""
    simulator = Simulator(SimulatorSettings(client_id="bridge", client_secret="secret", rate=0, **settings))
    async with simulator, contextlib.AsyncExitStack() as stack:
        try:
            async with asyncio.TaskGroup() as group:
                yield Fleet(simulator, group, stack)
                raise _Done  # noqa: TRY301
        except* _Done:
            pass
