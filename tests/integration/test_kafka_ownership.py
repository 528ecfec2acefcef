"""Who owns a lane, on real Kafka: groups, zombies, freezes, hand-overs (KAFKA.md 10-16).

The last tests run the bridge as users do, and the simulator's ledger says what became of its sockets.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from confluent_kafka import Consumer, Message
from confluent_kafka.admin import NewPartitions

from connector.kafka import ownership
from connector.kafka.client import KafkaClient
from connector.kafka.ownership import GroupMember, Membership
from connector.lane_streams import StreamMakers
from connector.model import Batch
from connector.simulator import Simulator
from connector.supervisor import Supervisor
from tests.support.bridge_process import BridgeProcess, Configuration, configuration
from tests.support.lane import PATIENCE_S, LaneRig, Member, News, Site
from tests.support.ledger import compare, read
from tests.support.scenario import Scenario, platform
from tests.support.stage import Stage

if TYPE_CHECKING:
    from tests.support.endtxn_proxy import EndTxnProxy
    from tests.support.maven_broker import MavenBroker

_SHORT_SESSION = {"session_timeout_seconds": 2, "heartbeat_seconds": 0.3}
_LONG_SESSION_S = 15.0


# ---------------------------------------------------------------- 12: the broker has the last word


def test_departed_member_commits_nothing(site: Site) -> None:
    """A worker that still believes itself the owner writes, and the broker refuses the transaction."""
    site.make_topics()
    with Member(site.client) as former:
        former.roster.wait_for(2)
        belief = former.group.membership
    with Member(site.client) as present:
        present.roster.wait_for(2)
        with LaneRig(site, membership=lambda: belief) as zombie:
            zombie.submit(range(1, 6))
            zombie.told.wait("an answer", lambda: bool(zombie.told.refused or zombie.told.commits))
            assert zombie.told.refused == [0]
            zombie.wait_state("held")
    assert zombie.told.commits == {}
    assert read(site.bootstrap, [site.topic]) == ()  # what it had open at its end lasts until the time-out
    assert site.checkpoint() is None


def test_generation_that_has_passed_is_met_with_the_present_one(site: Site) -> None:
    """The group rebalanced, the lane stayed: the same transaction once more, with fresh metadata."""
    site.make_topics()
    with Member(site.client) as owner:
        owner.roster.wait_for(2)
        stale = owner.group.membership
        with Member(site.client) as other:
            owner.roster.wait_for(1)
            other.roster.wait_for(1)
            (lane,) = owner.roster.owned
            answers = itertools.chain([stale, stale], iter(lambda: owner.group.membership, None))
            with LaneRig(site, lane=lane, membership=lambda: next(answers) or Membership()) as rig:
                rig.submit(range(1, 6))
                rig.committed(5)
    assert rig.told.refused == []
    assert site.judge(range(1, 6)).held


# ---------------------------------------------------------------- 14: the revoke's deadline


class _HangingLane:
    """Implements :class:`connector.ports.Lane`; never ends by itself."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ended = threading.Event()
        self.state = "serving"

    def submit(self, batch: Batch) -> None: ...

    def start(self) -> None: ...

    def renounce(self, stream: str) -> None: ...

    def hold(self) -> None: ...

    def resume(self) -> None: ...

    def finish(self, deadline: float) -> None: ...


async def test_lane_that_hangs_does_not_hold_the_group(site: Site) -> None:
    """Its lanes move on at the deadline, whatever its thread does; its next owner's init fences it."""
    await asyncio.to_thread(site.make_topics)
    lanes: list[_HangingLane] = []

    def make_lane(number: int) -> _HangingLane:
        lanes.append(_HangingLane(number))
        return lanes[-1]

    def never(*arguments: object) -> Any:  # noqa: ANN401  # no lane opens
        raise AssertionError(arguments)

    makers = StreamMakers(never, never, never, never, print)
    supervisor = Supervisor({0: ["a"], 1: ["b"]}, make_lane, makers, lambda _stream: None, pytest.fail)
    hanging = GroupMember(site.client, supervisor)
    hanging.start()
    try:
        await asyncio.to_thread(News().wait, "both lanes", lambda: len(lanes) == 2)
        with Member(site.client) as other:
            await asyncio.to_thread(other.roster.wait_for, 1)
    finally:
        for lane in lanes:
            lane.ended.set()
        await asyncio.to_thread(hanging.stop, PATIENCE_S)


def test_lane_that_moves_while_it_opens_ends_at_once(site: Site, proxy: EndTxnProxy) -> None:
    """With nothing in hand it neither waits for its deadline nor fences whoever has it next."""
    site.make_topics()
    proxy.pause()
    with LaneRig(site, bootstrap=proxy.bootstrap) as rig:
        rig.wait_state("opening")
        rig.writer.finish(time.monotonic() + PATIENCE_S)
        assert rig.writer.ended.wait(PATIENCE_S / 2)
        assert rig.told.opened == {}


# ---------------------------------------------------------------- 15: the consumer


