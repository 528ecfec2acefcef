"""Finds the Redis that tests share, and starts such as they may kill and freeze.

In this order: the server that ``REDIS_URL`` names; a container, if an engine runs and has the image; Debian's
``redis-server``; a container whose image must be fetched first. Where none works the tests fail and say why.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING, Final

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.support.finder import UnavailableError, find_engine, first_that_works
from tests.support.maven_broker import free_ports
from tests.support.processes import Child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_IMAGE: Final = "redis:7.4-alpine"
_PORT: Final = 6379
_START_S: Final = 20.0
_HELP: Final = (
    "These tests need a Redis. Install one (apt-get install redis-server), or have a container engine with the image "
    f"{_IMAGE}, or name one: REDIS_URL=redis://host:port/0."
)


class RedisUnavailableError(UnavailableError):
    """No Redis can be had in this way."""


class OwnRedis:
    """A ``redis-server`` of a test's own on loopback. ``options``: as in redis.conf, each a line's words."""

    def __init__(self, directory: Path, *options: tuple[str, ...], tls: bool = False) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise RedisUnavailableError("there is no redis-server")
        directory.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        listening = ("--port", "0", "--tls-port", str(self.port)) if tls else ("--port", str(self.port))
        words = [word for option in options for word in (f"--{option[0]}", *option[1:])]
        kept = ("--bind", "127.0.0.1", "--dir", str(directory), "--save", "", "--appendonly", "no")
        self._command = [program, *listening, *kept, *words]
        self._log = directory / "redis.log"
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Its URL, without credentials."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it (again), empty; returns once it answers."""
        self._child = Child(self._command, self._log)
        deadline = time.monotonic() + _START_S
        while not self._log.exists() or b"Ready to accept connections" not in self._log.read_bytes():
            if self._child.exit_code() is not None or time.monotonic() > deadline:
                raise RedisUnavailableError(f"redis-server did not start:\n{self._child.log_tail()}")
            time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL; what it held is gone. Idempotent."""
        if self._child is not None:
            self._child.kill()
            self._log.unlink(missing_ok=True)

    def freeze(self) -> None:
        """SIGSTOP: connections stay, nothing is answered."""
        self._running().signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._running().signal(signal.SIGCONT)

    def _running(self) -> Child:
        if self._child is None:
            raise ValueError("the server was never started")
        return self._child


@contextlib.contextmanager
def own_redis(directory: Path, *options: tuple[str, ...], tls: bool = False) -> Iterator[OwnRedis]:
    """A server to be killed and frozen, started; it can only be Debian's."""
    try:
        server = OwnRedis(directory, *options, tls=tls)
        server.start()
    except RedisUnavailableError as exc:
        pytest.fail(f"This test kills and freezes a Redis of its own (apt-get install redis-server): {exc}")
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def shared_redis(directory: Path) -> Iterator[str]:
    """The URL of a Redis for everybody: use names of your own; ended afterwards if it was started here."""
    given = os.environ.get("REDIS_URL")
    if given:
        _check(given)
        yield given
        return
    with contextlib.ExitStack() as stack:
        yield _start_one(directory, stack)


def _start_one(directory: Path, stack: contextlib.ExitStack) -> str:
    def local() -> str:
        server = OwnRedis(directory)
        stack.callback(server.kill)
        server.start()
        return server.url

    attempts: dict[str, Callable[[], str]] = {
        "container": lambda: _container(stack, fetch=False),
        "redis-server": local,
        "container, its image fetched": lambda: _container(stack, fetch=True),
    }
    return first_that_works(_HELP, attempts)


def _container(stack: contextlib.ExitStack, *, fetch: bool) -> str:
    find_engine(_IMAGE, fetch=fetch)
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415  # it looks for an engine on import

    container = DockerContainer(_IMAGE).with_exposed_ports(_PORT)
    try:
        stack.callback(container.stop)
        container.start()
        url = f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(_PORT)}/0"
        _answers(url)
    except Exception as exc:  # whatever its HTTP, Docker and wait libraries raise, another way may work
        raise RedisUnavailableError(f"it did not start: {exc}") from exc
    return url


def _answers(url: str) -> None:
    with contextlib.closing(Redis.from_url(url)) as client:
        client.ping()


def _check(url: str) -> None:
    try:
        _answers(url)
    except RedisError as exc:
        pytest.fail(f"the server of REDIS_URL does not answer: {exc}\n{_HELP}", pytrace=False)
