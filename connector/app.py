"""The service from start to stop: composition root, with :mod:`connector.worker.assembly` and what that is made of."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import secrets
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import structlog

from connector import __version__, telemetry
from connector import settings as configuration
from connector.clock import BootClock
from connector.core.notification import Notifier
from connector.errors import ConfigurationError, LaneMismatchError
from connector.kafka.administrator import Administrator
from connector.kafka.announcer import Announcer
from connector.kafka.topics import Topics
from connector.settings import ConfigurationSource, Settings
from connector.web.metrics import Metrics
from connector.worker import plans
from connector.worker.assembly import Assembly, Workshop
from connector.worker.board import Board
from connector.worker.configuration_watch import ConfigurationWatch
from connector.worker.credentials import Credentials
from connector.worker.listeners import open_listeners
from connector.worker.observer import Observer
from connector.worker.platform_clients import PlatformClients
from connector.worker.topic_watch import TopicWatch

if TYPE_CHECKING:
    from connector.worker.tracing import Tracing

EXIT_DONE = 0
EXIT_CONFIGURATION = 2
_YOUNG_CONTAINERS = 70_000

_log = structlog.get_logger("connector.app")


def run_bridge(settings: Settings, source: ConfigurationSource) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Nothing that is away ends it (CONTRACT.md).

    What changes in the ``source`` of the settings meanwhile is taken up.
    """
    _calm_collector()
    _allow_many_sockets()
    return asyncio.run(Bridge(settings, source=source).run())


def _calm_collector() -> None:
    """Look for cycles a hundred times less often than by default: events make objects in plenty, and no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_CONTAINERS)


def _allow_many_sockets() -> None:
    """Raise the soft limit of open files to the hard one: the usual 1024 end below a thousand streams.

    As Go's runtime does. Who still needs the soft limit, select(), is not used here.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS has a limit of its own below the hard one it tells
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Bridge:
    """One worker."""

    def __init__(
        self,
        settings: Settings,
        extra_observer: telemetry.Observer | None = None,
        source: ConfigurationSource | None = None,
    ) -> None:
        """``extra_observer`` sees every telemetry event too. ``source``: where the settings are read again."""
        self._settings = settings
        self._source = source
        self._stop = asyncio.Event()
        self._exit_code = EXIT_DONE
        client, metrics = replace(plans.kafka_client(settings), worker=_worker_id()), Metrics()
        platform_of = plans.platform_of(settings)
        board, announcer = Board(platform_of), Announcer(client, Notifier(settings.group, client.worker, platform_of))
        self._tracing = _tracing(settings, client.worker, platform_of)
        watching = [announcer] if extra_observer is None else [announcer, extra_observer]
        observer = Observer(metrics, board, *watching, tracing=self._tracing)
        clock, rng, admin = BootClock(), Random(), Administrator(client)  # noqa: S311 - jitter, not secrets
        topics = Topics(client, admin, settings.lanes, plans.topic_plan(settings))
        self._workshop = Workshop(
            settings=settings,
            client=client,
            clock=clock,
            rng=rng,
            admin=admin,
            metrics=metrics,
            board=board,
            platform_of=platform_of,
            observer=observer,
            platforms=PlatformClients(clock, rng, observer),
            watch=TopicWatch(topics, plans.event_topics(settings), admin.why),
        )

    async def run(self) -> int:
        """See :func:`run_bridge`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        _log.info("starting", version=__version__, group=self._settings.group, streams=len(self._settings.streams))
        for warning in configuration.warnings(self._settings):
            _log.warning(warning)
        async with AsyncExitStack() as stack:
            if self._tracing is not None:
                stack.push_async_callback(asyncio.to_thread, self._tracing.close)
            group = asyncio.TaskGroup()  # entered once nothing can be wrong with the configuration any more
            assembly = Assembly(self._workshop, group, partial(self._end, EXIT_CONFIGURATION))
            await open_listeners(
                self._workshop, assembly.fleet, assembly.catalogue, assembly.control, assembly.supervisor.unready, stack
            )
            await self._workshop.platforms.open(self._settings, stack)
            try:
                async with group:
                    await self._serve(assembly, group)
                    raise _Stopped  # noqa: TRY301 - ends the group's tasks: token services, sockets, watchers
            except* _Stopped:
                pass
        _log.info("stopped", exit_code=self._exit_code)
        return self._exit_code

    async def _serve(self, assembly: Assembly, group: asyncio.TaskGroup) -> None:
        workshop = self._workshop
        try:
            if not await workshop.watch.prepare(self._stop):
                return
        except LaneMismatchError as error:
            self._end(EXIT_CONFIGURATION, str(error))
            return
        workshop.platforms.start(group)
        group.create_task(workshop.watch.run())
        assembly.start()
        if self._source is not None:
            credentials = Credentials(
                self._settings, workshop.client, assembly.ask_by, workshop.platforms.renew_sharing
            )
            watch = ConfigurationWatch(
                self._source, self._settings, assembly.reconfigure, credentials.renew, workshop.metrics
            )
            group.create_task(watch.run())
        try:
            await self._stop.wait()
        finally:
            _log.info("stopping")
            await assembly.stop()

    def _end(self, exit_code: int, reason: str) -> None:
        _log.error("cannot go on", reason=reason)
        self._exit_code = exit_code
        self._stop.set()


def _tracing(settings: Settings, worker: str, platform_of: Mapping[str, str]) -> Tracing | None:
    if not settings.tracing:
        return None
    try:
        from connector.worker.tracing import open_tracing  # noqa: PLC0415 - an extra
    except ImportError as error:
        how = "pip install 'ccaas-kafka-bridge[otel]', or leave tracing off"
        raise ConfigurationError(f"tracing: OpenTelemetry is not installed ({error.name}): {how}") from error
    return open_tracing(settings.group, worker, platform_of)


def _worker_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class _Stopped(Exception):  # noqa: N818 - ends a task group, is not an error
    """The worker is done."""
