"""The brokers that the other tests stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.support.broker import create_topic, fresh_name

if TYPE_CHECKING:
    from tests.conftest import OwnBroker
    from tests.support.maven_broker import MavenBroker


def _topics(bootstrap: str, timeout_s: float = 10.0) -> set[str]:
    return set(AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=timeout_s).topics)


def test_records_survive_kill_and_restart(lane_broker: MavenBroker) -> None:
    """A killed broker starts again on the same ports with the same records."""
    broker, topic = lane_broker, fresh_name("kept")
    create_topic(broker.bootstrap, topic, partitions=1)
    with Producer({"bootstrap.servers": broker.bootstrap}) as producer:
        producer.produce(topic, b"value")
        assert producer.flush(10) == 0
    before = broker.bootstrap

    broker.kill()
    broker.start()

    assert broker.bootstrap == before
    with Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused"}) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(15)
    assert message is not None
    assert message.value() == b"value"


def test_frozen_broker_answers_after_thaw(lane_broker: MavenBroker) -> None:
    """A frozen broker keeps its port and answers nothing until it is thawed."""
    lane_broker.freeze()
    with pytest.raises(KafkaException):
        _topics(lane_broker.bootstrap, timeout_s=1.0)
    lane_broker.thaw()
    assert isinstance(_topics(lane_broker.bootstrap), set)


def test_two_brokers_do_not_meet(own_broker: OwnBroker, kafka: str) -> None:
    """Brokers started side by side, and the shared one, are clusters apart."""
    broker = own_broker(settings={"num.partitions": "1"})
    create_topic(broker.bootstrap, "only-here")
    assert broker.bootstrap != kafka
    assert "only-here" not in _topics(kafka)
