"""What Kafka refuses for good: a batch, a record, a date, a topic (KAFKA.md 3, 4).

Nothing refused is sent again unchanged; one record's fault is one dead letter, a topic's fault stops its streams only.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from connector.core.boundary import CommitPolicy
from connector.core.envelope import Envelope, StreamIdentity
from connector.core.instants import read_time
from connector.core.routing import Router
from connector.kafka import transactor
from tests.support.broker import create_topic
from tests.support.lane import PATIENCE_S, Site, entry

if TYPE_CHECKING:
    from collections.abc import Iterator

_DAY_MS = 24 * 3600 * 1000


class _CountingProducer(Producer):
    """Counts how many producers a lane has made."""

    made = 0

    def __init__(self, properties: dict[str, object]) -> None:
        type(self).made += 1
        super().__init__(properties)


@pytest.fixture
def small_topic(site: Site) -> str:
    """The event topic, which takes batches of 50 kB."""
    create_topic(site.bootstrap, site.topic, partitions=1, max_message_bytes="50000")
    return site.topic


# ---------------------------------------------------------------- 3: batches and records


def test_legal_records_that_are_too_large_as_one_batch(site: Site, small_topic: str) -> None:
    """The batch is halved until it fits; every record is an event, none a dead letter."""
    values = {p: str(p).encode() * 10_000 for p in range(1, 11)}
    with site.rig() as rig:  # which does not know the topic's limit
        rig.hand([entry(small_topic, p, value=value) for p, value in values.items()])
        rig.committed(10)
    assert [(r.position, r.value) for r in site.events()] == list(values.items())
    assert site.dead_letters() == {}


def test_batches_fit_the_topic_whose_limit_is_known(
    site: Site, small_topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing needs to be halved: the producer that opened the lane is the only one."""
    monkeypatch.setattr(transactor, "Producer", _CountingProducer)
    _CountingProducer.made = 0
    limits = site.topics.limits([small_topic])
    with site.rig(limits=limits) as rig:
        rig.hand([entry(small_topic, p, value=b"x" * 20_000) for p in range(1, 11)])
        rig.hand([entry(small_topic, p, value=b"x" * 300) for p in range(11, 1011)])
        rig.committed(1010)
    assert [r.position for r in site.events()] == list(range(1, 1011))
    assert _CountingProducer.made == 1


@pytest.mark.parametrize("size_bytes", [60_000, 1_100_000], ids=["by the broker", "by the client"])
def test_one_record_too_large_for_its_topic(site: Site, small_topic: str, size_bytes: int) -> None:
    """It alone becomes a dead letter, in its place; those around it are events, once."""
    limits = site.topics.limits([small_topic])
    with site.rig(limits=limits) as rig:
        entries = [entry(small_topic, p) for p in range(1, 21)]
        entries[16] = entry(small_topic, 17, value=b"x" * size_bytes)
        rig.hand(entries)
        rig.committed(20)
        assert [position for _, position in rig.told.refused_records] == [17]
    assert site.judge([p for p in range(1, 21) if p != 17]).held
    ((position, letter),) = site.dead_letters().items()
    assert position == 17
    assert letter.value == b"x" * min(size_bytes, 900 * 1024)
    assert letter.headers["after_position"] == b"16"
    assert letter.headers["covers"] == b"17"
    assert letter.headers["reason"].count(b"MSG_SIZE_TOO_LARGE")


def _limit_checkpoints(site: Site, max_bytes: int) -> None:
    resource = ConfigResource(ConfigResource.Type.TOPIC, site.client.checkpoints_topic)
    limit = ConfigEntry("max.message.bytes", str(max_bytes), incremental_operation=AlterConfigOpType.SET)
    resource.add_incremental_config(limit)
    site.admin.incremental_alter_configs([resource])[resource].result(PATIENCE_S)


def test_refused_checkpoint_blames_no_event(site: Site) -> None:
    """The lane waits for a topic that takes its checkpoint, and nothing becomes a dead letter meanwhile."""
    site.make_topics()
    _limit_checkpoints(site, 200)
    with site.rig() as rig:
        rig.opened()
        rig.submit(range(1, 21))
        rig.wait_state("MSG_SIZE_TOO_LARGE")
        _limit_checkpoints(site, 1_000_000)
        rig.committed(20)
    assert site.judge(range(1, 21)).held
    assert site.dead_letters() == {}


