"""Builds what a worker is made of: supervisor, lanes and pipelines, from their plans and the worker's shared parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from random import Random

import structlog
from confluent_kafka.admin import AdminClient

from connector.core.boundary import CommitBudget
from connector.core.desired import Place
from connector.core.relocation import Relocation, moving
from connector.kafka.administrator import Administrator
from connector.kafka.client import KafkaClient
from connector.kafka.control import ControlLog
from connector.kafka.group import GroupReader
from connector.kafka.ownership import GroupMember, Membership
from connector.kafka.services import LaneServices
from connector.kafka.writer import LaneWriter
from connector.lane_streams import StreamMakers
from connector.model import Batch, DesiredState
from connector.pace import DialPace
from connector.ports import Clock, Lane
from connector.registry.forms import Forms, SchemaGate, serialisers
from connector.settings import Settings, difference
from connector.stream.buffer import WorkerBuffer
from connector.stream.fault_guard import FaultGuard
from connector.stream.parts import Parts, Shared
from connector.stream.pipeline import StreamPipeline
from connector.supervisor import Supervisor
from connector.web.metrics import Metrics
from connector.worker import adapters, plans
from connector.worker.board import Board
from connector.worker.catalogue import Catalogue
from connector.worker.fleet import GroupFleet, Own
from connector.worker.observer import CountedOwner, Observer
from connector.worker.peer_watch import PeerWatch
from connector.worker.platform_clients import PlatformClients
from connector.worker.topic_watch import TopicWatch

_LEAVE_S = 5.0
_LET_GO_S = 2.0
"""Streams that leave a platform's session close their sockets within a second."""

_log = structlog.get_logger("connector.app")


@dataclass(frozen=True, slots=True)
class Workshop:
    """What everything is made from, one of each in a worker."""

    settings: Settings
    client: KafkaClient
    clock: Clock
    rng: Random
    admin: AdminClient
    metrics: Metrics
    board: Board
    platform_of: dict[str, str]
    observer: Observer
    platforms: PlatformClients
    watch: TopicWatch


class Assembly:
    """One worker's parts: its supervisor and its group membership, wired to each other."""

    def __init__(self, workshop: Workshop, group: asyncio.TaskGroup, mismatched: Callable[[str], None]) -> None:
        """``mismatched``: the worker must end, with this reason."""
        self._workshop = workshop
        self._group = group
        self._settings = settings = workshop.settings
        self._streams = {stream.name: stream for stream in settings.streams}
        self._buffer = WorkerBuffer(settings.buffer.worker_bytes, len(settings.streams))
        self._forms = Forms()
        self._dials = DialPace(settings.rotation.max_parallel)
        self._post = _poster(asyncio.get_running_loop())
        makers = StreamMakers(self._pipeline, self._move, self._desired, self._halted, workshop.observer)
        self.supervisor = Supervisor(
            plans.streams_by_lane(settings), self._lane, makers, self._platform_time_ms, mismatched
        )
        self.control = ControlLog(workshop.client, self._post, self.supervisor.told)
        self._peers = PeerWatch(workshop.client.worker, settings, self.control, workshop.clock, workshop.metrics)
        self.member = GroupMember(workshop.client, CountedOwner(self.supervisor, workshop.metrics))
        self._services = self._lane_services()
        self.catalogue = Catalogue(settings)
        self._group_reader = GroupReader(workshop.client, workshop.admin)
        self.fleet = self._fleet()
        workshop.metrics.lanes_owned.set_function(lambda: len(self.supervisor.lanes))
        workshop.metrics.lanes_serving.set_function(lambda: self.supervisor.serving)
        workshop.metrics.lanes_configured.set(settings.lanes)

    def _fleet(self) -> GroupFleet:
        workshop = self._workshop
        own = Own(workshop.client.worker, self.supervisor.lane_states, workshop.board)
        streams = plans.streams_by_lane(workshop.settings)
        return GroupFleet(streams, own, self._group_reader, self.control, self.control)

    def ask_by(self, admin: Administrator) -> None:
        """The cluster's administration is asked by another client from now on."""
        self._workshop.watch.ask_by(admin)
        self._group_reader.use(admin)

    def start(self) -> None:
        """Hear what streams are to do, and join the group."""
        self._group.create_task(self.fleet.run())
        self.control.start()
        self._group.create_task(self._peers.run())
        self.member.start()

    async def reconfigure(self, former: Settings, settings: Settings) -> None:
        """Go on with other streams and platforms: only those that differ are touched."""
        found = difference(former, settings)
        retired = self._workshop.platforms.change(settings, found)
        await self._workshop.watch.renew(plans.event_topics(settings))
        self._settings, self._streams = settings, {stream.name: stream for stream in settings.streams}
        self.supervisor.reconfigured(plans.streams_by_lane(settings), found.changed)
        self._peers.changed(settings)
        self._workshop.platform_of.clear()
        self._workshop.platform_of.update(plans.platform_of(settings))
        self.catalogue.reconfigured(settings)
        self.fleet.reconfigured(plans.streams_by_lane(settings))
        _log.info("configuration taken up", **{what: sorted(names) for what, names in asdict(found).items() if names})
        await asyncio.sleep(_LET_GO_S)
        for client in retired:
            await client.close()

    async def stop(self) -> None:
        """Leave the group; takes some seconds at most."""
        self._peers.leave()
        await asyncio.to_thread(self.member.stop, _LEAVE_S)
        await asyncio.to_thread(self.control.stop)

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
            post=self._post,
            committed=workshop.observer.lane_committed,
            renewed=lambda cause: metrics.producer_renewals.labels(cause).inc(),
            read_control=self.control.catch_up,
        )

    def _lane(self, number: int) -> Lane:
        return LaneWriter(number, self._services)

    def _pipeline(self, name: str, lane: Lane) -> StreamPipeline:
        workshop, settings, stream = self._workshop, self._settings, self._streams[name]
        platform, client = settings.platform_of(stream), workshop.platforms[stream.platform]
        guard = FaultGuard(self._group, name, self.supervisor.pipeline_failed)
        registry = settings.schema_registry
        forms = {} if registry is None else self._forms.of(plans.forms([stream]), plans.registry(registry))
        source = adapters.source(platform, stream, client.session, workshop.clock)
        parts = Parts(
            source=SchemaGate(source, forms.values()) if forms else source,
            frames=adapters.frames(platform),
            envelope=plans.envelope(settings, stream, serialisers(forms)),
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

    def _move(self, name: str, relocation: Relocation, incarnation: int) -> Batch:
        envelope = plans.envelope(self._settings, self._streams[name])
        envelope.at(time.time_ns() // 1_000_000, self._workshop.watch.limits)
        return moving(name, relocation, incarnation, envelope)

    def _desired(self, stream: str) -> DesiredState:
        return self.control.desired(stream)

    def _halted(self, stream: str, at: Place) -> None:
        FaultGuard(self._group, stream, self.supervisor.pipeline_failed).spawn(self.control.halted(stream, at))

    def _membership(self) -> Membership:
        return self.member.membership

    def _platform_time_ms(self, stream: str) -> int | None:
        settings = self._streams.get(stream)
        return None if settings is None else self._workshop.platforms[settings.platform].tokens.platform_time_ms()


def _poster(loop: asyncio.AbstractEventLoop) -> Callable[..., object]:
    """Runs calls on the loop's thread; a lane that ends after the loop has nobody to tell."""

    def post(call: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(call, *arguments)

    return post
