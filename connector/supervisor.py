"""Lanes → streams: starts and stops pipelines as ownership changes (DESIGN.md §3, KAFKA.md 12-14).

Two threads speak to it: the group membership (:class:`connector.ports.LaneOwner`) and, through the loop, the lanes
(:class:`connector.ports.LaneListener`). All state belongs to the event loop's thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from connector import telemetry
from connector.lane_streams import LaneStreams, StreamMakers
from connector.model import Checkpoint
from connector.ports import Lane

_STOP_S = 1.3
_REGAIN_S = 2.0

_log = structlog.get_logger("connector.supervisor")


class Supervisor:
    """What this worker's lanes and streams are doing."""

    def __init__(
        self,
        streams: Mapping[int, Sequence[str]],
        make_lane: Callable[[int], Lane],
        makers: StreamMakers,
        platform_time_ms: Callable[[str], int | None],
        mismatched: Callable[[str], None],
    ) -> None:
        """``streams``: every lane → names of its streams. ``mismatched``: the worker must end, with this reason."""
        self._streams = streams
        self._make_lane = make_lane
        self._makers = makers
        self._observe = makers.observe
        self._platform_time_ms = platform_time_ms
        self.mismatched = mismatched
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[int, LaneStreams] = {}
        self._owned: frozenset[int] = frozenset()
        self.joined = False
        self.suspended: dict[str, str] = {}

    # ------------------------------------------------------------------ from the membership's thread

    def assigned(self, lanes: frozenset[int]) -> None:
        """See :class:`connector.ports.LaneOwner`."""
        self._loop.call_soon_threadsafe(self._assigned, lanes)

    def revoked(self, lanes: frozenset[int], deadline: float) -> None:
        """See :class:`connector.ports.LaneOwner`."""
        stopping: concurrent.futures.Future[list[Lane]] = concurrent.futures.Future()
        self._loop.call_soon_threadsafe(self._revoked, lanes, stopping)
        try:
            for lane in stopping.result(max(0.0, deadline - time.monotonic())):
                lane.ended.wait(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return  # a stalled loop; the next owner's init fences what is left

    def lost(self, lanes: frozenset[int]) -> None:
        """See :class:`connector.ports.LaneOwner`."""
        self._loop.call_soon_threadsafe(self._lost, lanes)

    # ------------------------------------------------------------------ ownership

    def _assigned(self, lanes: frozenset[int]) -> None:
        self.joined = True
        self._owned = lanes & self._streams.keys()
        if unknown := lanes - self._owned:
            self.mismatched(f"lanes {sorted(unknown)} do not exist: the checkpoint topic was given more partitions")
            return
        for number in [n for n, lane in self._lanes.items() if lane.held and n not in lanes]:
            self._close(number, "the lane is another worker's")
        for number in sorted(lanes):
            lane = self._lanes.get(number)
            if lane is not None:
                lane.held = False
                lane.writer.resume()
            elif number == 0 or self._streams.get(number):  # lane 0 carries the number of lanes
                self._open(number)
        _log.info("lanes assigned", lanes=sorted(lanes), open=sorted(self._lanes))

    def _open(self, number: int) -> None:
        lane = self._lanes[number] = LaneStreams(self._make_lane(number), self._streams[number], self._makers)
        lane.writer.start()

    def _revoked(self, lanes: frozenset[int], stopping: concurrent.futures.Future[list[Lane]]) -> None:
        self._owned -= lanes
        stopping.set_result([writer for n in lanes if (writer := self._close(n, "the lane moves")) is not None])
        _log.info("lanes revoked", lanes=sorted(lanes))

    def _lost(self, lanes: frozenset[int]) -> None:
        self._owned -= lanes
        for number in sorted(lanes):
            self._hold(number)
            for name in sorted(self._streams.get(number, ())):
                self._observe(telemetry.LaneLost(name, number))
        _log.warning("lanes lost from sight; sockets stay, nothing is written", lanes=sorted(lanes))

    def _hold(self, number: int) -> None:
        lane = self._lanes.get(number)
        if lane is not None:
            lane.held = True
            lane.writer.hold()

    def _close(self, number: int, reason: str) -> Lane | None:
        lane = self._lanes.pop(number, None)
        if lane is None:
            return None
        lane.stop(reason)
        for name in sorted(lane.names):
            self.suspended.pop(name, None)
            self._observe(telemetry.StreamLeft(name))
        lane.writer.finish(time.monotonic() + (0.0 if lane.held else _STOP_S))
        return lane.writer

    # ------------------------------------------------------------------ from the lanes

    def lane_opened(self, lane: int, checkpoints: Mapping[str, Checkpoint]) -> None:
        """See :class:`connector.ports.LaneListener`."""
        if lane in self._lanes:
            self._lanes[lane].open(checkpoints)

    def committed(self, lane: int, checkpoint: Checkpoint, entries: int, size_bytes: int) -> None:
        """See :class:`connector.ports.LaneListener`."""
        if lane not in self._lanes:
            return
        self._lanes[lane].committed(checkpoint, entries, size_bytes)
        now_ms, event_ms = self._platform_time_ms(checkpoint.stream), checkpoint.event_time_ms
        # the platform tells its time in whole seconds: an event may seem to come from the future
        lag_s = None if now_ms is None or event_ms is None else max(0.0, (now_ms - event_ms) / 1000)
        self._observe(telemetry.Committed(checkpoint.stream, checkpoint, entries, size_bytes, lag_s))

    def rewound(self, lane: int, checkpoint: Checkpoint, incarnation: int) -> None:
        """See :class:`connector.ports.LaneListener`."""
        if lane in self._lanes:
            self._lanes[lane].rewound(checkpoint, incarnation)

    def renounced(self, lane: int, stream: str, checkpoint: Checkpoint | None, incarnation: int) -> None:
        """See :class:`connector.ports.LaneListener`."""
        if lane in self._lanes:
            self._lanes[lane].renounced(stream, checkpoint, incarnation)

    def suspended_stream(self, stream: str, topic: str, reason: str) -> None:
        """See :class:`connector.ports.LaneListener`."""
        self.suspended[stream] = f"topic {topic}: {reason}"
        self._observe(telemetry.Suspended(stream, topic, reason))

    def restored_stream(self, stream: str) -> None:
        """See :class:`connector.ports.LaneListener`."""
        self.suspended.pop(stream, None)
        self._observe(telemetry.Restored(stream))

    def refused_record(self, stream: str, position: int) -> None:
        """See :class:`connector.ports.LaneListener`."""
        self._observe(telemetry.DeadLettered(stream, position - 1, "refused"))

    def lane_refused(self, lane: int) -> None:
        """See :class:`connector.ports.LaneListener`."""
        self._hold(lane)
        self._loop.call_later(_REGAIN_S, self._regain, lane)

    def _regain(self, number: int) -> None:
        """A refused lane that the group still says is ours is tried again; the group's word comes first."""
        lane = self._lanes.get(number)
        if lane is not None and lane.held and number in self._owned:
            lane.held = False
            lane.writer.resume()

    # ------------------------------------------------------------------ operators, faults, views

    def told(self, stream: str) -> None:
        """There is word of what a stream is to do; who does not own its lane need not care."""
        for lane in self._lanes.values():
            lane.told(stream)

    def reconfigured(self, streams: Mapping[int, Sequence[str]], changed: frozenset[str]) -> None:
        """Other streams from now on; ``changed`` ones go on under other settings, and no other is touched."""
        self._streams = streams
        for number, lane in self._lanes.items():
            for name in lane.names.difference(streams[number]):
                self.suspended.pop(name, None)
            lane.reconfigured(streams[number], changed)
        for number in sorted(self._owned - self._lanes.keys()):
            if streams[number]:
                self._open(number)

    def pipeline_failed(self, stream: str, error: BaseException) -> None:
        """A fault of the bridge's own: start the stream again from its last commit, the others are not touched."""
        self._observe(telemetry.StreamFailed(stream, f"{type(error).__name__}: {error}"))
        for lane in self._lanes.values():
            lane.failed(stream)

    def unready(self) -> list[str]:
        """Reasons why this worker does not do all its work; none where it does."""
        if not self.joined:
            return ["the worker has not joined its group yet (is Kafka away?)"]
        reasons = [f"stream {stream} is suspended: {why}" for stream, why in self.suspended.items()]
        for number, lane in self._lanes.items():
            if lane.held or lane.writer.state != "serving":
                reasons.append(f"lane {number}: {'held' if lane.held else lane.writer.state}")
            reasons += [f"stream {name}: stopped after a gap at {at}" for name, at in lane.halted.items()]
            reasons += [
                f"stream {name}: {pipeline.connection.state}"
                for name, pipeline in lane.pipelines.items()
                if not pipeline.connection.connected
            ]
        return reasons

    @property
    def lanes(self) -> frozenset[int]:
        """Lanes that the group gave to this worker."""
        return self._owned

    @property
    def serving(self) -> int:
        """So many of them write what their streams bring; a lane without streams need not be open."""
        lanes = [runtime for number, runtime in self._lanes.items() if number in self._owned]
        return len(self._owned) - sum(runtime.held or runtime.writer.state != "serving" for runtime in lanes)

    def lane_states(self) -> dict[int, str]:
        """Lanes that the group gave to this worker, and what each is doing; idle where it has no streams."""
        open_ones = {n: "held" if lane.held else lane.writer.state for n, lane in self._lanes.items()}
        return {number: open_ones.get(number, "idle") for number in sorted(self._owned)}
