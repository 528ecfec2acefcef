"""Composition root: the one place that builds real clients and puts them behind the ports."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from functools import partial
from random import Random

import aiohttp
import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connector import __version__, plans, telemetry
from connector import settings as configuration
from connector.auth.oauth import OAuthClient
from connector.auth.service import TokenService
from connector.buffer import WorkerBuffer
from connector.clock import BootClock
from connector.core.boundary import CommitBudget
from connector.core.frames import FrameReader
from connector.errors import LaneMismatchError, PrerequisiteError
from connector.kafka.client import describe
from connector.kafka.ownership import GroupMember, Membership
from connector.kafka.services import LaneServices
from connector.kafka.topics import Topics
from connector.kafka.writer import LaneWriter
from connector.model import TopicLimits
from connector.observer import Observer
from connector.parts import Parts, Shared
from connector.pipeline import StreamPipeline
from connector.platforms.websocket import SequenceSource
from connector.ports import Lane
from connector.settings import PlatformSettings, Settings
from connector.supervisor import Supervisor
from connector.web.metrics import Metrics
from connector.web.server import WebServer

EXIT_DONE = 0
EXIT_CONFIGURATION = 2
_RETRY_S = 2.0
_YOUNG_CONTAINERS = 70_000
_LIMITS_EVERY_S = 60.0
_LEAVE_S = 5.0

_log = structlog.get_logger("connector.app")


def run_bridge(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Nothing that is away ends it (CONTRACT.md)."""
    _calm_collector()
    return asyncio.run(Bridge(settings).run())


