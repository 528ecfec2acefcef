"""The audit on a real broker: what it reads, where it stops, and what it makes of aborted and open transactions."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
import pytest
from confluent_kafka import Producer

from connector.audit import AuditReport, Scope, audit
from connector.core.positions import Span
from connector.core.verdict import Point, StreamVerdict
from tests.support import ledger
from tests.support.broker import create_topic, fresh_name


class Group:
    """A bridge's topics, written by hand."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.name = fresh_name("audited")
        self.events = f"{self.name}.events"
        for topic, partitions in {"events": 3, "gaps": 1, "dead-letter": 1, "checkpoints": 2}.items():
            create_topic(bootstrap, f"{self.name}.{topic}", partitions=partitions)

    def producer(self, lane: str = "0") -> Producer:
        """A transactional producer with a transaction begun."""
        config = {"bootstrap.servers": self.bootstrap, "transactional.id": f"{self.name}-lane-{lane}"}
        producer = Producer(config)
        producer.init_transactions(15)
        producer.begin_transaction()
        return producer

    def write(
        self, producer: Producer, positions: Iterable[int], *, stream: str = "wfm", snapshot: bool = False
    ) -> None:
        """Event records as CONTRACT.md has them, four keys."""
        for position in positions:
            headers: list[tuple[str, str | bytes | None]] = [
                ("ce_id", f"0/{position}"),
                ("ce_source", f"/ccaas/{self.name}/genesys/{stream}"),
            ]
            if snapshot:
                headers.append(("ce_snapshotid", "s1"))
            producer.produce(self.events, b'{"n":%d}' % position, f"c{position % 4}", headers=headers)

    def write_json(self, producer: Producer, topic: str, key: str, **value: object) -> None:
        """A gap or a checkpoint."""
        producer.produce(f"{self.name}.{topic}", orjson.dumps({"v": 1, "stream": key, **value}), key)

    def audit(self, *, wait_s: float = 15.0) -> AuditReport:
        """Audit everything."""
        return audit(
            {"bootstrap.servers": self.bootstrap}, self.name, [self.events], Scope(), open_transaction_wait_s=wait_s
        )


@pytest.fixture
def group(kafka: str) -> Group:
    """A group with topics of its own on the shared broker."""
    return Group(kafka)


def _only(report: AuditReport) -> StreamVerdict:
    (stream,) = report.streams
    return stream


def test_aborted_transaction_is_not_there(group: Group) -> None:
    """What was aborted and sent again is there once; the audit passes control records to the end."""
    with group.producer() as producer:
        group.write(producer, range(1, 101))
        producer.commit_transaction(15)
        producer.begin_transaction()
        group.write(producer, range(101, 151))
        producer.flush(15)
        producer.abort_transaction(15)
        producer.begin_transaction()
        group.write(producer, range(101, 201))
        group.write_json(producer, "checkpoints", "wfm", epoch=0, position="200")
        producer.commit_transaction(15)
        producer.begin_transaction()
        group.write(producer, range(201, 211))
        producer.flush(15)
        producer.abort_transaction(15)

    report = group.audit()

    assert report.held
    assert _only(report).epochs[0].positions == Span(1, 200)
    assert _only(report).checkpoint == Point(0, 200)
    assert _only(report).events == 200
    sent = [(position, b'{"n":%d}' % position) for position in range(1, 201)]
    assert ledger.compare(sent, ledger.read(group.bootstrap, [group.events])).held
    dirty = ledger.compare(sent, ledger.read(group.bootstrap, [group.events], committed=False))
    assert len(dirty.duplicated) == 50
    assert dirty.invented == tuple(range(201, 211))


def test_dead_letters_and_gaps_account_for_what_is_not_an_event(group: Group) -> None:
    """Positions 1 to 2 are a gap, 4 is a dead letter, 6 and 7 are nowhere; a snapshot has no positions."""
    with group.producer() as producer:
        group.write(producer, [3, 5, 8])
        group.write(producer, [8], snapshot=True)
        group.write_json(producer, "gaps", "wfm", epoch=0, **{"from": 1, "to": 2, "reason": "retention"})
        headers: list[tuple[str, str | bytes | None]] = [
            ("stream", "wfm"),
            ("after_position", "3"),
            ("ordinal", "1"),
            ("covers", "4"),
            ("sha256", "0" * 64),
        ]
        producer.produce(f"{group.name}.dead-letter", b"\xff", "wfm", headers=headers)
        group.write_json(producer, "checkpoints", "wfm", epoch=0, position="8")
        producer.produce(f"{group.name}.checkpoints", b'{"v":1,"lanes":2}', "$lanes")
        producer.commit_transaction(15)

    stream = _only(group.audit())

    assert stream.epochs[0].missing_spans == (Span(6, 7),)
    assert stream.dead_letters == 1
    assert stream.snapshot_records == 1
    assert [gap.reason for gap in stream.gaps] == ["retention"]
    assert not stream.held
    assert stream.missing == 2


def test_streams_are_told_apart_and_chosen(group: Group) -> None:
    """Two streams in one topic; a third that has nothing; records of others are foreign."""
    with group.producer() as producer:
        group.write(producer, range(1, 11))
        group.write(producer, range(1, 6), stream="crm")
        producer.produce(group.events, b"not of a bridge", "key")
        producer.commit_transaction(15)
    client = {"bootstrap.servers": group.bootstrap}

    everything = group.audit()
    assert {stream.stream: stream.events for stream in everything.streams} == {"wfm": 10, "crm": 5}
    assert everything.foreign == 1
    chosen = audit(client, group.name, [group.events, "no-such-topic"], Scope(frozenset({"crm", "quiet"})))
    assert {stream.stream: stream.events for stream in chosen.streams} == {"crm": 5, "quiet": 0}
    assert chosen.held


def test_open_transaction_of_a_stranger_is_told_and_nothing_claimed(group: Group) -> None:
    """A reader stops at the first open transaction; the audit says where, and holds once it has ended."""
    with group.producer("stranger") as stranger:
        group.write(stranger, [1], stream="other")
        stranger.flush(15)
        with group.producer() as producer:
            group.write(producer, range(1, 41))
            producer.commit_transaction(15)

        blocked = group.audit(wait_s=1.0)
        assert not blocked.held
        assert {at.topic for at in blocked.unread} == {group.events}
        assert all(at.position < at.end for at in blocked.unread)
        stranger.abort_transaction(15)

    assert group.audit().held
