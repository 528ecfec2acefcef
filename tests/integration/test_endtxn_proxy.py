"""KAFKA.md rule 1, with producers alone: an EndTxn that arrives late may end a transaction that is not its own.

librdkafka speaks EndTxn version 1, which carries the producer's epoch but nothing that names the transaction. While
the epoch stays, the coordinator cannot tell a straggler from the end of the present transaction. A new producer's
``init_transactions`` raises the epoch, and the straggler is refused.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from tests.support.broker import create_topic, fresh_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.endtxn_proxy import EndTxnProxy
    from tests.support.maven_broker import MavenBroker

_STALE_EPOCH = {KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}
_LIBRDKAFKA_END_TXN_VERSION = 1


@pytest.fixture
def topic(lane_broker: MavenBroker) -> str:
    """A topic of one partition; its name is the transactional id too."""
    name = fresh_name("straggler")
    create_topic(lane_broker.bootstrap, name, partitions=1)
    return name


def _producer(bootstrap: str, topic: str) -> Producer:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": topic,
            "retry.backoff.ms": 250,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 100,
            "log_level": 0,
        }
    )
    producer.init_transactions(15)
    return producer


def _write(producer: Producer, topic: str, *values: str) -> None:
    for value in values:
        producer.produce(topic, value.encode())
    assert producer.flush(10) == 0


def _visible(bootstrap: str, topic: str) -> list[str]:
    """What a read_committed reader finds below the high watermark, once nothing is open there."""
    end = _end(bootstrap, topic)
    found: list[str] = []
    config = {"bootstrap.servers": bootstrap, "group.id": "reader", "isolation.level": "read_committed"}
    with Consumer(config) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        deadline = time.monotonic() + 15
        while consumer.position([TopicPartition(topic, 0)])[0].offset < end:
            assert time.monotonic() < deadline, "a transaction is still open"
            message = consumer.poll(0.1)
            value = None if message is None or message.error() else message.value()
            if value is not None:
                found.append(value.decode())
    return found


def _end(bootstrap: str, topic: str) -> int:
    partition = TopicPartition(topic, 0)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    end: int = admin.list_offsets({partition: OffsetSpec.latest()})[partition].result(10).offset
    return end


def test_straggling_commit_is_refused_after_a_new_producer_inits(
    lane_broker: MavenBroker, proxy: EndTxnProxy, topic: str
) -> None:
    """The cure: time-out, abandon, init with the same id. The straggler meets a newer epoch and does nothing."""
    proxy.hold_end_txn(committed=True, transactional_id="straggler-")
    abandoned = _producer(proxy.bootstrap, topic)
    abandoned.begin_transaction()
    _write(abandoned, topic, "unknown-1", "unknown-2")
    with pytest.raises(KafkaException) as timed_out:
        abandoned.commit_transaction(1)
    assert timed_out.value.args[0].code() == KafkaError._TIMED_OUT  # noqa: SLF001  # librdkafka's public constant
    (held,) = proxy.wait_held()
    assert held.request.version == _LIBRDKAFKA_END_TXN_VERSION
    assert held.request.committed

    with _producer(proxy.bootstrap, topic) as renewed:
        renewed.begin_transaction()
        _write(renewed, topic, "again-1")
        (released,) = proxy.release()
        assert released.error_code in _STALE_EPOCH
        renewed.commit_transaction(10)

    assert _visible(lane_broker.bootstrap, topic) == ["again-1"]
    del abandoned


def test_straggling_commit_publishes_the_next_transaction_of_the_same_producer(
    lane_broker: MavenBroker, proxy: EndTxnProxy, topic: str
) -> None:
    """The hazard, as duplicates: half a transaction is committed, its writer crashes, its successor writes it again.

    The first commit is held and its connection lost; librdkafka repeats it by itself, with success, and nothing tells
    the caller but the time it took. The next transaction has the same epoch, so the straggler commits what it has so
    far: events without their checkpoint.
    """
    proxy.hold_end_txn(committed=True)
    writer = _producer(proxy.bootstrap, topic)
    writer.begin_transaction()
    _write(writer, topic, "first")
    _while_held(proxy, writer.commit_transaction)

    writer.begin_transaction()
    _write(writer, topic, "second")
    (released,) = proxy.release()
    assert released.error_code == KafkaError.NO_ERROR  # the coordinator took it for the second transaction's end
    assert _visible(lane_broker.bootstrap, topic) == ["first", "second"]  # and nobody has committed "second"
    del writer  # the crash; close() would say goodbye with an abort

    with _producer(proxy.bootstrap, topic) as successor:
        successor.begin_transaction()
        _write(successor, topic, "second")
        successor.commit_transaction(10)
    assert _visible(lane_broker.bootstrap, topic) == ["first", "second", "second"]


def test_straggling_abort_erases_the_next_transaction_of_the_same_producer(
    lane_broker: MavenBroker, proxy: EndTxnProxy, topic: str
) -> None:
    """The hazard, as a loss: the straggling abort of the transaction before throws away events already written."""
    proxy.hold_end_txn(committed=False)
    writer = _producer(proxy.bootstrap, topic)
    writer.begin_transaction()
    _write(writer, topic, "first")
    _while_held(proxy, writer.abort_transaction)

    writer.begin_transaction()
    _write(writer, topic, "second")
    (released,) = proxy.release()
    assert released.error_code == KafkaError.NO_ERROR
    assert _visible(lane_broker.bootstrap, topic) == []  # "second" is gone, and its writer has not been told
    del writer


def test_paused_and_cut_connections_lose_nothing_that_is_repeated(
    lane_broker: MavenBroker, proxy: EndTxnProxy, topic: str
) -> None:
    """Requests wait while paused; cut connections are made anew; delayed ones arrive."""
    with _producer(proxy.bootstrap, topic) as writer:
        writer.begin_transaction()
        proxy.pause()
        writer.produce(topic, b"waits")
        assert writer.flush(0.5) == 1
        proxy.resume()
        assert writer.flush(10) == 0
        proxy.cut()
        proxy.delay(0.02)
        _write(writer, topic, "after the cut")
        writer.commit_transaction(10)
    assert _visible(lane_broker.bootstrap, topic) == ["waits", "after the cut"]


def _while_held(proxy: EndTxnProxy, end: Callable[[float], None]) -> None:
    """Run the end of a transaction; once its EndTxn is in the proxy's hands, lose the connection it came by."""

    def cut_when_held() -> None:
        proxy.wait_held()
        proxy.cut()

    cutter = threading.Thread(target=cut_when_held)
    cutter.start()
    end(15)
    cutter.join()
