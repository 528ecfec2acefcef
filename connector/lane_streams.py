"""The streams of one lane that is ours: what each is told to do, and the pipelines that do it (KAFKA.md 17)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from connector import telemetry
from connector.core.desired import Place, Step, is_halted, is_pending, next_step, place
from connector.core.relocation import Relocation, relocated
from connector.core.states import State
from connector.model import Batch, Checkpoint, DesiredState, PositionChange
from connector.ports import Lane
from connector.stream.pipeline import StreamPipeline

_FAULT_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class StreamMakers:
    """What streams are made of, and steered by.

    ``move``: the batch of an incarnation that changes a stream's position. ``desired``: what a stream is to do.
    ``halted``: it met a gap there and stops, as configured, until an operator lets it go on: all workers are to know.
    """

    pipeline: Callable[[str, Lane], StreamPipeline]
    move: Callable[[str, Relocation, int], Batch]
    desired: Callable[[str], DesiredState]
    halted: Callable[[str, Place], None]
    observe: telemetry.Observer


class LaneStreams:
    """One lane and its streams. All methods belong to the event loop's thread."""

    def __init__(self, writer: Lane, names: Iterable[str], makers: StreamMakers) -> None:
        self.writer = writer
        self.names = set(names)
        self.held = False
        self.pipelines: dict[str, StreamPipeline] = {}
        self._makers = makers
        self._opened = False
        self._checkpoints: dict[str, Checkpoint] = {}
        self._incarnations: dict[str, int] = {}
        self._obeyed: dict[str, DesiredState] = {}
        self._faulty: set[str] = set()
        self._lingering: set[str] = set()  # stopped here: the lane may still hold what they handed over
        self._renouncing: set[str] = set()
        self._halts_told: dict[str, Place] = {}

    # ------------------------------------------------------------------ life

    def open(self, checkpoints: Mapping[str, Checkpoint]) -> None:
        """The lane is open: its streams go on from here, or do what else they are told."""
        self._opened = True
        self._checkpoints.update(checkpoints)
        for name in sorted(self.names):
            self._begin(name)

    def _begin(self, name: str) -> None:
        self._obeyed[name] = desired = self._makers.desired(name)
        self._settle(name)
        if name not in self.pipelines:
            self._tell_rest(name, desired)

    def stop(self, reason: str) -> None:
        """Every stream hands over what it has read, and closes its sockets."""
        self._opened = False
        for pipeline in self.pipelines.values():
            pipeline.stop(reason)

    def reconfigured(self, names: Iterable[str], changed: frozenset[str]) -> None:
        """The configuration has these streams now; those that are ``changed`` go on under other settings."""
        former, self.names = self.names, set(names)
        for name in sorted(former - self.names):
            self._stop(name, "removed from the configuration")
            self._obeyed.pop(name, None)
            self._makers.observe(telemetry.StreamLeft(name))
        for name in sorted(self.names & changed):
            self._stop(name, "configured anew")
        if self._opened:
            for name in sorted((self.names - former) | (self.names & changed)):
                self._begin(name)

    # ------------------------------------------------------------------ what the operators want

    def told(self, name: str) -> None:
        """There is word of what a stream is to do."""
        desired, obeyed = self._makers.desired(name), self._obeyed.get(name)
        if not self._opened or name not in self.names or desired == obeyed:
            return
        self._obeyed[name] = desired
        self._makers.observe(telemetry.Told(name, desired.target, desired.by))
        if obeyed is not None and desired.restart_id != obeyed.restart_id:
            self._stop(name, "restarted by an operator")
        self._settle(name)

    def _settle(self, name: str) -> None:
        """Do, step by step, what follows from the stream's last commit and what it is told."""
        desired = self._makers.desired(name)
        while self._opened and name in self.names and name not in self._faulty:
            checkpoint = self._checkpoints.get(name)
            match next_step(desired, checkpoint, running=name in self.pipelines):
                case Step.REST:
                    break
                case Step.START | Step.MOVE if name in self._lingering:
                    self._renounce(name)
                    break
                case Step.STOP:
                    self._stop(name, f"{desired.target} by an operator")
                case Step.START:
                    self._start(name, checkpoint)
                case Step.MOVE:
                    self._move(name, checkpoint, desired.change)
                    break
        self._tell_halt(name, desired)

    def _start(self, name: str, checkpoint: Checkpoint | None) -> None:
        pipeline = self.pipelines[name] = self._makers.pipeline(name, self.writer)
        pipeline.start(checkpoint, self._incarnations.get(name, 0))

    def _stop(self, name: str, reason: str) -> None:
        pipeline = self.pipelines.pop(name, None)
        if pipeline is not None:
            pipeline.stop(reason)
            self._lingering.add(name)

    def _renounce(self, name: str) -> None:
        """The lane may still hold what was read before, and half a snapshot: its answer says where to go on."""
        if name not in self._renouncing:
            self._renouncing.add(name)
            self.writer.renounce(name)

    def _move(self, name: str, checkpoint: Checkpoint | None, change: PositionChange | None) -> None:
        """Ask the lane to change the position; its commit, or that it came to nothing, brings us back here."""
        if change is not None:
            relocation = relocated(name, checkpoint, change)
            self.writer.submit(self._makers.move(name, relocation, self._incarnations.get(name, 0)))

    def _tell_rest(self, name: str, desired: DesiredState) -> None:
        """Say of a stream that does not run from the first what it would have said when it stopped."""
        self._makers.observe(telemetry.StreamState(name, State.STOPPED, 0))
        checkpoint = self._checkpoints.get(name)
        if checkpoint is not None and is_halted(desired, checkpoint):
            self._makers.observe(telemetry.Halted(name, checkpoint.position or 0))
        else:
            self._makers.observe(telemetry.Told(name, desired.target, desired.by))

    def _tell_halt(self, name: str, desired: DesiredState) -> None:
        checkpoint = self._checkpoints.get(name)
        if checkpoint is None or not is_halted(desired, checkpoint):
            return
        at = place(checkpoint)
        if desired.halted_at != at and self._halts_told.get(name) != at:
            self._halts_told[name] = at
            self._makers.halted(name, at)

    @property
    def halted(self) -> dict[str, int]:
        """Streams that met a gap and wait for an operator (``on_gap: stop``): each with its position."""
        return {
            name: checkpoint.position or 0
            for name, checkpoint in self._checkpoints.items()
            if name in self.names and is_halted(self._makers.desired(name), checkpoint)
        }

    # ------------------------------------------------------------------ from the lane

    def committed(self, checkpoint: Checkpoint, entries: int, size_bytes: int) -> None:
        """See :class:`connector.ports.LaneListener`."""
        name = checkpoint.stream
        former, self._checkpoints[name] = self._checkpoints.get(name), checkpoint
        pipeline, obeyed = self.pipelines.get(name), self._obeyed.get(name)
        if pipeline is not None:
            pipeline.committed(checkpoint, entries, size_bytes)
        change = obeyed.change if obeyed is not None else None
        if change is not None and is_pending(change, former) and not is_pending(change, checkpoint):
            self._tell_moved(former, checkpoint, change)
        if pipeline is None or checkpoint.stopped:
            self._settle(name)

    def _tell_moved(self, former: Checkpoint | None, now: Checkpoint, change: PositionChange) -> None:
        relocation = relocated(now.stream, former, change)
        if relocation.gap is not None:
            self._makers.observe(telemetry.GapRecorded(now.stream, relocation.gap))
        at = None if former is None else former.position
        self._makers.observe(telemetry.Moved(now.stream, at, now.position, now.epoch, change.change_id, change.reason))

    def rewound(self, checkpoint: Checkpoint, incarnation: int) -> None:
        """See :class:`connector.ports.LaneListener`."""
        name = checkpoint.stream
        self._checkpoints[name] = checkpoint
        self._incarnations[name] = incarnation
        pipeline = self.pipelines.get(name)
        if pipeline is not None:
            pipeline.restart(checkpoint, incarnation)
        self._settle(name)

    # ------------------------------------------------------------------ faults

    def failed(self, name: str) -> None:
        """A fault of the bridge's own: start the stream again, after a pause, from its last commit."""
        pipeline = self.pipelines.pop(name, None)
        if pipeline is not None:
            pipeline.abandon("fault")
            self._faulty.add(name)
            asyncio.get_running_loop().call_later(_FAULT_PAUSE_S, self._again, name)

    def _again(self, name: str) -> None:
        self._renounce(name)

    def renounced(self, name: str, checkpoint: Checkpoint | None, incarnation: int) -> None:
        """See :class:`connector.ports.LaneListener`."""
        if checkpoint is not None:
            self._checkpoints[name] = checkpoint
        self._incarnations[name] = incarnation
        for waiting in (self._renouncing, self._lingering, self._faulty):
            waiting.discard(name)
        self._settle(name)
