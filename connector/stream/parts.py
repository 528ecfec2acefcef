"""What a stream's pipeline is made of: its plan, from the configuration, and its parts, built by ``app``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from connector import telemetry
from connector.core.envelope import Envelope
from connector.core.frames import Event, Unread
from connector.core.pointer import Lookup
from connector.core.states import Policy
from connector.model import TopicLimits
from connector.pace import DialPace
from connector.ports import Clock, Sink, Source, TokenSource
from connector.stream.buffer import WorkerBuffer


class Frames(Protocol):
    """Reads a platform's messages."""

    def read(self, frame: bytes) -> Sequence[Event | Unread]:
        """The items in a message, in order. Never raises for what a platform sends."""
        ...


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What the configuration says about one stream.

    ``start``: ``earliest``, ``latest``, ``snapshot`` or a position. ``on_gap``: ``snapshot``, ``continue`` or ``stop``.
    ``identity``: what tells an event's deliveries from other events, by its document, where it has no position.
    ``quiet_s``: how often a quiet stream says that it is complete; None: never.
    """

    name: str
    topic: str
    start: str | int
    on_gap: str
    contiguous: bool
    resumes: bool
    policy: Policy
    event_time: Lookup
    identity: Callable[[object], str] | None = None
    quiet_s: float | None = None
    expired_position_code: int | None = None
    snapshot_patience_s: float = 300.0
    buffer_events: int = 5000
    buffer_bytes: int = 16_777_216


@dataclass(frozen=True, slots=True)
class Shared:
    """What streams of a worker share.

    ``spawn`` starts a task that the worker's task group owns; ``guarded`` wraps a callback of the event loop. A fault
    in either ends this stream, not the others: it starts again from its last commit.
    """

    clock: Clock
    rng: Random
    spawn: Callable[[Coroutine[object, object, None]], asyncio.Task[None]]
    guarded: Callable[[Callable[..., None]], Callable[..., None]]
    dials: DialPace
    buffer: WorkerBuffer
    limits: Mapping[str, TopicLimits]
    observe: telemetry.Observer


@dataclass(frozen=True, slots=True)
class Parts:
    """What is a stream's own."""

    source: Source
    frames: Frames
    envelope: Envelope
    tokens: TokenSource
    sink: Sink
    shared: Shared
