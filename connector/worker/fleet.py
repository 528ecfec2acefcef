"""All streams of the group as this worker sees them: its own directly, the others' by what their workers publish.

Workers never call each other (docs/adr). Who has a lane is asked of the group's coordinator, at most every two seconds
and only while somebody looks; what a stream is doing stands in the control topic, in small records of its lane.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from connector.core.fleet import LaneView, StreamView
from connector.core.status import (
    STATUS_KEY,
    Bulletins,
    Heard,
    LaneStatus,
    StreamStatus,
    decode,
    encode,
    key_of,
    owner_of,
    parts,
)
from connector.errors import ControlUnavailableError
from connector.management import Group, Place
from connector.model import PositionChange, Target
from connector.ports import Notices, StreamControl
from connector.worker.board import Board

_TICK_S = 1.0
_ASK_AGAIN_S = 2.0
_CARRIED_OUT_S = 8.0
_LOOK_S = 0.25
_BY = "management API"

_log = structlog.get_logger("connector.fleet")


@dataclass(frozen=True, slots=True)
class Own:
    """What this worker has: its id, the state of each of its lanes, its streams' statuses."""

    worker: str
    lanes: Callable[[], Mapping[int, str]]
    board: Board


class GroupFleet:
    """Implements :class:`connector.management.Fleet`. All methods belong to the event loop's thread."""

    def __init__(
        self,
        streams: Mapping[int, Sequence[str]],
        own: Own,
        group: Group,
        control: StreamControl,
        notices: Notices,
    ) -> None:
        """``streams``: every lane → names of its streams."""
        self.reconfigured(streams)
        self._own = own
        self._group = group
        self._control = control
        self._notices = notices
        self._bulletins = Bulletins()
        self._heard: dict[int, Heard] = {}
        self._statuses: dict[str, tuple[str, StreamStatus]] = {}  # with the worker that says so
        self._owners: Mapping[int, str] | None = None
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()
        self._cluster_id: str | None = None
        notices.follow(STATUS_KEY, self._hear)

    def reconfigured(self, streams: Mapping[int, Sequence[str]]) -> None:
        """These are the group's streams from now on, by lane."""
        self._streams = streams
        self._lane_of = {name: lane for lane, names in sorted(streams.items()) for name in names}

    # ------------------------------------------------------------------ telling the others

    async def run(self) -> None:
        """Publish what this worker's streams are doing, until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            self._own.board.tick(_TICK_S)
            lanes = self._own.lanes()
            self._bulletins.keep(frozenset(lanes))
            for lane, state in lanes.items():
                self._publish(lane, state)

    def _publish(self, lane: int, state: str) -> None:
        for part, statuses in enumerate(parts(self._own.board.statuses(self._streams[lane]))):
            if self._bulletins.due(lane, part, statuses, time.monotonic()):
                told = LaneStatus(
                    lane=lane, worker=self._own.worker, at_ms=_now_ms(), state=state, streams=list(statuses)
                )
                self._notices.publish(key_of(lane, part), encode(told))

    def _hear(self, _key: str, value: bytes | None) -> None:
        status = None if value is None else decode(value)
        if status is None or status.lane not in self._streams:
            return
        age_s = max(0.0, (_now_ms() - status.at_ms) / 1000)
        self._heard[status.lane] = Heard(status, time.monotonic() - age_s)
        self._statuses.update((stream.stream, (status.worker, stream)) for stream in status.streams)

    # ------------------------------------------------------------------ views

    @property
    def worker(self) -> str:
        """See :class:`connector.management.Fleet`."""
        return self._own.worker

    async def cluster_id(self) -> str | None:
        """See :class:`connector.management.Fleet`."""
        if self._cluster_id is None:
            try:
                self._cluster_id = await asyncio.to_thread(self._group.cluster_id)
            except ControlUnavailableError as error:
                _log.debug("no cluster id", detail=str(error))
        return self._cluster_id

    async def refresh(self) -> None:
        """See :class:`connector.management.Fleet`."""
        if self._streams.keys() <= self._own.lanes().keys():
            return
        async with self._asking:
            if time.monotonic() - self._asked_at < _ASK_AGAIN_S:
                return
            try:
                self._owners = await asyncio.to_thread(self._group.owners)
            except ControlUnavailableError as error:
                self._owners = None
                _log.debug("nobody knows who has which lane", detail=str(error))
            self._asked_at = time.monotonic()

    def view(self, stream: str) -> StreamView | None:
        """See :class:`connector.management.Fleet`."""
        lane = self._lane_of.get(stream)
        if lane is None:
            return None
        owner, target = self._owner(lane), self._control.desired(stream).target
        return StreamView(stream, lane, target, owner, self._status(stream, owner))

    def views(self) -> Sequence[StreamView]:
        """See :class:`connector.management.Fleet`."""
        return [view for name in sorted(self._lane_of) if (view := self.view(name)) is not None]

    def lanes(self) -> Sequence[LaneView]:
        """See :class:`connector.management.Fleet`."""
        return [
            LaneView(lane, self._owner(lane), self._lane_state(lane), len(self._streams[lane]))
            for lane in self._streams
        ]

    def _owner(self, lane: int) -> str | None:
        if lane in self._own.lanes():
            return self._own.worker
        owner = owner_of(lane, self._owners, self._heard.get(lane), time.monotonic())
        return None if owner == self._own.worker else owner  # it was ours a moment ago

    def _status(self, stream: str, owner: str | None) -> StreamStatus | None:
        if owner is None:
            return None
        if owner == self._own.worker:
            return self._own.board.statuses([stream])[0]
        worker, status = self._statuses.get(stream, (None, None))
        return status if worker == owner else None

    def _lane_state(self, lane: int) -> str:
        own = self._own.lanes().get(lane)
        heard = self._heard.get(lane)
        return own if own is not None else heard.status.state if heard is not None else ""

    async def place(self, stream: str) -> Place | None:
        """See :class:`connector.management.Fleet`."""
        checkpoint = (await asyncio.to_thread(self._group.checkpoints(self._lane_of[stream]))).get(stream)
        return None if checkpoint is None else Place(checkpoint.epoch, checkpoint.position)

    # ------------------------------------------------------------------ orders

    async def steer(self, stream: str, target: Target) -> None:
        """See :class:`connector.management.Fleet`."""
        await self._control.request(stream, by=_BY, target=target)

    async def restart(self, stream: str) -> None:
        """See :class:`connector.management.Fleet`."""
        await self._control.request(stream, by=_BY, restart=True)

    async def move(self, stream: str, position: int | None, epoch: int | None) -> bool:
        """See :class:`connector.management.Fleet`."""
        change = PositionChange(secrets.token_hex(8), position, epoch, reason=_BY)
        await self._control.request(stream, by=_BY, change=change)
        lane = self._lane_of[stream]
        if self._owner(lane) is None:
            return False
        read, deadline = self._group.checkpoints(lane), time.monotonic() + _CARRIED_OUT_S
        while time.monotonic() < deadline:
            checkpoint = (await asyncio.to_thread(read)).get(stream)
            if checkpoint is not None and checkpoint.command_id == change.change_id:
                return True
            await asyncio.sleep(_LOOK_S)
        return False


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
