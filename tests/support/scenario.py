"""A scenario: one simulated platform, one broker, one worker as a process, and the verdict over what readers find.

    async with Scenario(stage, platform(rate=200, token_life_s=5)) as it:
        await it.ready()
        await it.rotated(3)
        await it.finish()

The simulator runs on the test's event loop, so that a test can look into it and break it at any instant; whatever
blocks (the worker's process, Kafka's clients) runs on threads.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from confluent_kafka import Producer

from connector.simulator import Simulator, SimulatorSettings
from connector.simulator.ledger import SocketRecord
from connector.simulator.session import Session
from connector.simulator.stream import StreamLog
from connector.simulator.world import OpenSocket
from tests.support.bridge_process import BridgeProcess, Configuration, configuration
from tests.support.broker import fresh_name
from tests.support.ledger import Record, end_of, read, unfinished
from tests.support.stage import Stage
from tests.support.verdict import Expected, GapSeen, Mark, StreamVerdict, judge
from tests.support.watch import CheckpointFollower

PATIENCE_S = 120.0
_LOOK_S = 0.02
_QUICK_LOOK_S = 0.005
_SIDE_COMMITS = 25.0  # transactions a second of a worker that shares its broker with a dozen others
LONG_S = 3600.0
MAX_OVERLAP_S = 2.0
TOKEN_REFRESH = "token refresh"
STREAM = "wfm"


def platform(**settings: Any) -> SimulatorSettings:  # noqa: ANN401 - the simulator's own fields
    """A platform that knows the bridge of :func:`tests.support.bridge_process.configuration`."""
    return SimulatorSettings(client_id="bridge", client_secret="secret", **settings)


class Scenario:
    """One worker against one platform. Leaving it ends both, whatever happened; a failure brings the worker's log."""

    def __init__(  # noqa: PLR0913 - each is another thing; all by name
        self,
        stage: Stage,
        settings: SimulatorSettings,
        *streams: Mapping[str, Any],
        kafka: str | None = None,
        worker_kafka: str | None = None,
        started: bool = True,
        listening: bool = True,
        port: int = 0,
        front: str | None = None,
        env: Mapping[str, str] | None = None,
        refresh_buffer_s: float = 300,
        configured: Mapping[str, Any] | None = None,
        **sections: Any,  # noqa: ANN401 - any section of the file
    ) -> None:
        """``streams``: as in the file, with ``topic`` and ``on_gap: continue`` filled in; none: one, :data:`STREAM`.

        ``worker_kafka``: the way by which the worker alone reaches Kafka, a proxy.
        ``configured``: the platform's settings, those of ``auth`` merged in.
        ``started``: the worker starts at once. ``listening``: the platform does, on ``port`` (0: any); the worker is
        told the URL of what stands in ``front`` of it. ``env``: more environment variables of the worker.
        """
        self.kafka = kafka or stage.kafka
        self.group = fresh_name("stream")
        self.topic = f"{self.group}.events"
        self.simulator = Simulator(settings)
        self.note = ""
        """What a failure must bring with it: a seed."""
        self.began_ms = 0
        self.stopped_at_s = math.inf
        self._stage = stage
        self._settings = settings
        given = streams or ({"name": STREAM},)
        self._streams = [{"topic": self.topic, "on_gap": "continue", **stream} for stream in given]
        self._started, self._listening = started, listening
        self._port, self._front, self._env = port, front, env
        platform_options = dict(configured or {})
        self._auth = platform_options.pop("auth", {})
        self._options: dict[str, Any] = {
            "group": self.group,
            "kafka": worker_kafka or self.kafka,
            "streams": self._streams,
            "kind": settings.kind,
            "retention_s": settings.retention_s,
            "refresh_buffer_s": refresh_buffer_s,
            "lanes": 1,
            "platform": platform_options,
            "commit": {"max_per_second": _SIDE_COMMITS},
            "topics": {"partitions": 4},
            **sections,
        }
        self._told: list[dict[str, Any]] = []
        self._follower = CheckpointFollower(self.kafka, f"{self.group}.checkpoints")
        self.worker: BridgeProcess

    # Life -----------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self.began_ms = time.time_ns() // 1_000_000
        await self.simulator.start(port=self._port)
        if not self._listening:
            await self.simulator.stop()
        self.worker = BridgeProcess(self.directory, self.configured())
        self._follower.__enter__()
        if self._started:
            await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            stats = f"{self.note}; group {self.group}; {self.simulator.stats()}\n{await self.unready()}"
            error.add_note(f"{stats}\nthe worker's log ends:\n{self._log_tail()}")
        await self.kill9()
        await self.simulator.stop()
        await asyncio.to_thread(self._follower.__exit__, None, None, None)

    def configured(self) -> Configuration:
        """A worker's configuration, on an HTTP port of its own."""
        config: Configuration = configuration(platform_url=self._front or self.simulator.base_url, **self._options)
        config["platforms"]["sim"]["auth"] |= self._auth
        return config

    @property
    def directory(self) -> Path:
        """Where the worker's configuration and log are."""
        return self._stage.directory / self.group

    async def start(self) -> None:
        """Start the worker (again)."""
        await asyncio.to_thread(self.worker.start, self._env)

    async def kill9(self) -> None:
        """SIGKILL to the worker."""
        await asyncio.to_thread(self.worker.kill9)

    async def stop(self) -> None:
        """A soft stop: SIGTERM, and exit code 0 in time."""
        assert await asyncio.to_thread(self.worker.stop) == 0

    async def ready(self) -> None:
        """Return once the worker says that it does all its work."""
        await asyncio.to_thread(self.worker.ready, PATIENCE_S)

    async def alive(self) -> None:
        """Return once the worker answers at all."""
        deadline = time.monotonic() + PATIENCE_S
        while await self.status("/health/live") is None:
            if time.monotonic() > deadline:
                raise TimeoutError("the worker does not answer")
            await asyncio.sleep(_LOOK_S)

    async def status(self, path: str) -> int | None:
        """The HTTP status of a probe."""
        return await asyncio.to_thread(self.worker.status, path)

    # The platform's side --------------------------------------------------------------------------------------

    def log(self, stream: str = STREAM) -> StreamLog:
        """The platform's log behind a configured stream."""
        return self.simulator.world.stream(self._channel(stream))

    def head(self, stream: str = STREAM) -> Mark:
        """Epoch and position of the platform's newest item."""
        log = self.log(stream)
        slot = log.timeline.head(self.simulator.world.now())
        return (log.positions.mark_of(slot).epoch, log.positions.position_of(slot))

    def open_sockets(self, stream: str = STREAM) -> list[OpenSocket]:
        """The open sockets, the oldest first."""
        found = self.simulator.world.sockets_of(self._channel(stream))
        return sorted(found, key=lambda each: each.session.record.number)

    def sockets(self, stream: str = STREAM) -> list[SocketRecord]:
        """Every socket there was, in the order in which they opened."""
        self.simulator.stats()  # brings the records up to date
        return self.simulator.world.ledger.of(self._channel(stream))

    def count(self, what: str) -> int:
        """One of the simulator's counts: ``opens``, ``unauthorized``, ``expiry_closes`` and so on."""
        return self.simulator.world.ledger.counts[what]

    def refreshed(self, stream: str = STREAM) -> int:
        """How many sockets the worker has closed for a new token."""
        return sum(by_refresh(record) for record in self.simulator.world.ledger.of(self._channel(stream)))

    # Waiting --------------------------------------------------------------------------------------------------

    async def until(
        self, condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S, look_s: float = _LOOK_S
    ) -> None:
        """Return once the condition holds; it is looked at many times a second, since the world has no bell for it."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {timeout_s:g} s")
            await asyncio.sleep(look_s)

    async def rotated(self, times: int, stream: str = STREAM) -> None:
        """Return once so many more sockets were closed for a new token."""
        wanted = self.refreshed(stream) + times
        await self.until(lambda: self.refreshed(stream) >= wanted, f"{times} rotations of {stream}")

    async def overlap(self, stream: str = STREAM) -> tuple[OpenSocket, OpenSocket]:
        """Wait for a rotation in which two sockets are open; returns the old one and the new one."""
        await self.until(lambda: len(self.open_sockets(stream)) > 1, "two sockets", look_s=_QUICK_LOOK_S)
        old, new = self.open_sockets(stream)[:2]
        return old, new

    async def opened(self, times: int, stream: str = STREAM) -> None:
        """Return once sockets have been opened so often, and one is open."""
        await self.until(lambda: self.count("opens") >= times and self.open_sockets(stream), f"socket {times}")

    async def alone(self, stream: str = STREAM) -> None:
        """Wait until one socket is open."""
        await self.until(lambda: len(self.open_sockets(stream)) == 1, "one socket")

    async def flowing(self, events: int = 1, stream: str = STREAM, timeout_s: float = PATIENCE_S) -> None:
        """Return once so many events that are yet to come are committed."""
        epoch, position = self.head(stream)
        await self.committed((epoch, position + events), stream, timeout_s)

    async def committed(self, mark: Mark | None = None, stream: str = STREAM, timeout_s: float = PATIENCE_S) -> None:
        """Return once the stream is committed up to the mark (None: the platform's present)."""
        wanted = mark if mark is not None else self.head(stream)
        try:
            await self.until(
                lambda: self.position(stream) >= wanted, f"{stream} committed up to {wanted}", timeout_s, 0.05
            )
        except TimeoutError as error:
            error.add_note(f"it is committed up to {self.position(stream)}")
            raise

    async def in_transaction(self) -> bool:
        """Whether a transaction is open in one of the event topics."""
        return await asyncio.to_thread(unfinished, self.kafka, self._topics())

    def position(self, stream: str = STREAM) -> Mark:
        """How far the stream is committed, as a read_committed reader sees it."""
        checkpoint = self.checkpoint(stream)
        return (-1, -1) if checkpoint is None else (checkpoint["epoch"], int(checkpoint["position"] or 0))

    def checkpoint(self, stream: str = STREAM) -> dict[str, Any] | None:
        """The stream's latest committed checkpoint."""
        value = self._follower.latest.get(stream)
        return None if value is None else dict(orjson.loads(value))

    async def paused(self, stream: str = STREAM) -> None:
        """Return once the worker has stopped to read the stream's socket, by its own metric."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            metrics = await asyncio.to_thread(self.worker.metrics)
            if any("reading_paused" in name and f'"{stream}"' in name and value for name, value in metrics.items()):
                return
            if time.monotonic() > deadline:
                raise TimeoutError("the buffer is not full")
            await asyncio.sleep(_LOOK_S)

    # The worker's story ---------------------------------------------------------------------------------------

    def story(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """The worker's log lines of this event with these fields, over all its starts."""
        self._told += self.worker.new_log_lines()
        return [
            line
            for line in self._told
            if line.get("event") == event and all(line.get(name) == value for name, value in fields.items())
        ]

    def failures(self, path: str) -> list[dict[str, Any]]:
        """The log's failures of a path: ``network``, ``rotation`` or ``auth``."""
        return self.story("connection failed", path=path)

    def rss_bytes(self) -> int:
        """The worker's resident memory (Linux)."""
        for line in Path(f"/proc/{self.worker.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise LookupError("no VmRSS")

    async def unready(self) -> str:
        """What the worker itself says is wrong with it."""
        return await unready(self.worker)

    def _log_tail(self) -> str:
        return tail_of(self.worker)

    # The end --------------------------------------------------------------------------------------------------

    async def drained(self) -> None:
        """End the platform's streams, each with a plain event, and wait until everything is committed."""
        for stream in self._streams:
            self.log(stream["name"])
        self.simulator.push(2)
        self.simulator.quiet(LONG_S)
        for stream in self._streams:
            await self.committed(stream=stream["name"])

    async def finish(
        self,
        *,
        gaps: Iterable[GapSeen] | None = (),
        noise: Iterable[bytes] = (),
        begins: Mapping[str, int] | None = None,
    ) -> dict[str, StreamVerdict]:
        """Drain, stop softly (exit code 0), and hold every stream to the promise, with just these gaps and noise.

        ``gaps`` None: any gaps, as long as they declare nothing missing that exists.
        """
        await self.drained()
        self.stopped_at_s = self.simulator.world.now()
        await self.stop()
        verdicts = await self.judge(begins=begins)
        for verdict in verdicts.values():
            verdict.assert_exact(gaps=gaps, noise=noise)
        return verdicts

    async def judge(self, *, begins: Mapping[str, int] | None = None) -> dict[str, StreamVerdict]:
        """The verdict on every stream. ``begins``: the position a stream starts after, where not 0."""
        ended_ms = time.time_ns() // 1_000_000
        return await asyncio.to_thread(self._judge, begins or {}, ended_ms)

    async def records(self, *topics: str) -> tuple[Record, ...]:
        """Everything a read_committed reader finds in these topics."""
        return await asyncio.to_thread(read, self.kafka, topics)

    async def end_of(self, topic: str) -> int:
        """The high watermarks of a topic's partitions, added up."""
        return await asyncio.to_thread(end_of, self.kafka, topic)

    def write(self, topic: str, key: str, value: bytes) -> None:
        """Write one record, as a stranger; blocks."""
        producer = Producer({"bootstrap.servers": self.kafka})
        producer.produce(topic, value, key)
        producer.flush(PATIENCE_S)

    def _judge(self, begins: Mapping[str, int], ended_ms: int) -> dict[str, StreamVerdict]:
        own = [f"{self.group}.{name}" for name in ("checkpoints", "gaps", "dead-letter")]
        records = read(self.kafka, [*self._topics(), *own])
        found: dict[str, StreamVerdict] = {}
        for stream in self._streams:
            name = stream["name"]
            expected = Expected(
                stream=name,
                source=f"/ccaas/{self.group}/sim/{name}",
                items=list(self.simulator.items(self._channel(name))),
                topic_of=_router(stream),
                began_ms=self.began_ms,
                ended_ms=ended_ms,
                begin=begins.get(name, 0),
                type_prefix=stream.get("type_prefix", ""),
            )
            found[name] = judge(expected, records, self.group)
        return found

    def _topics(self) -> set[str]:
        return {topic for stream in self._streams for topic in _topics(stream)}

    def _channel(self, stream: str) -> str:
        found = next(each for each in self._streams if each["name"] == stream)
        return str(found.get("channel", stream))


async def unready(worker: BridgeProcess) -> str:
    """What the worker itself says is wrong with it."""
    timeout = aiohttp.ClientTimeout(total=2)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{worker.url}/health/ready") as answer,
        ):
            return await answer.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"no word from the worker: {error!r}"


def tail_of(worker: BridgeProcess) -> str:
    """The end of a worker's log, without what is dull."""
    dull = ("stream state", "connector.kafka.librdkafka")
    lines = [line for line in worker.log_text().splitlines() if not any(word in line for word in dull)]
    return "\n".join(line[:400] for line in lines[-40:])


# Sockets ------------------------------------------------------------------------------------------------------


def by_refresh(record: SocketRecord) -> bool:
    """Whether the worker closed the socket as a rotation does."""
    end = record.closed
    return end is not None and (end.by, end.code, end.reason) == ("client", 1000, TOKEN_REFRESH)


def overlaps_s(records: Iterable[SocketRecord]) -> Iterator[float]:
    """How long each time two sockets of a stream were open at once."""
    changes = [(record.opened_at_s, 1) for record in records]
    changes += [(record.closed.at_s, -1) for record in records if record.closed is not None]
    now, since = 0, 0.0
    for at, change in sorted(changes):
        if now > 1 and now + change == 1:
            yield at - since
        if now == 1 and change > 0:
            since = at
        now += change


def missed(it: Scenario, reason: str, stream: str = STREAM) -> list[GapSeen]:
    """The gaps there must be: positions that never came to be, and items that no socket was ever sent."""
    sent: dict[int, set[int]] = {}
    for record in it.sockets(stream):
        for run in record.sent:
            sent.setdefault(run.epoch, set()).update(range(run.first, run.last + 1))
    found: list[GapSeen] = []
    last: Mark = (0, 0)
    for item in it.simulator.items(stream):
        if item.position not in sent.get(item.epoch, ()):
            continue
        if item.epoch > last[0]:
            first, end = (1, item.position - 1) if item.position > 1 else (None, None)
            found.append(GapSeen(item.epoch, first, end, reason))
        elif item.position > last[1] + 1:
            found.append(GapSeen(item.epoch, last[1] + 1, item.position - 1, reason))
        last = (item.epoch, item.position)
    return found


def assert_calm(it: Scenario, stream: str = STREAM, *, most_s: float = MAX_OVERLAP_S) -> None:
    """Every token was replaced in time: no 401, no expiry, no refusal; sockets overlapped, never for long."""
    troubles = {what: it.count(what) for what in ("unauthorized", "expiry_closes", "refused", "expired_positions")}
    assert not any(troubles.values()), troubles
    records = it.sockets(stream)
    ends = [record for record in records if record.closed is not None and record.closed.at_s < it.stopped_at_s]
    assert all(map(by_refresh, ends)), [record.closed for record in ends if not by_refresh(record)]
    assert ends == records[: len(ends)], "a newer socket was closed before an older one"
    lasted = list(overlaps_s(records))
    assert len(lasted) == len(records) - 1, "a rotation left a moment without a socket"
    assert max(lasted, default=0.0) <= most_s
    assert it.simulator.world.ledger.overlaps[stream].most <= 2


def lag(session: Session, lag_s: float) -> None:
    """Have a socket show everything later than others do, for ever."""
    real = session.log
    session.log = _LateLog(real, lag_s)


class _LateLog(StreamLog):
    """A stream's log as a socket far behind sees it."""

    def __init__(self, log: StreamLog, lag_s: float) -> None:
        self.__dict__.update(log.__dict__)
        self._real = log
        self.timeline = _LateTimeline(log, lag_s)  # type: ignore[assignment]  # what a session asks of it

    def burst(self, after_slot: int, through_slot: int) -> tuple[int, bytes]:
        """See :meth:`StreamLog.burst`: the bytes are the same, only later."""
        return self._real.burst(after_slot, through_slot)


class _LateTimeline:
    def __init__(self, log: StreamLog, lag_s: float) -> None:
        self._timeline, self._lag_s = log.timeline, lag_s

    def head(self, now_s: float) -> int:
        """As :meth:`connector.simulator.timeline.Timeline.head`."""
        return self._timeline.head(now_s - self._lag_s)

    def time_of(self, slot: int) -> float:
        """As :meth:`connector.simulator.timeline.Timeline.time_of`."""
        return self._timeline.time_of(slot) + self._lag_s


def _topics(stream: Mapping[str, Any]) -> list[str]:
    return [stream["topic"], *(route["topic"] for route in stream.get("routes", ()))]


def _router(stream: Mapping[str, Any]) -> Callable[[str], str]:
    """The topic of an event type, for patterns that end in one star."""
    routes = [(route["match"]["event_type"], route["topic"]) for route in stream.get("routes", ())]

    def topic_of(event_type: str) -> str:
        for pattern, topic in routes:
            if event_type == pattern or (pattern.endswith("*") and event_type.startswith(pattern[:-1])):
                return str(topic)
        return str(stream["topic"])

    return topic_of
