"""Plays the scenario: platform and bridge in one event loop, the faults at their time, then a soft stop."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from connector.app import Bridge
from connector.demo.scenario import REASON_1008, STREAM, Scenario
from connector.demo.state import SAMPLE_S, DemoState
from connector.settings import Settings
from connector.simulator import Simulator

_START_S: Final = 30.0
_DRAIN_S: Final = 10.0
_LOOK_S: Final = 0.05
_FOR_GOOD_S: Final = 3600.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):  # noqa: N818 - the user's wish, not an error
    """Somebody wants the demo to end."""


class DidNotPlay(Exception):  # noqa: N818 - the demo's own end, told to the user
    """The demo could not be played to its end; the message says why."""


class Play:
    """One run. ``platform`` is listening and is stopped by its owner."""

    def __init__(self, scenario: Scenario, platform: Simulator, settings: Settings, state: DemoState) -> None:
        self.state = state
        self._scenario = scenario
        self._platform = platform
        self._settings = settings
        self._started_s = time.monotonic()
        self._first_commit_s: float | None = None

    async def run(self) -> None:
        """From the bridge's start to its soft stop. Raises :class:`Interrupted` and :class:`DidNotPlay`."""
        interrupted = asyncio.Event()
        bridge = asyncio.create_task(Bridge(self._settings, self.state).run())
        await asyncio.sleep(0)  # the bridge has taken the signals: from here on they are ours
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, interrupted.set)
        script = asyncio.create_task(self._script())
        wish = asyncio.create_task(interrupted.wait())
        pulse = asyncio.create_task(self._pulse())
        try:
            await asyncio.wait({script, wish, bridge}, return_when=asyncio.FIRST_COMPLETED)
            self.state.phase = "stopping"
            if not wish.done() and script.done():
                script.result()
            elif not wish.done():
                raise DidNotPlay(f"the bridge ended by itself, with exit code {bridge.result()}")
        finally:
            await _end(self.state, script, wish, bridge)
            self.state.phase = "stopped"
            await _end(self.state, pulse)
        if interrupted.is_set():
            raise Interrupted

    def played_s(self) -> float | None:
        """Seconds since the first event was committed."""
        return None if self._first_commit_s is None else time.monotonic() - self._first_commit_s

    def token_left_s(self) -> float | None:
        """Seconds that the newest open socket's token has to live."""
        world = self._platform.world
        opened = [record for record in world.ledger.of(STREAM) if record.closed is None]
        if not opened:
            return None
        tokens = {token.jti: token for token in world.tokens.issued.values()}
        return tokens[opened[-1].token].expires_at_s - world.platform_now()

    # ------------------------------------------------------------------ what happens

    async def _script(self) -> None:
        state, scenario = self.state, self._scenario
        state.phase = "joining the group"
        if not await self._until(self._committing, _START_S):
            raise DidNotPlay(f"no event reached Kafka within {_START_S:.0f} s")
        self._first_commit_s = time.monotonic()
        state.phase = "playing"
        await self._at(scenario.abort_at_s)
        await self._hit("the platform resets the TCP connection", self._platform.abort)
        state.resets += 1
        await self._at(scenario.close_1008_at_s)
        await self._hit(
            "the platform closes with 1008, long before the token's end",
            lambda: self._platform.close_sockets(1008, REASON_1008),
        )
        state.closes_1008 += 1
        await self._at(scenario.seconds)
        await self._drain()

    async def _drain(self) -> None:
        """The platform falls silent; what it has said arrives."""
        self.state.phase = "the platform falls silent"
        self._platform.quiet(_FOR_GOOD_S)
        last = self._platform.stats()["streams"][STREAM]["head"]
        if not await self._until(lambda: (self.state.position or 0) >= last, _DRAIN_S):
            self.state.say("bad", f"position {last} was not committed within {_DRAIN_S:.0f} s")

    async def _hit(self, what: str, fault: Callable[[], int]) -> None:
        """Commit the fault on an open socket; between two sockets there is none, so try until it strikes."""
        while not fault():  # noqa: ASYNC110  # the simulator does not tell when a socket opens
            await asyncio.sleep(_LOOK_S)
        self.state.say("fault", what)

    def _committing(self) -> bool:
        return (self.state.position or 0) > 0

    async def _at(self, played_s: float) -> None:
        await asyncio.sleep(max(0.0, played_s - (self.played_s() or 0.0)))

    async def _until(self, holds: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not holds() and time.monotonic() < deadline:  # noqa: ASYNC110  # eyes on the state, as the audience has
            await asyncio.sleep(_LOOK_S)
        return holds()

    async def _pulse(self) -> None:
        """Keeps the state's clock, and samples it."""
        while True:
            self.state.at_s = time.monotonic() - self._started_s
            self.state.sample()
            await asyncio.sleep(SAMPLE_S)


async def _end(state: DemoState, *tasks: asyncio.Task[Any]) -> None:
    """Cancel, and wait for the end; a cancelled bridge stops softly. What goes wrong meanwhile is kept as a warning."""
    ending = [task for task in tasks if task.cancel()]
    for ended in await asyncio.gather(*ending, return_exceptions=True):
        if isinstance(ended, Exception):
            state.warn(f"while ending: {type(ended).__name__}: {ended}")
