"""A lane's transactions on real Kafka: late, unanswered, fenced, timed out, crowded (KAFKA.md 1, 2, 5, 6, 7).

What a read_committed reader finds is the judge: every position once, in order.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connector.core.boundary import CommitPolicy
from connector.core.checkpoint import encode
from connector.kafka import client, transactor
from connector.kafka.client import KafkaClient
from connector.kafka.reports import DeliveryReports
from connector.model import Batch, Checkpoint, Headers, TopicLimits
from tests.support.broker import create_topic
from tests.support.lane import PATIENCE_S, LaneRig, Site, entry
from tests.support.orphan import forget

if TYPE_CHECKING:
    from tests.support.endtxn_proxy import EndTxnProxy
    from tests.support.maven_broker import MavenBroker

_STALE_EPOCH = {KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}
_OPEN_UNTIL_URGENT = CommitPolicy(linger_s=60)


def _cut_when_held(proxy: EndTxnProxy) -> threading.Thread:
    """Once an EndTxn is in the proxy's hands, lose the connection it came by: librdkafka sends it again."""

    def cut() -> None:
        proxy.wait_held()
        proxy.cut()

    thread = threading.Thread(target=cut)
    thread.start()
    return thread


def _wait_written(rig: LaneRig, records: int) -> None:
    """Return once so many records are in the topic, committed or not."""
    rig.told.wait(f"{records} records", lambda: len(rig.site.events(committed=False)) >= records)


# ---------------------------------------------------------------- 1: an EndTxn that comes late


def test_late_commit_does_not_commit_half_of_the_next_transaction(site: Site, proxy: EndTxnProxy) -> None:
    """After a slow commit the epoch is new: the straggler is refused, and a crash then leaves nothing behind."""
    with site.rig(bootstrap=proxy.bootstrap, commit=_OPEN_UNTIL_URGENT) as rig:
        rig.opened()
        proxy.hold_end_txn(committed=True, transactional_id=site.group)
        cutter = _cut_when_held(proxy)
        rig.submit(range(1, 6))
        rig.committed(5)
        cutter.join()
        rig.submit(range(6, 11), urgent=False)
        _wait_written(rig, 10)
        (straggler,) = proxy.release()
        proxy.pause()  # as good as a crash: nothing of the lane reaches the broker any more
        with site.rig() as successor:
            assert successor.opened()["s"].position == 5
            successor.submit(range(6, 11))
            successor.committed(10)
        proxy.resume()
    assert site.judge(range(1, 11)).held
    assert straggler.error_code in _STALE_EPOCH


def test_no_abort_is_ever_on_its_way(site: Site, proxy: EndTxnProxy) -> None:
    """Transactions that fail are ended by the next producer's init: no abort of ours can come late."""
    ahead_ms = 4_000_000_000_000
    with site.rig(bootstrap=proxy.bootstrap) as rig:
        rig.opened()
        proxy.hold_end_txn(committed=False, transactional_id=site.group, times=None)
        refused = entry(site.topic, 3, timestamp_ms=ahead_ms)
        rig.hand([entry(site.topic, 1), entry(site.topic, 2), refused, entry(site.topic, 4)])
        rig.committed(4)
    assert proxy.release() == []
    assert site.judge([1, 2, 4]).held
    assert list(site.dead_letters()) == [3]


# ---------------------------------------------------------------- 2: nobody knows whether it committed


@pytest.mark.parametrize("arrives", ["while in doubt", "after the next init"])
def test_commit_without_an_answer_is_settled_by_the_checkpoint(
    site: Site, proxy: EndTxnProxy, monkeypatch: pytest.MonkeyPatch, arrives: str
) -> None:
    """The lane gives the producer up, asks Kafka, and sends again what is not there, nothing else."""
    monkeypatch.setattr(transactor, "_COMMIT_PATIENCE_S", 1.0)
    with site.rig(bootstrap=proxy.bootstrap) as rig:
        rig.submit(range(1, 6))
        rig.committed(5)
        proxy.hold_end_txn(committed=True, transactional_id=site.group)
        rig.submit(range(6, 11))
        proxy.wait_held()
        proxy.pause()
        rig.told.wait("doubt", lambda: rig.writer.state != "serving")
        if arrives == "while in doubt":
            (held,) = proxy.release()
            assert held.error_code == KafkaError.NO_ERROR
        proxy.resume()
        rig.submit(range(11, 16))
        rig.committed(15)
        if arrives != "while in doubt":
            (held,) = proxy.release()
            assert held.error_code in _STALE_EPOCH
    assert site.judge(range(1, 16)).held
    assert rig.told.rewinds == []