class _WatchedConsumer(Consumer):
    """Writes down which thread calls what, and which records come."""

    calls: list[tuple[str, str]]
    records: list[Message]

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401  # whatever the method is
        if not name.startswith("_"):
            _WatchedConsumer.calls.append((threading.current_thread().name, name))
        return super().__getattribute__(name)

    def poll(self, timeout: float = -1) -> Message | None:
        message = super().poll(timeout)
        if message is not None and message.error() is None:
            _WatchedConsumer.records.append(message)
        return message


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> type[_WatchedConsumer]:
    """The consumer of a membership, watched."""
    _WatchedConsumer.calls, _WatchedConsumer.records = [], []
    monkeypatch.setattr(ownership, "Consumer", _WatchedConsumer)
    return _WatchedConsumer


def test_own_checkpoints_do_not_come_back_and_one_thread_has_the_consumer(
    site: Site, watched: type[_WatchedConsumer]
) -> None:
    """The lanes' partitions are paused; lanes and whoever stops the worker see what the thread publishes."""
    site.make_topics()
    with Member(site.client) as member:
        member.roster.wait_for(2)
        with LaneRig(site, membership=lambda: member.group.membership) as rig:
            for last in range(5, 55, 5):
                rig.submit(range(last - 4, last + 1))
                rig.committed(last)
        polls = len(watched.calls)
        News().wait("more polls", lambda: len(watched.calls) > polls + 20)
    assert watched.records == []
    assert {thread for thread, _ in watched.calls} == {"ownership"}
    assert {"poll", "pause", "close", "consumer_group_metadata"} <= {name for _, name in watched.calls}


# ---------------------------------------------------------------- 16: leaving and coming back


def test_graceful_leave_moves_the_lanes_at_once(lane_broker: MavenBroker) -> None:
    """The group does not wait for the session of a member that says goodbye."""
    site = Site(lane_broker.bootstrap, session_timeout_s=_LONG_SESSION_S)
    site.make_topics()
    with Member(site.client) as leaving, Member(site.client) as staying:
        leaving.roster.wait_for(1)
        staying.roster.wait_for(1)
        leaving.leave()
        staying.roster.wait_for(2, _LONG_SESSION_S - 3)


def test_member_is_not_static_and_its_session_is_short() -> None:
    """A lone worker that is killed would else wait for its own ghost."""
    properties = KafkaClient("127.0.0.1:1", "group").member()
    assert "group.instance.id" not in properties
    assert properties["partition.assignment.strategy"] == "cooperative-sticky"
    assert (properties["session.timeout.ms"], properties["heartbeat.interval.ms"]) == (6000, 300)
    assert properties["max.poll.interval.ms"] == 15_000


# ---------------------------------------------------------------- the bridge itself: 10, 11, 13, 16


class _Fleet:
    """Several workers of one group against one platform."""

    def __init__(self, site: Site, simulator: Simulator, directory: Path) -> None:
        self.site = site
        self.simulator = simulator
        self._directory = directory
        self._workers: list[BridgeProcess] = []

    def worker(self, config: Configuration) -> BridgeProcess:
        """One more, started."""
        worker = BridgeProcess(self._directory, config, name=f"worker{len(self._workers)}")
        self._workers.append(worker)
        worker.start()
        return worker

    def config(self, *streams: dict[str, Any], bootstrap: str | None = None, **sections: Any) -> Configuration:  # noqa: ANN401
        """A worker's configuration; ``sections`` as in the file."""
        config = configuration(
            group=self.site.group,
            kafka=bootstrap or self.site.bootstrap,
            platform_url=self.simulator.base_url,
            streams=[{"topic": self.site.topic, **stream} for stream in streams or ({"name": "wfm"},)],
            lanes=self.site.lanes,
            membership=_SHORT_SESSION,
        )
        return {**config, **sections}

    async def until(self, what: str, condition: Any, timeout_s: float = 60.0) -> None:  # noqa: ANN401
        """Wait on a thread; the simulator lives on the loop."""
        await asyncio.to_thread(News().wait, what, condition, timeout_s)

    async def position(self, stream: str, position: int | None) -> None:
        """Return once the stream's checkpoint stands there."""

        def reached() -> bool:
            found = self.site.checkpoint(stream)
            return found is not None and found.position == position

        await self.until(f"{stream} at {position}", reached)

    def end(self) -> None:
        """Kill them all."""
        for worker in self._workers:
            worker.kill9()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """For configurations and logs."""
    return tmp_path


async def test_checkpoint_topic_that_grows_under_a_running_worker_ends_it(site: Site, directory: Path) -> None:
    """It is handed lanes that do not exist, and stops with exit code 2 and a reason, instead of serving them."""
    async with Simulator(platform(rate=0)) as simulator:
        fleet = _Fleet(site, simulator, directory)
        kafka = {"bootstrap_servers": site.bootstrap, "client": {"topic.metadata.refresh.interval.ms": 500}}
        worker = fleet.worker(fleet.config(kafka=kafka))
        try:
            await asyncio.to_thread(worker.ready)
            topic = site.client.checkpoints_topic
            site.admin.create_partitions([NewPartitions(topic, 4)])[topic].result(PATIENCE_S)
            assert await asyncio.to_thread(worker.wait) == 2
            assert "lanes [2, 3] do not exist" in worker.log_text()
            worker.start()  # it does not come back by itself either
            assert await asyncio.to_thread(worker.wait) == 2
        finally:
            await asyncio.to_thread(fleet.end)


