"""A stream's plan and parts, made of fakes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random

from connector import telemetry
from connector.core.envelope import Envelope, StreamIdentity
from connector.core.frames import FrameReader
from connector.core.pointer import compile_pointer
from connector.core.routing import Route, Router
from connector.core.states import Policy
from connector.model import TopicLimits
from connector.pace import DialPace
from connector.ports import Sink
from connector.stream.buffer import WorkerBuffer
from connector.stream.parts import Parts, Shared, StreamPlan
from tests.fakes.clock import FakeClock
from tests.fakes.source import FakeSource
from tests.fakes.tokens import FakeTokens

STREAM, TOPIC, NOW_MS = "wfm", "t", 1_772_352_930_123


class FakeParts:
    """Everything that one stream is made of; ``told`` is its telemetry. ``partitions``: of its topic."""

    def __init__(self, sink: Sink, *, partitions: int = 2, buffer_events: int = 40, on_gap: str = "snapshot") -> None:
        self.clock, self.source, self.tokens = FakeClock(), FakeSource(), FakeTokens()
        self.told: list[telemetry.Event] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.worker = WorkerBuffer(1_000_000, streams=100)
        limits = {TOPIC: TopicLimits(partitions)}
        router = Router(TOPIC, [Route("urgent.*", TOPIC, urgent=True)])
        self.envelope = Envelope(StreamIdentity("g", "p", STREAM), router, key=["/id"], event_type="/type")
        self.envelope.at(NOW_MS, limits)
        self.plan = StreamPlan(
            name=STREAM,
            topic=TOPIC,
            start="earliest",
            on_gap=on_gap,
            contiguous=True,
            resumes=True,
            policy=Policy(),
            event_time=compile_pointer("/time"),
            buffer_events=buffer_events,
            buffer_bytes=100_000,
        )
        shared = Shared(
            clock=self.clock,
            rng=Random(1),
            spawn=self._spawn,
            guarded=_unguarded,
            dials=DialPace(1),
            buffer=self.worker,
            limits=limits,
            observe=self.told.append,
        )
        self.parts = Parts(self.source, FrameReader("/sequenceId"), self.envelope, self.tokens, sink, shared)

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.append(task)
        return task


def _unguarded(call: Callable[..., None]) -> Callable[..., None]:
    return call