def _calm_collector() -> None:
    """Look for cycles a hundred times less often than by default: events make objects in plenty, and no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_CONTAINERS)


class Bridge:
    """One worker."""

    def __init__(self, settings: Settings, extra_observer: telemetry.Observer | None = None) -> None:
        """``extra_observer`` sees every telemetry event too."""
        self._settings = settings
        self._clock = BootClock()
        self._rng = Random()  # noqa: S311 - jitter, not secrets
        self._stop = asyncio.Event()
        self._exit_code = EXIT_DONE
        self._metrics = Metrics()
        self._observer = Observer(self._metrics, extra_observer)
        self._buffer = WorkerBuffer(settings.buffer.worker_bytes)
        self._rotations = asyncio.Semaphore(settings.rotation.max_parallel)
        self._limits: dict[str, TopicLimits] = {}
        self._streams = {stream.name: stream for stream in settings.streams}
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._tokens: dict[str, TokenService] = {}
        self._supervisor: Supervisor | None = None
        self._member: GroupMember | None = None
        self._client = plans.kafka_client(settings)

    async def run(self) -> int:
        """See :func:`run_bridge`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        _log.info("starting", version=__version__, group=self._settings.group, streams=len(self._streams))
        for warning in configuration.warnings(self._settings):
            _log.warning(warning)
        async with AsyncExitStack() as stack:
            web = WebServer(self._metrics.registry, self._unready)
            await web.start(self._settings.http.listen)
            if self._settings.http.probes is not None:
                await web.start(self._settings.http.probes)
            stack.push_async_callback(web.stop)
            await self._open_sessions(stack)
            try:
                async with asyncio.TaskGroup() as group:
                    await self._serve(group)
                    raise _Stopped  # noqa: TRY301 - ends the group's tasks: token services, sockets, watchers
            except* _Stopped:
                pass
        _log.info("stopped", exit_code=self._exit_code)
        return self._exit_code

    async def _open_sessions(self, stack: AsyncExitStack) -> None:
        for name, platform in self._settings.platforms.items():
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=True)
            self._sessions[name] = await stack.enter_async_context(session)
            self._tokens[name] = self._token_service(name, platform, session)

    async def _serve(self, group: asyncio.TaskGroup) -> None:
        topics = Topics(
            self._client, AdminClient(self._client.common()), self._settings.lanes, plans.topic_plan(self._settings)
        )
        if not await self._prepare(topics):
            return
        for service in self._tokens.values():
            group.create_task(service.run())
        group.create_task(self._watch_limits(topics))
        supervisor = self._supervisor = self._make_supervisor(group, topics)
        member = self._member = GroupMember(self._client, supervisor)
        member.start()
        try:
            await self._stop.wait()
        finally:
            _log.info("stopping")
            await asyncio.to_thread(member.stop, _LEAVE_S)

    # ------------------------------------------------------------------ Kafka

    async def _prepare(self, topics: Topics) -> bool:
        """Topics are there and fit; asked again until they are, or the worker is stopped."""
        while not self._stop.is_set():
            try:
                await asyncio.to_thread(topics.ensure, plans.event_topics(self._settings))
                await self._read_limits(topics)
            except LaneMismatchError as error:
                self._end(EXIT_CONFIGURATION, str(error))
            except PrerequisiteError as error:
                _log.error("a prerequisite is missing", detail=str(error), retry_in_s=_RETRY_S)
            except KafkaException as error:
                _log.warning("Kafka cannot be reached", detail=describe(error), retry_in_s=_RETRY_S)
            else:
                return True
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _RETRY_S)
        return False

    async def _watch_limits(self, topics: Topics) -> None:
        while True:
            await asyncio.sleep(_LIMITS_EVERY_S)
            with suppress(KafkaException):
                await self._read_limits(topics)

    async def _read_limits(self, topics: Topics) -> None:
        found = await asyncio.to_thread(topics.limits, plans.event_topics(self._settings))
        for topic, limits in found.items():
            former = self._limits.get(topic)
            if former is not None and former.partitions != limits.partitions:
                _log.error(
                    "an event topic has other partitions: the order per key is broken across the change",
                    topic=topic,
                    before=former.partitions,
                    now=limits.partitions,
                )
        self._limits.update(found)

    # ------------------------------------------------------------------ building

    def _make_supervisor(self, group: asyncio.TaskGroup, topics: Topics) -> Supervisor:
        def make_lane(number: int) -> Lane:
            return LaneWriter(number, services)

        def make_pipeline(name: str, lane: Lane) -> StreamPipeline:
            return self._pipeline(group, name, lane)

        supervisor = Supervisor(
            plans.streams_by_lane(self._settings),
            make_lane,
            make_pipeline,
            self._observer,
            self._platform_time_ms,
            partial(self._end, EXIT_CONFIGURATION),
        )
        services = LaneServices(
            client=self._client,
            topics=topics,
            lanes=self._settings.lanes,
            worker=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
            commit=plans.commit_policy(self._settings),
            budget=CommitBudget(self._settings.commit.max_per_second),
            limits=lambda: self._limits,
            membership=self._membership,
            listener=supervisor,
            post=_poster(asyncio.get_running_loop()),
            committed_in=self._metrics.lane_commits.observe,
            renewed=lambda cause: self._metrics.producer_renewals.labels(cause).inc(),
        )
        self._metrics.lanes_owned.set_function(lambda: len(supervisor.lanes))
        return supervisor

    def _pipeline(self, group: asyncio.TaskGroup, name: str, lane: Lane) -> StreamPipeline:
        stream = self._streams[name]
        platform = self._settings.platform_of(stream)
        parts = Parts(
            source=SequenceSource(self._sessions[stream.platform], plans.wire(platform), stream.channel or name),
            frames=FrameReader(platform.position.field),
            envelope=plans.envelope(self._settings.group, stream),
            tokens=self._tokens[stream.platform],
            sink=lane,
            shared=Shared(
                clock=self._clock,
                rng=self._rng,
                spawn=partial(self._spawn, group, name),
                guarded=partial(self._guarded, name),
                rotations=self._rotations,
                buffer=self._buffer,
                limits=self._limits,
                observe=self._observer,
            ),
        )
        return StreamPipeline(plans.stream_plan(self._settings, stream), parts)

    def _token_service(self, name: str, platform: PlatformSettings, session: aiohttp.ClientSession) -> TokenService:
        return TokenService(
            OAuthClient(session, plans.token_grant(platform.auth), self._clock),
            clock=self._clock,
            rng=self._rng,
            buffer_s=platform.auth.refresh_buffer_seconds,
            name=name,
            reissue=platform.auth.reissue,
            on_event=self._observer.token,
        )

    # ------------------------------------------------------------------ running

    def _spawn(
        self, group: asyncio.TaskGroup, stream: str, coroutine: Coroutine[object, object, None]
    ) -> asyncio.Task[None]:
        return group.create_task(self._guard(stream, coroutine))

    async def _guard(self, stream: str, coroutine: Coroutine[object, object, None]) -> None:
        try:
            await coroutine
        except Exception as error:  # noqa: BLE001 - a fault in one stream must not end the others
            self._faulty(stream, error)

    def _guarded(self, stream: str, callback: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: object) -> None:
            try:
                callback(*arguments)
            except Exception as error:  # noqa: BLE001 - a fault in one stream must not end the others
                self._faulty(stream, error)

        return call

    def _faulty(self, stream: str, error: Exception) -> None:
        _log.error("a fault of the bridge in one stream", stream=stream, exc_info=error)
        if self._supervisor is not None:
            self._supervisor.pipeline_failed(stream, error)

    def _membership(self) -> Membership:
        return self._member.membership if self._member is not None else Membership()

    def _platform_time_ms(self, stream: str) -> int | None:
        return self._tokens[self._streams[stream].platform].platform_time_ms()

    def _end(self, exit_code: int, reason: str) -> None:
        _log.error("cannot go on", reason=reason)
        self._exit_code = exit_code
        self._stop.set()

    def _unready(self) -> list[str]:
        if self._supervisor is None:
            return ["Kafka is not reached yet"]
        return self._supervisor.unready()


def _poster(loop: asyncio.AbstractEventLoop) -> Callable[..., object]:
    """Runs calls on the loop's thread; a lane that ends after the loop has nobody to tell."""

    def post(call: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(call, *arguments)

    return post


class _Stopped(Exception):  # noqa: N818 - ends a task group, is not an error
    """The worker is done."""