async def test_crash_before_the_first_event_leaves_no_silent_gap(site: Site, directory: Path) -> None:
    """Where a stream begins is committed before anything is read; what comes while the worker is dead is not lost."""
    async with Simulator(platform(rate=0, backlog=20)) as simulator:
        fleet = _Fleet(site, simulator, directory)
        starts: dict[str, Any] = {"latest": "latest", "earliest": "earliest", "seventh": 7, "blind": "latest"}
        config = fleet.config(*({"name": name, "start": start} for name, start in starts.items()))
        config["platforms"]["bare"] = {**config["platforms"]["sim"], "snapshot_url": None}
        config["streams"][-1]["platform"] = "bare"
        for name in starts:
            simulator.world.stream(name)
        simulator.mute(3600)  # sockets open, and none delivers
        worker = fleet.worker(config)
        try:
            for name, first in {"latest": 20, "earliest": 0, "seventh": 7, "blind": None}.items():
                await fleet.position(name, first)
            await asyncio.to_thread(worker.kill9)
            simulator.clear()
            simulator.push(5)
            await asyncio.to_thread(worker.start)
            for name in ("latest", "earliest", "seventh"):
                await fleet.position(name, 25)
            await fleet.until("a gap", lambda: site.events(topic=site.client.gaps_topic) != ())
        finally:
            await asyncio.to_thread(fleet.end)
    events = await asyncio.to_thread(site.events)
    for name, first in {"latest": 21, "earliest": 1, "seventh": 8}.items():
        assert sorted(r.position or 0 for r in events if r.stream == name) == list(range(first, 26))
    (gap,) = await asyncio.to_thread(lambda: site.events(topic=site.client.gaps_topic))
    assert (gap.key, orjson.loads(gap.value)["reason"]) == (b"blind", "no_resume")


async def test_lost_sight_of_the_group_keeps_sockets_and_buffers(lane_broker: MavenBroker, directory: Path) -> None:
    """Kafka stands still for longer than the session: the platform notices nothing, and every event comes once."""
    stage = Stage(lane_broker.bootstrap, directory)
    async with Scenario(stage, platform(rate=200, token_life_s=600), membership=_SHORT_SESSION, lanes=2) as it:
        await it.ready()
        await it.flowing(100)
        lane_broker.freeze()
        try:
            await it.until(lambda: "lanes lost from sight" in it.worker.log_text(), "LOST")
            await asyncio.sleep(3.0)  # longer; what would be closed now has had its time
        finally:
            lane_broker.thaw()
        await it.flowing(400)
        assert len(it.sockets()) == 1
        assert len(it.open_sockets()) == 1
        await it.finish()


async def test_lane_that_is_another_workers_after_the_rejoin_is_closed(
    lane_broker: MavenBroker, proxy: EndTxnProxy, directory: Path
) -> None:
    """A worker cut off from Kafka keeps its socket until it hears who owns the lane; then it closes it."""
    site = Site(lane_broker.bootstrap, lanes=1)
    async with Simulator(platform(rate=100)) as simulator:
        fleet = _Fleet(site, simulator, directory)
        cut_off = fleet.worker(fleet.config(bootstrap=proxy.bootstrap))
        try:
            await asyncio.to_thread(cut_off.ready)
            await fleet.until("events", lambda: site.checkpoint("wfm") is not None)
            proxy.pause()
            present = fleet.worker(fleet.config())
            await asyncio.to_thread(present.ready)
            await fleet.until("LOST", lambda: "lanes lost from sight" in cut_off.log_text())
            sockets = simulator.world.ledger.of("wfm")
            assert [record.closed for record in sockets] == [None, None]
            proxy.resume()
            await fleet.until("the close", lambda: sockets[0].closed is not None)
            simulator.quiet(3600)
            head = simulator.stats()["streams"]["wfm"]["head"]
            await fleet.position("wfm", head)
            assert sockets[0].closed is not None
            assert (sockets[0].closed.by, sockets[0].closed.code) == ("client", 1000)
            assert simulator.world.ledger.overlaps["wfm"].now == 1
        finally:
            await asyncio.to_thread(fleet.end)
        records = await asyncio.to_thread(read, site.bootstrap, [site.topic])
        assert compare(simulator.truth("wfm"), records).held


async def test_lone_worker_killed_is_back_within_its_session(lane_broker: MavenBroker, directory: Path) -> None:
    """Restarted after kill -9, it waits for its own ghost no longer than the default session of 6 s."""
    stage = Stage(lane_broker.bootstrap, directory)
    async with Scenario(stage, platform(rate=100, token_life_s=600), lanes=2) as it:
        await it.ready()
        await it.flowing(50)
        await asyncio.to_thread(it.worker.kill9)
        await it.start()
        epoch, position = it.head()
        await it.until(lambda: it.position() > (epoch, position), "events after the restart", 25.0)
        await it.finish()