@pytest.mark.parametrize("fault", ["frozen", "killed"])
def test_broker_lost_in_the_middle_of_a_commit(
    site: Site, proxy: EndTxnProxy, lane_broker: MavenBroker, fault: str
) -> None:
    """Only the commit is repeated; the lane goes on by itself when the broker is back."""
    with site.rig(bootstrap=proxy.bootstrap) as rig:
        rig.submit(range(1, 6))
        rig.committed(5)
        proxy.hold_end_txn(committed=True, transactional_id=site.group)
        rig.submit(range(6, 11))
        proxy.wait_held()
        if fault == "frozen":
            lane_broker.freeze()
            releaser = threading.Thread(target=proxy.release)
            releaser.start()
            rig.submit(range(11, 16))
            threading.Event().wait(2.0)  # nothing tells when librdkafka has noticed
            lane_broker.thaw()
            releaser.join()
        else:
            lane_broker.kill()
            rig.submit(range(11, 16))
            lane_broker.start()
            proxy.release()
        rig.committed(15, timeout_s=60)
    assert site.judge(range(1, 16)).held


def test_producer_fenced_in_mid_transaction_starts_over_while_the_lane_is_ours(site: Site) -> None:
    """A fatal error is met with a new producer; what the fenced one had open is written once more, by the next."""
    with site.rig(commit=_OPEN_UNTIL_URGENT) as rig:
        rig.submit(range(1, 6))
        rig.committed(5)
        rig.submit(range(6, 11), urgent=False)
        _wait_written(rig, 10)
        with Producer({"bootstrap.servers": site.bootstrap, "transactional.id": f"{site.group}-lane-0"}) as other:
            other.init_transactions(PATIENCE_S)
        rig.submit(range(11, 16))
        rig.committed(15)
    assert site.judge(range(1, 16)).held