def test_checkpoints_that_are_too_large_as_one_batch(site: Site) -> None:
    """Those of fewer streams are tried together, down to one."""
    site.make_topics()
    _limit_checkpoints(site, 1500)
    streams = [f"s{number}" for number in range(20)]
    with site.rig(commit=CommitPolicy(linger_s=0.5)) as rig:
        rig.opened()
        for stream in streams:
            rig.submit([1], stream=stream, urgent=False)
        for stream in streams:
            rig.committed(1, stream=stream)
    assert site.dead_letters() == {}
    assert len(site.events()) == len(streams)


def test_record_dated_wrongly_blames_its_batch_and_is_found(site: Site) -> None:
    """Two records that the broker refuses by their dates, among fifty: two dead letters, the others once."""
    years_ahead_ms = 4_000_000_000_000
    wrong = (1, 13)
    with site.rig() as rig:
        entries = [entry(site.topic, p, key=f"conversation {p % 3}") for p in range(1, 51)]
        for p in wrong:
            entries[p - 1] = entry(site.topic, p, timestamp_ms=years_ahead_ms, key="conversation 1")
        rig.hand(entries[:30])
        rig.hand(entries[30:])
        rig.committed(50)
    assert site.judge([p for p in range(1, 51) if p not in wrong]).held
    letters = site.dead_letters()
    assert sorted(letters) == list(wrong)
    assert letters[1].offset < letters[13].offset  # of one stream, so in one partition
    # the dead letters' own date is the broker's, whatever the event's was (rule 4)
    now_ms = time.time_ns() // 1_000_000
    assert all(abs(now_ms - letter.timestamp_ms) < _DAY_MS for letter in letters.values())


# ---------------------------------------------------------------- 3: topics


def test_topic_that_is_deleted_suspends_its_streams_only(site: Site) -> None:
    """The others go on; when the topic is there again, its streams go on with what was in hand."""
    gone = f"{site.group}-gone"
    create_topic(site.bootstrap, gone)
    with site.rig() as rig:
        rig.submit(range(1, 6), stream="gone", topic=gone)
        rig.committed(5, stream="gone")
        site.admin.delete_topics([gone])[gone].result(PATIENCE_S)
        rig.submit(range(6, 11), stream="gone", topic=gone)
        rig.submit(range(1, 6))
        rig.committed(5)
        rig.told.wait("suspension", lambda: "gone" in rig.told.suspended)
        rig.submit(range(6, 11))
        rig.submit(range(11, 16), stream="gone", topic=gone)
        rig.committed(10)
        create_topic(site.bootstrap, gone)
        rig.committed(15, stream="gone", timeout_s=40)
        assert rig.told.suspended == {}
    assert site.judge(range(1, 11)).held
    assert site.judge(range(6, 16), stream="gone", topic=gone).held


class _WaitingProducer(Producer):
    """Hears nothing of a topic that has gone: so does librdkafka, in two deletions of ten, for half a minute."""

    waiting = False

    def __init__(self, properties: dict[str, object]) -> None:
        type(self).waiting = False
        super().__init__(properties)

    def poll(self, timeout: float = -1) -> int:
        return 0 if self.waiting else super().poll(timeout)

    def flush(self, timeout: float = -1) -> int:
        if not self.waiting:
            return super().flush(timeout)
        time.sleep(timeout)
        return 1


