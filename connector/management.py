"""What the management API needs of a worker: its seams beside :mod:`connector.ports`, each docstring a contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.core.fleet import LaneView, StreamView
from connector.model import Checkpoint, Target


@dataclass(frozen=True, slots=True)
class Definition:
    """A key of a stream's configuration, as Kafka Connect describes it. ``kind``: STRING, INT or LIST."""

    name: str
    kind: str
    default: str | None
    documentation: str
    required: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream stands, by its checkpoint."""

    epoch: int
    position: int | None


class Catalogue(Protocol):
    """What the configuration says, without its secrets. Nothing here blocks."""

    version: str
    commit: str

    def config(self, stream: str) -> dict[str, str]:
        """A stream's configuration, flat, its platform's with it; the stream exists."""
        ...

    def topics(self, stream: str) -> list[str]:
        """The event topics a stream may write; the stream exists."""
        ...

    def plugins(self) -> list[str]:
        """The kinds of platform."""
        ...

    def definitions(self) -> list[Definition]:
        """The keys of a stream's configuration."""
        ...

    def faults(self, plugin: str, config: Mapping[str, str]) -> dict[str, list[str]]:
        """What is wrong with a stream's flat configuration, by key."""
        ...


class Fleet(Protocol):
    """All streams of the group, whichever worker has them."""

    @property
    def worker(self) -> str:
        """This worker's id."""
        ...

    async def cluster_id(self) -> str | None:
        """The Kafka cluster's id; None where Kafka does not answer."""
        ...

    async def refresh(self) -> None:
        """Ask the group who has which lane, unless that was asked a moment ago; within seconds, and never raises."""
        ...

    def view(self, stream: str) -> StreamView | None:
        """A stream as last seen; None: there is none of this name."""
        ...

    def views(self) -> Sequence[StreamView]:
        """All streams as last seen, by name."""
        ...

    def lanes(self) -> Sequence[LaneView]:
        """All lanes as last seen, by number."""
        ...

    async def place(self, stream: str) -> Place | None:
        """Where a stream stands, by its last checkpoint; None: it has none.

        Raises :class:`connector.errors.ControlUnavailableError` where Kafka does not answer within seconds.
        """
        ...

    async def steer(self, stream: str, target: Target) -> None:
        """Say what the stream is to do; returns once every worker will hear of it.

        Raises :class:`connector.errors.ControlUnavailableError` where Kafka does not take it within seconds.
        """
        ...

    async def restart(self, stream: str) -> None:
        """Ask that the stream be opened again from its last commit. Returns and raises as :meth:`steer`."""
        ...

    async def move(self, stream: str, position: int | None, epoch: int | None) -> bool:
        """Ask that a stopped stream go on behind ``position``; None: begin anew as configured. Raises as :meth:`steer`.

        Returns whether the lane's owner has carried it out within seconds; else it will, once there is one.
        """
        ...


class Group(Protocol):
    """The group from outside. Every method blocks, for seconds at most: to be called from a thread.

    All raise :class:`connector.errors.ControlUnavailableError` where Kafka does not answer in time.
    """

    def owners(self) -> Mapping[int, str]:
        """Lane → the worker to which the group has given it."""
        ...

    def cluster_id(self) -> str:
        """The cluster's id."""
        ...

    def checkpoints(self, lane: int) -> Callable[[], Mapping[str, Checkpoint]]:
        """A function that reads every stream's last checkpoint; called again, it reads only what is new."""
        ...
