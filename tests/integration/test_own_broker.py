"""The brokers that the other tests stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.support.broker import create_topic

if TYPE_CHECKING:
    from tests.conftest import OwnBroker


def _topics(bootstrap: str, timeout_s: float = 10.0) -> set[str]:
    return set(AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=timeout_s).topics)


def test_records_survive_kill_and_restart(own_broker: OwnBroker) -> None:
    """A killed broker starts again on the same ports with the same records."""
    broker = own_broker(settings={"message.max.bytes": "50000"})
    create_topic(broker.bootstrap, "kept", partitions=1)
    with Producer({"bootstrap.servers": broker.bootstrap}) as producer:
        producer.produce("kept", b"value")
        assert producer.flush(10) == 0
    before = broker.bootstrap

    broker.kill()
    broker.start()

    assert broker.bootstrap == before
    with Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused"}) as consumer:
        consumer.assign([TopicPartition("kept", 0, 0)])
        message = consumer.poll(15)
    assert message is not None
    assert message.value() == b"value"


def test_frozen_broker_answers_after_thaw(own_broker: OwnBroker) -> None:
    """A frozen broker keeps its port and answers nothing until it is thawed."""
    broker = own_broker()
    broker.freeze()
    with pytest.raises(KafkaException):
        _topics(broker.bootstrap, timeout_s=1.0)
    broker.thaw()
    assert isinstance(_topics(broker.bootstrap), set)


def test_two_brokers_do_not_meet(own_broker: OwnBroker, kafka: str) -> None:
    """Brokers started side by side, and the shared one, are clusters apart."""
    broker = own_broker()
    create_topic(broker.bootstrap, "only-here")
    assert broker.bootstrap != kafka
    assert "only-here" not in _topics(kafka)
