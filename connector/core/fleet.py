"""The whole group's streams, as one worker sees them: what each is told to do, who has it, and what it is doing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from connector.core.states import State
from connector.core.status import STARTING, StreamStatus
from connector.model import Target


class Phase(StrEnum):
    """Kafka Connect's states of a connector and of its task."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    FAILED = "FAILED"
    UNASSIGNED = "UNASSIGNED"
    RESTARTING = "RESTARTING"


@dataclass(frozen=True, slots=True)
class StreamView:
    """A stream. ``worker``: who has its lane, None: nobody.

    ``status``: what that worker says of it; None where it has said nothing yet.
    """

    name: str
    lane: int
    target: Target
    worker: str | None
    status: StreamStatus | None

    @property
    def phase(self) -> Phase:
        """Its state in Kafka Connect's words. What was asked for shows once it is done, as it does there."""
        closed = self.worker is None or self.status is None or self.status.state in (State.STOPPED, STARTING)
        if self.target is Target.STOPPED and closed:
            return Phase.STOPPED
        if self.worker is None:
            return Phase.UNASSIGNED
        if self.target is Target.PAUSED and closed:
            return Phase.PAUSED
        return Phase.FAILED if self.trace else Phase.RUNNING

    @property
    def trace(self) -> str:
        """Why it needs help; empty where it does not."""
        return self.status.failing if self.status is not None else ""


@dataclass(frozen=True, slots=True)
class LaneView:
    """A lane: who has it (None: nobody), and what it says of itself."""

    lane: int
    worker: str | None
    state: str
    streams: int
