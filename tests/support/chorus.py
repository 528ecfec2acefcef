"""Tests that run at the same time, each reported as a test of its own.

A scenario with tokens and faults mostly waits; one after the other, a hundred of them take an hour. A test marked with
:func:`together` is a *voice*: the first of them starts all that were selected, a few at a time, on the session's event
loop, and each awaits its own. Their modules say ``pytestmark = pytest.mark.asyncio(loop_scope="session")`` and are
named ``test_stream_*``, so that they follow one another: that loop runs only while one of its tests does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker import fresh_name, own_broker
from tests.support.maven_broker import MavenBroker

VOICE_TIMEOUT_S = 600.0
AT_ONCE = int(os.environ.get("SCENARIOS_AT_ONCE", "3"))
_OWN_BROKERS = 1
_THREADS = 64  # voices wait in threads for processes and brokers

Voice = Callable[..., Awaitable[None]]


class Stage:
    """What voices stand on: the shared broker, and a directory for their files."""

    def __init__(self, kafka: str, directory: Path, at_once: int = AT_ONCE) -> None:
        self.kafka = kafka
        self.directory = directory
        self._room = asyncio.Semaphore(at_once)
        self._room_for_brokers = asyncio.Semaphore(_OWN_BROKERS)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.took_s: dict[str, float] = {}
        self.bench = asyncio.Lock()
        """Whoever computes for long takes it: the platforms of the other voices must keep their time."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))

    def begin(self, voice: Voice, arguments: Mapping[str, object]) -> None:
        """Have a voice begin when there is room for it."""
        task = asyncio.ensure_future(self._sing(voice, arguments))
        self._tasks[_name(voice, arguments)] = task

    async def outcome(self, voice: Voice, arguments: Mapping[str, object]) -> None:
        """Return once the voice has ended; raises what it raised. Prints how long it took."""
        name = _name(voice, arguments)
        try:
            await self._tasks[name]
        finally:
            print(f"{name} took {self.took_s.get(name, 0.0):.1f} s")  # noqa: T201 - pytest shows it with -rP

    @contextlib.asynccontextmanager
    async def own_broker(
        self, settings: Mapping[str, str] | None = None, *, proxied: bool = False
    ) -> AsyncIterator[MavenBroker]:
        """A broker that a voice may kill and freeze, with settings besides the defaults."""
        directory = self.directory / fresh_name("kafka")
        broker = await asyncio.to_thread(own_broker, directory, proxied=proxied, settings=dict(settings or {}))
        try:
            yield broker
        finally:
            await asyncio.to_thread(broker.close)

    def name(self, prefix: str) -> str:
        """A name for a topic that nobody else uses."""
        return fresh_name(prefix)

    async def close(self) -> None:
        """End the voices that still run."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _sing(self, voice: Voice, arguments: Mapping[str, object]) -> None:
        room = self._room_for_brokers if getattr(voice, "with_broker", False) else self._room
        async with room, asyncio.timeout(VOICE_TIMEOUT_S):
            started_s = time.monotonic()
            try:
                await voice(self, **arguments)
            finally:
                self.took_s[_name(voice, arguments)] = time.monotonic() - started_s


def together(voice: Voice) -> Voice:
    """Mark a test as a voice; its first argument is the :class:`Stage`."""
    if "test_stream_" not in voice.__module__:
        raise ValueError(f"{voice.__module__} has voices and is not named test_stream_*: others would stand still")

    @functools.wraps(voice)
    async def report(stage: Stage, **arguments: object) -> None:
        await stage.outcome(voice, arguments)

    report.voice = voice  # type: ignore[attr-defined]
    return report


def together_with_broker(voice: Voice) -> Voice:
    """Mark a voice that starts a broker of its own: few of them at a time, beside the others."""
    voice.with_broker = True  # type: ignore[attr-defined]
    return together(voice)


def begin_all(stage: Stage, session: pytest.Session) -> None:
    """Begin every voice that was selected, in the order of the tests."""
    for item in session.items:
        voice: Voice | None = getattr(item.function, "voice", None) if isinstance(item, pytest.Function) else None
        if voice is not None:
            arguments: dict[str, Any] = dict(item.callspec.params) if hasattr(item, "callspec") else {}
            stage.begin(voice, arguments)


def _name(voice: Voice, arguments: Mapping[str, object]) -> str:
    return f"{getattr(voice, '__qualname__', voice)}{sorted(arguments.items())}"
