"""Several workers of one group against one platform, and a reader who watches how long each stream is silent.

async with Fleet(stage, platform(rate=20), *streams(12), workers=3, lanes=8) as it:
    await it.ready()
    since = await it.crash(1)
    print(it.reader.silences(since))
    await it.finish()
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, cast
from zlib import crc32

from confluent_kafka import Message

from connector.simulator import SimulatorSettings
from tests.support.bridge_process import BridgeProcess
from tests.support.ledger import Headers, Record, read
from tests.support.scenario import PATIENCE_S, Scenario, tail_of, unready
from tests.support.stage import Stage
from tests.support.watch import Follower

LANES = 8
SILENCE_S = 0.3
"""A pause of a stream that is longer is written down."""


def streams(count: int, lanes: int = LANES) -> list[dict[str, Any]]:
    """So many streams, spread over the lanes as evenly as can be."""
    names: list[str] = []
    number = 0
    while len(names) < count:
        name = f"s{number}"
        number += 1
        if crc32(name.encode()) % lanes == len(names) % lanes:
            names.append(name)
    return [{"name": name} for name in names]


class Reader(Follower):
    """A read_committed reader of the event topic, who writes down when each stream was silent."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        super().__init__(bootstrap, [topic])
        self.last: dict[str, float] = {}
        self.positions: dict[str, int] = {}
        """The greatest position seen of each stream."""
        self._silences: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def take(self, message: Message) -> None:
        """See :meth:`Follower.take`."""
        now = time.monotonic()
        headers = dict(cast("Headers", message.headers() or []))
        source, event = headers.get("ce_source"), headers.get("ce_id")
        if isinstance(source, bytes) and isinstance(event, bytes):
            stream = source.decode().rpartition("/")[2]
            before = self.last.get(stream, now)
            if now - before > SILENCE_S:
                self._silences[stream].append((before, now))
            self.last[stream] = now
            self.positions[stream] = max(int(event.rpartition(b"/")[2]), self.positions.get(stream, 0))

    def silence(self, since: float) -> dict[str, float]:
        """The longest silence of each stream that ended after the instant, or has not ended; seconds."""
        now = time.monotonic()
        return {
            stream: max([end - begin for begin, end in self._silences[stream] if end > since] + [now - last])
            for stream, last in self.last.items()
        }

    def until_back(self, since: float) -> float:
        """How long after the instant the last of the streams that it silenced was back; seconds."""
        return max(
            [end - since for found in self._silences.values() for begin, end in found if begin <= since < end]
            + [end - since for found in self._silences.values() for begin, end in found if begin > since],
            default=0.0,
        )


class Fleet(Scenario):
    """``workers`` of them, all with the same configuration; those of :class:`Scenario`'s verbs mean them all."""

    def __init__(
        self,
        stage: Stage,
        settings: SimulatorSettings,
        *streams: Mapping[str, Any],
        workers: int = 3,
        started: bool = True,
        **options: Any,  # noqa: ANN401 - Scenario's
    ) -> None:
        options = {"lanes": LANES, "commit": {}, "membership": {}, **options}
        super().__init__(stage, settings, *streams, started=False, **options)
        self.workers: list[BridgeProcess] = []
        self.reader = Reader(self.kafka, self.topic)
        self._count, self._fleet_started = workers, started
        self._lines: dict[int, list[dict[str, Any]]] = defaultdict(list)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.reader.__enter__()
        others = [BridgeProcess(self.directory, self.configured(), name=f"w{i}") for i in range(1, self._count)]
        self.workers = [self.worker, *others]
        if self._fleet_started:
            await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.reader.__exit__, None, None, None)
        await super().__aexit__(kind, error, trace)

    # Verbs for all --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start them all."""
        for worker in self.workers:
            await asyncio.to_thread(worker.start)

    async def ready(self) -> None:
        """Return once all that run do all their work."""
        for worker in self.workers:
            if worker.running:
                await asyncio.to_thread(worker.ready, PATIENCE_S)

    async def kill9(self) -> None:
        """SIGKILL to all."""
        await asyncio.gather(*(asyncio.to_thread(worker.kill9) for worker in self.workers))

    async def stop(self) -> None:
        """SIGTERM to all that run, and exit code 0."""
        running = [worker for worker in self.workers if worker.running]
        codes = await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in running))
        assert codes == [0] * len(running), codes

    async def _unready(self) -> str:
        told = await asyncio.gather(*map(unready, self.workers))
        return "\n".join(f"worker {i}: {text}" for i, text in enumerate(told))

    def _log_tail(self) -> str:
        return "\n".join(f"--- worker {i}\n{tail_of(worker)}" for i, worker in enumerate(self.workers))

    # All streams ----------------------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The streams'."""
        return [stream["name"] for stream in self._streams]

    async def all_flowing(self, events: int = 1, timeout_s: float = PATIENCE_S) -> None:
        """Return once so many events of every stream that are yet to come are committed."""
        wanted = {name: (self.head(name)[0], self.head(name)[1] + events) for name in self.names}
        for name, mark in wanted.items():
            await self.committed(mark, name, timeout_s)

    def opens(self) -> int:
        """How many sockets were opened so far."""
        return self.count("opens")

    # Lanes ----------------------------------------------------------------------------------------------------

    def lanes_of(self, i: int) -> frozenset[int]:
        """The lanes that a worker says are its own."""
        owned: frozenset[int] = frozenset()
        for line in self._story_of(i):
            match line.get("event"):
                case "starting":
                    owned = frozenset()
                case "lanes assigned":
                    owned = frozenset(line["lanes"])
                case "lanes revoked":
                    owned -= frozenset(line["lanes"])
                case text if str(text).startswith("lanes lost"):
                    owned -= frozenset(line["lanes"])
        return owned

    def streams_of(self, i: int) -> list[str]:
        """The streams of a worker's lanes."""
        lanes = self.lanes_of(i)
        return [name for name in self.names if crc32(name.encode()) % self._options["lanes"] in lanes]

    def calm(self) -> bool:
        """Whether each stream has one socket."""
        return all(len(self.open_sockets(name)) == 1 for name in self.names)

    def owners(self) -> dict[int, int]:
        """Each lane's worker, as the workers say."""
        return {lane: i for i, worker in enumerate(self.workers) if worker.running for lane in self.lanes_of(i)}

    async def settled(self, workers: int | None = None) -> dict[int, int]:
        """Return once every lane has an owner and so many workers (all that run) have some; each lane's worker."""
        running = sum(worker.running for worker in self.workers) if workers is None else workers
        await self.until(
            lambda: len(owners := self.owners()) == self._options["lanes"] and len(set(owners.values())) == running,
            f"lanes of {running} workers",
        )
        return self.owners()

    def told(self, i: int, event: str) -> list[dict[str, Any]]:
        """A worker's log lines that begin so, over all its starts."""
        return [line for line in self._story_of(i) if str(line.get("event", "")).startswith(event)]

    def lane_records(self) -> dict[int, list[Record]]:
        """The committed checkpoints of each lane, in their order."""
        found: dict[int, list[Record]] = defaultdict(list)
        for record in read(self.kafka, [f"{self.group}.checkpoints"]):
            found[record.partition].append(record)
        return found

    def _story_of(self, i: int) -> list[dict[str, Any]]:
        self._lines[i] += self.workers[i].new_log_lines()
        return self._lines[i]


def say(finding: str) -> None:
    """Print what was measured: pytest shows it with ``-rP``."""
    print(finding)  # noqa: T201 - figures are not judged, but told


def instant_of(line: Mapping[str, Any]) -> float:
    """A log line's time, in seconds since the epoch."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()
