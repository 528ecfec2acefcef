"""Builds what a worker is made of: supervisor, lanes and pipelines, from their plans and the worker's shared parts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from connector import plans
from connector.buffer import WorkerBuffer
from connector.core.boundary import CommitBudget
from connector.core.frames import FrameReader
from connector.fault_guard import FaultGuard
from connector.kafka.client import KafkaClient
from connector.kafka.ownership import GroupMember, Membership
from connector.kafka.services import LaneServices
from connector.kafka.writer import LaneWriter
from connector.observer import CountedOwner, Observer
from connector.pace import DialPace
from connector.parts import Parts, Shared
from connector.pipeline import StreamPipeline
from connector.platform_clients import PlatformClients
from connector.platforms.websocket import SequenceSource
from connector.ports import Clock, Lane
from connector.settings import Settings
from connector.supervisor import Supervisor
from connector.topic_watch import TopicWatch
from connector.web.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Workshop:
    """What everything is made from, one of each in a worker."""

    settings: Settings
    client: KafkaClient
    clock: Clock
    rng: Random
    metrics: Metrics
    observer: Observer
    platforms: PlatformClients
    watch: TopicWatch


class Assembly:
    """One worker's parts: its supervisor and its group membership, wired to each other."""

    def __init__(self, workshop: Workshop, group: asyncio.TaskGroup, mismatched: Callable[[str], None]) -> None:
        """``mismatched``: the worker must end, with this reason."""
        self._workshop = workshop
        self._group = group
        settings = workshop.settings
        self._streams = {stream.name: stream for stream in settings.streams}
        self._buffer = WorkerBuffer(settings.buffer.worker_bytes, len(settings.streams))
        self._dials = DialPace(settings.rotation.max_parallel)
        self.supervisor = Supervisor(
            plans.streams_by_lane(settings),
            self._lane,
            self._pipeline,
            workshop.observer,
            self._platform_time_ms,
            mismatched,
        )
        self.member = GroupMember(workshop.client, CountedOwner(self.supervisor, workshop.metrics))
        self._services = self._lane_services()
        workshop.metrics.lanes_owned.set_function(lambda: len(self.supervisor.lanes))
        workshop.metrics.lanes_serving.set_function(lambda: self.supervisor.serving)
        workshop.metrics.lanes_configured.set(settings.lanes)

    def _lane_services(self) -> LaneServices:
        workshop, metrics = self._workshop, self._workshop.metrics
        return LaneServices(
            client=workshop.client,
            topics=workshop.watch.topics,
            lanes=workshop.settings.lanes,
            worker=workshop.client.worker,
            commit=plans.commit_policy(workshop.settings),
            budget=CommitBudget(workshop.settings.commit.max_per_second),
            limits=lambda: workshop.watch.limits,
            membership=self._membership,
            listener=self.supervisor,
            post=_poster(asyncio.get_running_loop()),
            committed_in=metrics.lane_commits.observe,
            renewed=lambda cause: metrics.producer_renewals.labels(cause).inc(),
        )

    def _lane(self, number: int) -> Lane:
        return LaneWriter(number, self._services)

    def _pipeline(self, name: str, lane: Lane) -> StreamPipeline:
        workshop, settings, stream = self._workshop, self._workshop.settings, self._streams[name]
        platform, client = settings.platform_of(stream), workshop.platforms[stream.platform]
        guard = FaultGuard(self._group, name, self.supervisor.pipeline_failed)
        parts = Parts(
            source=SequenceSource(client.session, plans.wire(platform), stream.channel or name),
            frames=FrameReader(platform.position.field),
            envelope=plans.envelope(settings.group, stream),
            tokens=client.tokens,
            sink=lane,
            shared=Shared(
                clock=workshop.clock,
                rng=workshop.rng,
                spawn=guard.spawn,
                guarded=guard.guarded,
                dials=self._dials,
                buffer=self._buffer,
                limits=workshop.watch.limits,
                observe=workshop.observer,
            ),
        )
        return StreamPipeline(plans.stream_plan(settings, stream), parts)

    def _membership(self) -> Membership:
        return self.member.membership

    def _platform_time_ms(self, stream: str) -> int | None:
        return self._workshop.platforms[self._streams[stream].platform].tokens.platform_time_ms()


def _poster(loop: asyncio.AbstractEventLoop) -> Callable[..., object]:
    """Runs calls on the loop's thread; a lane that ends after the loop has nobody to tell."""

    def post(call: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(call, *arguments)

    return post