def test_transaction_timed_out_by_the_broker_starts_over(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker aborts a transaction that was open too long, and fences its producer."""
    monkeypatch.setattr(client, "TRANSACTION_TIMEOUT_S", 1.0)
    with site.rig(commit=_OPEN_UNTIL_URGENT) as rig:
        rig.submit(range(1, 6), urgent=False)
        rig.told.wait("the time-out", lambda: len(site.events(committed=False)) == 5 and site.events() == ())
        rig.submit(range(6, 11))
        rig.committed(10)
    assert site.judge(range(1, 11)).held


def _error(code: int, **traits: bool) -> KafkaException:
    return KafkaException(KafkaError(code, "by the test's order", **traits))


_ERRORS: dict[str, Exception] = {
    "SystemError": SystemError("returned a result with an exception set"),  # a fatal error met a callback
    "retriable": _error(KafkaError.COORDINATOR_NOT_AVAILABLE, retriable=True),
    "timed out": _error(KafkaError._TIMED_OUT, retriable=True),  # noqa: SLF001 - librdkafka's public constant
    "abortable": _error(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, txn_requires_abort=True),
    "fatal": _error(KafkaError._FATAL, fatal=True),  # noqa: SLF001 - librdkafka's public constant
    "fenced": _error(KafkaError._FENCED, fatal=True),  # noqa: SLF001 - librdkafka's public constant
    "timed out by the broker": _error(KafkaError.INVALID_PRODUCER_EPOCH, txn_requires_abort=True),
    "forbidden id": _error(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, fatal=True),
    "forbidden group": _error(KafkaError.GROUP_AUTHORIZATION_FAILED, txn_requires_abort=True),
    "disk": _error(KafkaError.KAFKA_STORAGE_ERROR, retriable=True),
    "unknown": _error(KafkaError.UNKNOWN),
}


class _FaultyProducer(Producer):
    """Fails once, in the method of this name."""

    faulty = ""
    error: Exception = _ERRORS["SystemError"]

    def _fail(self, method: str) -> None:
        if type(self).faulty == method:
            type(self).faulty = ""
            raise type(self).error

    def init_transactions(self, timeout: float = -1) -> None:
        self._fail("init_transactions")
        super().init_transactions(timeout)

    def produce(self, topic: str, *arguments: Any, **named: Any) -> None:  # noqa: ANN401  # passed on as they are
        self._fail("checkpoint" if topic.endswith(".checkpoints") else "produce")
        super().produce(topic, *arguments, **named)

    def begin_transaction(self) -> None:
        self._fail("begin_transaction")
        super().begin_transaction()

    def poll(self, timeout: float = -1) -> int:
        self._fail("poll")
        return super().poll(timeout)

    def flush(self, timeout: float = -1) -> int:
        self._fail("flush")
        return super().flush(timeout)

    def send_offsets_to_transaction(self, *arguments: Any) -> None:  # noqa: ANN401  # passed on as they are
        self._fail("send_offsets_to_transaction")
        super().send_offsets_to_transaction(*arguments)

    def commit_transaction(self, timeout: float = -1) -> None:
        self._fail("commit_transaction")
        super().commit_transaction(timeout)
        self._fail("committed")


_CALLS = ["init_transactions", "begin_transaction", "produce", "poll", "flush", "checkpoint"]
_CALLS += ["send_offsets_to_transaction", "commit_transaction", "committed"]


@pytest.mark.parametrize("call", _CALLS)
def test_every_class_of_error_at_every_step(site: Site, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Whatever a call raises, even after a commit that succeeded: nothing is lost, nothing is written twice."""
    monkeypatch.setattr(transactor, "Producer", _FaultyProducer)
    last = 0
    with site.rig() as rig:
        for error in _ERRORS.values():
            _FaultyProducer.faulty, _FaultyProducer.error = call, error
            if call in ("init_transactions", "send_offsets_to_transaction"):  # which only a new producer calls
                rig.writer.hold()
                rig.wait_state("held")
                rig.writer.resume()
            for _ in range(2):
                rig.submit(range(last + 1, last + 6))
                last += 5
                rig.committed(last)
            assert not _FaultyProducer.faulty
    assert site.judge(range(1, last + 1)).held
    assert site.dead_letters() == {}


# ---------------------------------------------------------------- 5: a predecessor that died


def test_successor_ends_the_open_transaction_of_a_dead_predecessor(site: Site) -> None:
    """Readers wait for the successor's init, not for the transaction's time-out of half a minute."""
    rig = site.rig(commit=_OPEN_UNTIL_URGENT)
    rig.submit(range(1, 6), urgent=False)
    _wait_written(rig, 5)
    rig.writer._transactor = None  # noqa: SLF001  # the crash: its producer is gone without a word
    rig.writer.hold()
    with site.rig() as successor:
        successor.opened()
        assert site.events() == ()  # waits at most PATIENCE_S for what is open, less than the time-out
        successor.submit(range(1, 6))
        successor.committed(5)
    rig.stop(0.0)
    assert site.judge(range(1, 6)).held


def _left_open(site: Site) -> Producer:
    """A predecessor's producer, in a transaction behind five committed events."""
    with site.rig(limits={site.topic: TopicLimits(4)}) as rig:
        rig.submit(range(1, 6))
        rig.committed(5)
    producer = Producer(site.client.producer(0, []))
    producer.init_transactions(PATIENCE_S)
    producer.begin_transaction()
    return producer


def _forgotten_with(site: Site, broker: MavenBroker, producer: Producer, checkpoint: Checkpoint) -> None:
    """The checkpoint is the last that came in the open transaction, whose end Kafka forgets."""
    producer.produce(site.client.checkpoints_topic, encode(checkpoint, "dead", 0), "s", partition=0)
    _forgotten(site, broker, producer)


def _forgotten(site: Site, broker: MavenBroker, producer: Producer) -> None:
    """Kafka forgets the end of the open transaction."""
    assert producer.flush(PATIENCE_S) == 0
    forget(site.bootstrap, site.client.transactional_id(0))
    broker.kill()
    producer.purge()
    broker.start()


def _goes_on_behind(site: Site, position: int) -> None:
    """The next owner ends it, and is behind this position; at last each event is there once."""
    with LaneRig(site, limits={site.topic: TopicLimits(4)}) as rig:
        rig.wait_state("blocked")
        assert rig.opened()["s"].position == position
        rig.submit(range(6, 10))
        rig.committed(9)
    assert site.judge(range(1, 10)).held


def test_transaction_that_kafka_forgot_to_end_is_aborted_by_the_next_owner(
    site: Site, lane_broker: MavenBroker
) -> None:
    """Readers and the lane would wait for it for ever; ended, what was in it is written again."""
    producer = _left_open(site)
    for position in range(6, 9):
        event = entry(site.topic, position)
        producer.produce(site.topic, event.value, event.key, headers=event.headers)
    _forgotten_with(site, lane_broker, producer, Checkpoint("s", position=8))
    _goes_on_behind(site, 5)


def test_transaction_that_kafka_ended_in_part_is_committed_by_the_next_owner(
    site: Site, lane_broker: MavenBroker
) -> None:
    """Its events are there for every reader; aborting its checkpoint would write them twice."""
    producer, written = _left_open(site), DeliveryReports()
    for position in range(6, 9):
        event = entry(site.topic, position)
        producer.produce(site.topic, event.value, event.key, headers=event.headers, on_delivery=written.of("s"))
    producer.commit_transaction(PATIENCE_S)  # the part that Kafka did end
    producer.begin_transaction()
    _forgotten_with(site, lane_broker, producer, Checkpoint("s", position=8, offsets=written.offsets["s"]))
    _goes_on_behind(site, 8)


def test_events_that_kafka_forgot_to_abort_are_not_committed_with_the_next_ones(
    site: Site, lane_broker: MavenBroker
) -> None:
    """Nothing blocks the lane's partition, which was not in the transaction; readers would see both."""
    producer = _left_open(site)
    for position in range(6, 9):
        event = entry(site.topic, position)
        headers: Headers = [("ce_id", f"0/{position}"), ("ce_source", f"/ccaas/{site.group}/sim/s")]
        producer.produce(site.topic, event.value, event.key, headers=headers)
    _forgotten(site, lane_broker, producer)
    with LaneRig(site, limits={site.topic: TopicLimits(4)}) as rig:
        assert rig.opened()["s"].position == 5
        rig.submit(range(6, 10))
        rig.committed(9)
    assert site.judge(range(1, 10)).held


def test_stream_that_starts_again_is_told_where_and_what_it_had_handed_over_is_forgotten(site: Site) -> None:
    """Between transactions, once everything of its former life is settled."""
    with site.rig() as rig:
        rig.opened()
        rig.submit(range(1, 6))
        at = rig.committed(5)
        rig.writer.renounce("s")
        rig.submit(range(6, 9))  # the former life's, which come too late
        rig.told.wait("the answer", lambda: "s" in rig.told.renounces)
        assert rig.told.renounces["s"] == (at, 1)
        again = [entry(site.topic, position, value=b"again") for position in (6, 7)]
        rig.writer.submit(Batch("s", 1, 0, again, 10, urgent=True))
        rig.committed(7)
    assert [(record.position, record.value == b"again") for record in site.events()][4:] == [
        (5, False),
        (6, True),
        (7, True),
    ]


def test_lanes_open_side_by_side(site: Site) -> None:
    """A lane that cannot open does not keep another from it."""
    site.topics.ensure([site.topic])
    blocker = _foreign_transaction(site, lane=0)
    with site.rig(lane=0) as stuck, site.rig(lane=1) as free:
        free.opened()
        stuck.wait_state("blocked")
        assert stuck.told.opened == {}
        blocker.abort_transaction(PATIENCE_S)
        stuck.opened()


def _foreign_transaction(site: Site, lane: int) -> Producer:
    """Somebody else's transaction, open in the lane's partition."""
    producer = Producer({"bootstrap.servers": site.bootstrap, "transactional.id": f"foreign-{site.group}"})
    producer.init_transactions(PATIENCE_S)
    producer.begin_transaction()
    producer.produce(site.client.checkpoints_topic, b"{}", b"foreign", partition=lane)
    assert producer.flush(PATIENCE_S) == 0
    return producer


# ---------------------------------------------------------------- 6: offsets and queues


def test_offsets_of_the_checkpoint_are_those_of_the_topic(site: Site) -> None:
    """For every partition the stream wrote to, the offset of its last record there, over several transactions."""
    with site.rig() as rig:
        for first in (1, 201, 401):
            batch = [entry(site.topic, p, key=f"conversation {p % 17}") for p in range(first, first + 200)]
            rig.hand(batch)
            rig.committed(first + 199)
    last: dict[int, int] = {}
    for record in site.events():
        last[record.partition] = max(record.offset, last.get(record.partition, -1))
    found = site.checkpoint()
    assert found is not None
    assert found.offsets == {site.topic: last}
    assert len(last) > 1


def test_failed_report_gives_no_offset(site: Site) -> None:
    """A report with an error carries an offset all the same, and it means nothing."""
    create_topic(site.bootstrap, site.topic, partitions=1, max_message_bytes="1000")
    reports = DeliveryReports()
    report = reports.of("s")
    with Producer({"bootstrap.servers": site.bootstrap, "linger.ms": 0}) as producer:
        for value in (b"fits", b"x" * 5000, b"fits"):
            producer.produce(site.topic, value, on_delivery=report)
            producer.flush(PATIENCE_S)
    assert [(failure.stream, failure.error) for failure in reports.failures] == [("s", "MSG_SIZE_TOO_LARGE")]
    assert reports.offsets["s"] == {site.topic: {0: 1}}


def test_late_report_does_not_take_an_offset_back(site: Site) -> None:
    """Reports of one partition may come in any order: the greatest offset stays."""
    create_topic(site.bootstrap, site.topic, partitions=1)
    kept: list[Message] = []
    with Producer({"bootstrap.servers": site.bootstrap}) as producer:
        for _ in range(3):
            producer.produce(site.topic, b"event", on_delivery=lambda _error, message: kept.append(message))
        producer.flush(PATIENCE_S)
    reports = DeliveryReports()
    report = reports.of("s")
    for message in reversed(kept):
        report(None, message)
    assert reports.offsets["s"] == {site.topic: {0: 2}}


def test_transaction_larger_than_the_producers_queue(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue is waited for; neither an event nor a checkpoint fails for it."""
    properties = KafkaClient.producer

    def small(self: KafkaClient, lane: int, limits: list[TopicLimits]) -> dict[str, Any]:
        return {**properties(self, lane, limits), "queue.buffering.max.messages": 20}

    monkeypatch.setattr(KafkaClient, "producer", small)
    streams = [f"s{n}" for n in range(60)]
    with site.rig(commit=_OPEN_UNTIL_URGENT) as rig:
        for stream in streams:
            rig.submit(range(1, 11), stream=stream, urgent=stream == streams[-1])
        for stream in streams:
            rig.committed(10, stream=stream)
    events = site.events()
    for stream in streams:
        assert [r.position for r in events if r.stream == stream] == list(range(1, 11))


# ---------------------------------------------------------------- 7: latency


def test_client_properties_for_latency_reach_librdkafka(caplog: pytest.LogCaptureFixture) -> None:
    """Nagle's algorithm is off and the linger is at most 2 ms, in what the client itself says it runs with."""
    caplog.set_level("DEBUG", "connector.kafka.librdkafka")
    properties = KafkaClient("127.0.0.1:1", "group", {"debug": "conf"}).producer(0, [])
    with Producer(properties) as producer:
        producer.poll(0.2)
    said = dict(
        line.split(" = ")
        for record in caplog.records
        if " = " in (line := record.getMessage().rpartition("]: ")[2].strip())
    )
    assert said["socket.nagle.disable"] == "true"
    assert float(said["queue.buffering.max.ms"]) <= 2  # linger.ms by its other name
