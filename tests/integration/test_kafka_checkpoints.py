"""A lane's checkpoints on real Kafka: read to their end, kept small, for a fixed number of lanes (KAFKA.md 8-10)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import ConfigResource, NewPartitions, ResourceType

from connector.core.checkpoint import LANES_KEY
from connector.errors import LaneMismatchError
from connector.kafka import takeover
from connector.kafka.checkpoints import read_lanes
from connector.kafka.client import KafkaClient
from connector.kafka.topics import TopicPlan, Topics
from tests.support.lane import PATIENCE_S, LaneRig, News, Site
from tests.support.ledger import read

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def foreign(site: Site) -> Iterator[Producer]:
    """Somebody else's producer, which is not fenced by the lane's."""
    with Producer({"bootstrap.servers": site.bootstrap, "transactional.id": f"foreign-{site.group}"}) as producer:
        producer.init_transactions(PATIENCE_S)
        yield producer


# ---------------------------------------------------------------- 8: the end is the high watermark


def test_lane_waits_for_a_foreign_transaction_in_its_partition(site: Site, foreign: Producer) -> None:
    """What was committed behind it is not visible yet: to start would be to start from too old a position."""
    with site.rig() as former:
        former.submit(range(1, 101))
        former.committed(100)
        foreign.begin_transaction()
        foreign.produce(site.client.checkpoints_topic, b"{}", b"foreign", partition=0)
        assert foreign.flush(PATIENCE_S) == 0
        former.submit(range(101, 301))
        former.committed(300)
    with site.rig() as lane:
        lane.wait_state("blocked")
        lane.submit(range(1, 301))
        lane.submit(range(301, 311))
        assert lane.told.opened == {}
        foreign.abort_transaction(PATIENCE_S)
        assert lane.opened()["s"].position == 300
        lane.committed(310)
    assert site.judge(range(1, 311)).held


def test_foreign_transaction_that_lasts_does_not_refuse_the_lane(
    site: Site, foreign: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in it is no checkpoint, and is not committed: the lane asks again and again, and opens in the end."""
    monkeypatch.setattr(takeover, "_BLOCKED_S", 0.2)
    site.make_topics()
    foreign.begin_transaction()
    foreign.produce(site.client.checkpoints_topic, b"{}", b"foreign", partition=0)
    assert foreign.flush(PATIENCE_S) == 0
    with site.rig() as lane:
        lane.wait_state("blocked")
        lane.wait_state("in doubt")
        foreign.abort_transaction(PATIENCE_S)
        lane.submit(range(1, 11))
        lane.committed(10)
    assert site.judge(range(1, 11)).held


def test_lane_whose_partition_holds_something_else_is_refused(site: Site, foreign: Producer) -> None:
    """A foreign record that is no checkpoint is said so; the lane does not guess."""
    site.make_topics()
    foreign.begin_transaction()
    foreign.produce(site.client.checkpoints_topic, b"not a checkpoint", b"foreign", partition=0)
    foreign.commit_transaction(PATIENCE_S)
    with site.rig() as lane:
        lane.wait_state("no checkpoint")
        assert lane.told.opened == {}


# ---------------------------------------------------------------- 9: the topic


def test_checkpoint_topic_is_made_to_be_compacted_at_once(site: Site) -> None:
    """Kafka's defaults would keep hours of checkpoints before anything is cleaned."""
    site.make_topics()
    resource = ConfigResource(ResourceType.TOPIC, site.client.checkpoints_topic)
    found = site.admin.describe_configs([resource])[resource].result(PATIENCE_S)
    assert found["cleanup.policy"].value == "compact"
    assert 1 <= int(found["segment.bytes"].value) / 2**20 <= 8
    assert float(found["min.cleanable.dirty.ratio"].value) <= 0.01
    assert int(found["delete.retention.ms"].value) <= 60_000


def test_thousands_of_transactions_leave_a_small_log(site: Site) -> None:
    """A lane that opens after them reads a few records, not thousands."""
    site.make_topics()
    transactions, padding = 600, "x" * 20_000  # as the offsets of a stream that writes to many partitions
    topic = site.client.checkpoints_topic
    identity = {"bootstrap.servers": site.bootstrap, "transactional.id": site.client.transactional_id(0)}
    with Producer({**identity, "linger.ms": 0}) as producer:
        producer.init_transactions(PATIENCE_S)
        for n in range(transactions):
            producer.begin_transaction()
            producer.produce(topic, f"{n} {padding}".encode(), b"s", partition=0)
            producer.commit_transaction(PATIENCE_S)

    def small() -> bool:
        return len(read(site.bootstrap, [topic])) < transactions // 2  # the newest segment is never compacted

    News().wait("compaction", small, 60.0)
    assert read(site.bootstrap, [topic])[-1].value.startswith(f"{transactions - 1} ".encode())


# ---------------------------------------------------------------- 10: the number of lanes


def test_number_of_lanes_is_written_in_the_first_transaction(site: Site) -> None:
    """And read by every worker, whichever lanes it has."""
    site.make_topics()
    assert read_lanes(site.client) is None
    with site.rig() as lane:
        lane.submit([1])
        lane.committed(1)
    assert read_lanes(site.client) == site.lanes
    records = read(site.bootstrap, [site.client.checkpoints_topic])
    assert [r.key for r in records if r.partition == 0] == [b"s", LANES_KEY.encode()]


def _ensure(site: Site, lanes: int) -> None:
    client = KafkaClient(site.bootstrap, site.group)
    Topics(client, site.admin, lanes, TopicPlan()).ensure([site.topic])


def test_configuration_with_another_number_of_lanes_is_refused_at_start(site: Site) -> None:
    """Streams would look for their checkpoints in other lanes, and find none."""
    site.make_topics()
    with pytest.raises(LaneMismatchError, match="has 2 partitions, but the configuration says lanes: 3"):
        _ensure(site, 3)


def test_grown_topic_is_refused_at_start_even_if_the_configuration_agrees(site: Site) -> None:
    """The record says for how many lanes it was made, whatever partitions and configuration say now."""
    with site.rig() as lane:
        lane.submit([1])
        lane.committed(1)
    topic = site.client.checkpoints_topic
    site.admin.create_partitions([NewPartitions(topic, 4)])[topic].result(PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while len(site.admin.list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions) < 4:
        assert time.monotonic() < deadline, "the broker does not know of its new partitions"
    for lanes in (2, 4):
        with pytest.raises(LaneMismatchError, match="made for 2 lanes and has 4 partitions"):
            _ensure(site, lanes)


def test_lane_of_a_topic_made_for_another_number_of_lanes_does_not_open(site: Site) -> None:
    """The lane compares too, whenever it opens: its worker may have started before the record was there."""
    with site.rig() as lane:
        lane.submit([1])
        lane.committed(1)
    other = Site(site.bootstrap, lanes=3, group=site.group)
    with LaneRig(other) as lane:
        lane.told.wait("mismatch", lambda: bool(lane.told.mismatches))
        assert "made for 2 lanes, the configuration says 3" in lane.told.mismatches[0]
        assert lane.told.opened == {}
