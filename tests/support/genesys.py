"""Workers against the simulated Genesys Cloud, and the verdict: nothing twice, in order, what is missing in a gap."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import orjson

from connector.simulator.genesys import GenesysCloud, GenesysSettings
from tests.support.bridge_process import BridgeProcess
from tests.support.broker import fresh_name
from tests.support.ledger import Record, read
from tests.support.maven_broker import free_ports
from tests.support.stage import Stage

PATIENCE_S = 60.0
STREAM = "wfm"
SUBSCRIBED = (
    "v2.routing.queues.{id}.conversations",
    "v2.analytics.queues.{id}.observations",
    "v2.users.{id}.presence",
    "v2.users.{id}.routingStatus",
)


@dataclass(frozen=True, slots=True)
class GapSeen:
    """A gap record's interval, milliseconds of the platform's clock."""

    since_ms: float
    until_ms: float
    snapshot: str

    def holds(self, time_ms: int) -> bool:
        """Whether what happened then is accounted for."""
        return self.since_ms <= time_ms <= self.until_ms


@dataclass(frozen=True, slots=True)
class Judged:
    """Notifications by number. ``lost``: neither in the topic nor within a gap's interval."""

    written: int
    missing: tuple[int, ...]
    lost: tuple[int, ...]
    duplicated: tuple[int, ...]
    out_of_order: tuple[int, ...]
    gaps: tuple[GapSeen, ...]
    snapshots: Counter[str]

    def held(self) -> None:
        """Fail unless nothing is lost, twice or out of order."""
        bad = {name: getattr(self, name) for name in ("lost", "duplicated", "out_of_order")}
        assert not any(bad.values()), {name: (len(found), found[:10]) for name, found in bad.items()}

    def whole(self) -> None:
        """Fail unless everything is there, without any gap."""
        self.held()
        assert (self.missing, self.gaps) == ((), ())


class GenesysStage:
    """One organisation, some workers of one group, one stream."""

    def __init__(
        self,
        stage: Stage,
        settings: GenesysSettings,
        *,
        workers: int = 1,
        subscribe: Sequence[str] = SUBSCRIBED,
        stream: dict[str, Any] | None = None,
        platform: dict[str, Any] | None = None,
    ) -> None:
        self.cloud = GenesysCloud(settings)
        self.group = fresh_name("genesys")
        self.topic = f"{self.group}.events"
        self._stage = stage
        self._count = workers
        self._stream = {"subscribe": list(subscribe), **(stream or {})}
        self._platform = platform or {}
        self.workers: list[BridgeProcess] = []

    async def __aenter__(self) -> Self:
        await self.cloud.start()
        for number in range(self._count):
            directory = self._stage.directory / self.group
            self.workers.append(BridgeProcess(directory, self._configuration(), name=f"worker{number}"))
        for worker in self.workers:
            await asyncio.to_thread(worker.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            logs = [line for worker in self.workers for line in worker.new_log_lines()[-60:]]
            told = "\n".join(orjson.dumps(line).decode() for line in logs)
            error.add_note(f"{self.cloud.stats()}\nthe workers' logs end:\n{told}")
        for worker in self.workers:
            await asyncio.to_thread(worker.kill9)
        await self.cloud.stop()

    def _configuration(self) -> dict[str, Any]:
        (port,) = free_ports(1)
        platform = {
            "kind": "genesys-notifications",
            "api_url": self.cloud.base_url,
            "login_url": self.cloud.base_url,
            "auth": {"client_id": "simulator", "client_secret": "simulator-secret"},
            **self._platform,
        }
        return {
            "group": self.group,
            "kafka": {"bootstrap_servers": self._stage.kafka},
            "lanes": 1,
            "platforms": {"genesys": platform},
            "streams": [{"name": STREAM, "platform": "genesys", "topic": self.topic, **self._stream}],
            "topics": {"partitions": 4},
            "http": {"listen": f"127.0.0.1:{port}"},
        }

    async def ready(self) -> None:
        """Return once every worker does all its work, and events arrive."""
        for worker in self.workers:
            await asyncio.to_thread(worker.ready, PATIENCE_S)
        await self.until(self.head, "an event")

    async def until(self, condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
        """Return once the condition holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {timeout_s:g} s")
            await asyncio.sleep(0.05)

    async def records(self, *topics: str) -> tuple[Record, ...]:
        """What a read_committed reader finds in these topics."""
        return await asyncio.to_thread(read, self._stage.kafka, topics)

    async def gaps(self) -> tuple[GapSeen, ...]:
        """Every gap record of the stream."""
        return tuple(_gap(record.value) for record in await self.records(f"{self.group}.gaps"))

    async def judged(self, since: int) -> Judged:
        """Let what is under way arrive, then compare what happened from notification ``since`` on with the topic."""
        self.cloud.quiet(3600)
        wanted = [each.partition("{id}") for each in self._stream["subscribe"]]
        told = [
            each
            for each in self.cloud.world.life.told
            if any(each.topic.startswith(before) and each.topic.endswith(after) for before, _, after in wanted)
        ]
        last_sent = max((n for record in self.cloud.world.records for n in record.sent), default=0)
        numbers = {each.sha256: each.number for each in told}
        deadline = time.monotonic() + PATIENCE_S
        while last_sent not in _seen(await self.records(self.topic), numbers):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.3)
        found = await self.records(self.topic)  # anew: a partition may have been read before the last one's commit
        seen = _seen(found, numbers)
        gaps, counts = await self.gaps(), Counter(seen)
        missing = [each for each in told if since <= each.number <= last_sent and each.number not in counts]
        return Judged(
            written=len(seen),
            missing=tuple(each.number for each in missing),
            lost=tuple(each.number for each in missing if not any(gap.holds(each.time_ms) for gap in gaps)),
            duplicated=tuple(number for number, count in counts.items() if count > 1),
            out_of_order=tuple(_out_of_order(found, numbers)),
            gaps=gaps,
            snapshots=Counter(record.headers["ce_type"].decode() for record in found if not _is_event(record)),
        )

    def head(self) -> int:
        """The number of the last notification that a socket was sent."""
        return max((n for record in self.cloud.world.records for n in record.sent), default=0)


def _is_event(record: Record) -> bool:
    return "ce_snapshotid" not in record.headers


def _seen(records: Sequence[Record], numbers: dict[str, int]) -> list[int]:
    return [numbers[_sha256(record)] for record in records if _is_event(record)]


def _sha256(record: Record) -> str:
    document = orjson.loads(record.value)
    told = orjson.dumps([document["topicName"], document["eventBody"]], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(told).hexdigest()


def _out_of_order(records: Sequence[Record], numbers: dict[str, int]) -> list[int]:
    last: dict[bytes | None, int] = {}
    found = []
    for record in records:
        if not _is_event(record):
            continue
        number = numbers[_sha256(record)]
        if number < last.get(record.key, 0):
            found.append(number)
        last[record.key] = max(number, last.get(record.key, 0))
    return found


def _gap(value: bytes) -> GapSeen:
    fields = orjson.loads(value)
    since, until = (fields[name] for name in ("from_time", "to_time"))
    return GapSeen(
        0.0 if since is None else datetime.fromisoformat(since).timestamp() * 1000,
        float("inf") if until is None else datetime.fromisoformat(until).timestamp() * 1000,
        fields["snapshot"],
    )