def test_client_that_waits_for_a_deleted_topic_does_not_stop_the_lane(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane looks for itself whether the topic is there, long before the client gives up."""
    monkeypatch.setattr(transactor, "Producer", _WaitingProducer)
    gone = f"{site.group}-gone"
    create_topic(site.bootstrap, gone)
    with site.rig() as rig:
        rig.submit(range(1, 6), stream="gone", topic=gone)
        rig.committed(5, stream="gone")
        site.admin.delete_topics([gone])[gone].result(PATIENCE_S)
        _WaitingProducer.waiting = True
        rig.submit(range(6, 11), stream="gone", topic=gone)
        rig.submit(range(1, 6))
        rig.committed(5)
        assert "gone" in rig.told.suspended
    assert site.judge(range(1, 6)).held


@pytest.fixture
def forbidden_topic(site: Site) -> Iterator[str]:
    """A topic that may be read, but not written."""
    topic = f"{site.group}-forbidden"
    create_topic(site.bootstrap, topic)

    def binding(operation: AclOperation, permission: AclPermissionType) -> AclBinding:
        return AclBinding(
            ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, permission
        )

    acls = [
        binding(AclOperation.WRITE, AclPermissionType.DENY),
        binding(AclOperation.ALL, AclPermissionType.ALLOW),
    ]
    for made in site.admin.create_acls(acls).values():
        made.result(PATIENCE_S)
    yield topic
    _allow(site, topic)


def _allow(site: Site, topic: str) -> None:
    """Take all rules about the topic away: everybody may do everything."""
    rules = AclBindingFilter(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        "User:ANONYMOUS",
        "*",
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    for deleted in site.admin.delete_acls([rules]).values():
        deleted.result(PATIENCE_S)


def test_topic_that_is_forbidden_suspends_its_streams_only(site: Site, forbidden_topic: str) -> None:
    """The same, where the topic's metadata look well and only writing fails."""
    with site.rig() as rig:
        rig.submit(range(1, 6), stream="mute", topic=forbidden_topic)
        rig.submit(range(1, 6))
        rig.committed(5)
        rig.told.wait("suspension", lambda: "mute" in rig.told.suspended)
        assert "permission" in rig.told.suspended["mute"]
        rig.submit(range(6, 11))
        rig.committed(10)
        _allow(site, forbidden_topic)
        rig.committed(5, stream="mute", timeout_s=40)
    assert site.judge(range(1, 11)).held
    assert site.judge(range(1, 6), stream="mute", topic=forbidden_topic).held


# ---------------------------------------------------------------- 4: time stamps


def test_events_of_other_times_are_kept_and_keep_their_time(site: Site) -> None:
    """Dated next century and in 1970: accepted, not deleted at the next retention check, ``ce_time`` as it was."""
    create_topic(site.bootstrap, site.topic, partitions=1, retention_ms=str(7 * _DAY_MS), segment_ms="1000")
    limits = site.topics.limits([site.topic])
    envelope = Envelope(
        StreamIdentity(site.group, "sim", "s"), Router(site.topic, []), key=["/key"], event_type="/type"
    )
    now_ms = time.time_ns() // 1_000_000
    envelope.at(now_ms, limits)
    times = ["2099-01-01T00:00:00Z", "1970-01-01T00:00:05Z", None]
    entries = [
        envelope.event(0, p, read_time(text), {}, f"event {p}".encode())[0] for p, text in enumerate(times, start=1)
    ]
    with site.rig(limits=limits) as rig:
        rig.hand(entries)
        rig.committed(3)
        assert envelope.clamped == 2
        time.sleep(1.1)  # beyond segment.ms, so that the next record closes the segment with the old ones
        rig.submit([4])
        rig.committed(4)
        time.sleep(4.0)  # several retention checks; nothing tells when one was done
    assert site.dead_letters() == {}
    found = site.events()
    assert [r.position for r in found] == [1, 2, 3, 4]
    assert [r.headers.get("ce_time") for r in found[:3]] == [t and t.encode() for t in times]
    assert all(now_ms - 4 * _DAY_MS < r.timestamp_ms < now_ms + 3_600_000 for r in found)


def test_internal_topics_are_dated_by_the_broker(site: Site) -> None:
    """Checkpoints, gaps and dead letters are kept by when they were written, not by what they are about."""
    site.make_topics()
    client = site.client
    with Producer({"bootstrap.servers": site.bootstrap}) as producer:
        for topic in (client.checkpoints_topic, client.gaps_topic, client.dead_letter_topic):
            producer.produce(topic, b"{}", b"key", timestamp=1000)
        producer.flush(PATIENCE_S)
    for topic in (client.checkpoints_topic, client.gaps_topic, client.dead_letter_topic):
        (record,) = site.events(topic=topic)
        assert record.timestamp_ms > 1_000_000
