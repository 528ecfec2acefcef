"""What `check` says of Kafka: each prerequisite taken away once, on real brokers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from connector.check.cluster import ClusterCheck, ClusterFindings
from connector.cli import bridge
from connector.core.finding import Finding, State
from connector.kafka.client import KafkaClient
from connector.kafka.topics import TopicPlan, Topics
from tests.support.broker import create_topic, fresh_name
from tests.support.lane import Site
from tests.unit.test_settings import minimum

_LANES = 4


class Group:
    """A group's names on a broker, and what `check` finds there."""

    def __init__(self, bootstrap: str) -> None:
        self.name = fresh_name("checked")
        self.events = f"{self.name}.events"
        self.client = KafkaClient(bootstrap, self.name, {})
        self.admin = AdminClient({"bootstrap.servers": bootstrap})

    def make_topics(self) -> None:
        """As the bridge makes them."""
        Topics(self.client, self.admin, _LANES, TopicPlan(partitions=2)).ensure([self.events])

    def await_topic(self, topic: str) -> None:
        """A broker hears of a new topic a little later than the controller."""
        deadline = time.monotonic() + 30
        while topic not in self.admin.list_topics(timeout=15).topics:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def find(self, *, lanes: int = _LANES, create: bool = True) -> ClusterFindings:
        """Look."""
        return ClusterCheck(self.client, lanes, TopicPlan(create), [self.events]).run()


def _by_name(found: ClusterFindings) -> Mapping[str, Finding]:
    assert all(finding.mend for finding in found.findings if finding.state is State.FAILS)
    return {finding.prerequisite: finding for finding in found.findings}


def _failing(found: ClusterFindings) -> list[str]:
    return [finding.prerequisite for finding in found.findings if finding.state is State.FAILS]


def test_everything_is_there_and_nothing_was_made(kafka: str) -> None:
    """Of a new group: topics will be made; of one that has them: all is well."""
    group = Group(kafka)
    found = group.find()
    assert not _failing(found)
    assert "makes it at its first start" in _by_name(found)[f"topic {group.events}"].detail
    assert found.in_service is False
    assert group.events not in group.admin.list_topics(timeout=15).topics
    group.make_topics()
    assert {finding.state for finding in group.find().findings} == {State.OK}


def test_kafka_away() -> None:
    """What the client heard on the way is told."""
    found = Group("127.0.0.1:1").find()
    assert _failing(found) == ["kafka: reachable"]
    assert "127.0.0.1:1" in found.findings[0].detail


def test_missing_topics_that_may_not_be_made(kafka: str) -> None:
    """Kafka's own command for each."""
    group = Group(kafka)
    found = _by_name(group.find(create=False))
    assert found[f"topic {group.name}.checkpoints"].mend == (
        f"kafka-topics --create --topic {group.name}.checkpoints --partitions 4 --config cleanup.policy=compact "
        "--config segment.bytes=4194304 --config min.cleanable.dirty.ratio=0.01 --config delete.retention.ms=60000 "
        "--config message.timestamp.type=LogAppendTime"
    )
    assert found[f"topic {group.events}"].mend == f"kafka-topics --create --topic {group.events}"


def test_topics_with_wrong_settings(kafka: str) -> None:
    """Checkpoints that are deleted, gaps that expire, events that are compacted fail; a slow compaction warns."""
    group = Group(kafka)
    create_topic(kafka, f"{group.name}.checkpoints", partitions=_LANES, cleanup_policy="compact")
    create_topic(kafka, f"{group.name}.gaps", message_timestamp_type="LogAppendTime")
    create_topic(kafka, group.events, cleanup_policy="compact")
    group.await_topic(group.events)
    found = _by_name(group.find())
    assert found[f"topic {group.name}.checkpoints: settings"].state is State.WARNS
    assert "segment.bytes=4194304" in found[f"topic {group.name}.checkpoints: settings"].mend
    assert found[f"topic {group.name}.gaps: settings"].state is State.FAILS
    assert "retention.ms=-1" in found[f"topic {group.name}.gaps: settings"].mend
    assert found[f"topic {group.events}: settings"].state is State.FAILS


def test_dead_letters_are_kept_as_long_as_events(kafka: str) -> None:
    """Their topic is made so; where events are kept longer later, it is told."""
    group = Group(kafka)
    create_topic(kafka, group.events, retention_ms="1209600000")
    group.await_topic(group.events)
    group.make_topics()
    title = f"topic {group.name}.dead-letter: retention"
    assert _by_name(group.find())[title].state is State.OK
    resource = ConfigResource(ConfigResource.Type.TOPIC, group.events)
    forever = ConfigEntry("retention.ms", "-1", incremental_operation=AlterConfigOpType.SET)
    resource.add_incremental_config(forever)
    group.admin.incremental_alter_configs([resource])[resource].result(15)
    found = _by_name(group.find())[title]
    assert (found.state, "retention.ms=1209600000" in found.detail) == (State.WARNS, True)
    assert "retention.ms=-1" in found.mend


def test_other_number_of_lanes(kafka: str) -> None:
    """As `run` would refuse it."""
    group = Group(kafka)
    group.make_topics()
    found = group.find(lanes=_LANES + 1)
    assert found.lanes_differ
    assert _failing(found) == ["lanes"]


@contextmanager
def _denied(site: Site, kind: ResourceType, name: str, operation: AclOperation) -> Iterator[None]:
    """Take one operation away from everybody."""

    def rule(permission: AclPermissionType, what: AclOperation) -> AclBinding:
        return AclBinding(kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", what, permission)

    rules = [rule(AclPermissionType.DENY, operation), rule(AclPermissionType.ALLOW, AclOperation.ALL)]
    for made in site.admin.create_acls(rules).values():
        made.result(30)
    yield
    everything = AclBindingFilter(
        kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", AclOperation.ANY, AclPermissionType.ANY
    )
    for deleted in site.admin.delete_acls([everything]).values():
        deleted.result(30)


def test_lacking_permissions(site: Site) -> None:
    """Write on the event topic, Read on the group, and transactions at all: each named with its rule."""
    group = Group(site.bootstrap)
    group.make_topics()
    with (
        _denied(site, ResourceType.TOPIC, group.events, AclOperation.WRITE),
        _denied(site, ResourceType.GROUP, group.name, AclOperation.READ),
        _denied(site, ResourceType.TRANSACTIONAL_ID, "*", AclOperation.WRITE),
    ):
        found = group.find()
    assert _failing(found) == [f"topic {group.events}: permissions", "group", "transactions"]
    by_name = _by_name(found)
    assert f"--operation Write --topic {group.events}" in by_name[f"topic {group.events}: permissions"].mend
    assert f"--group {group.name}" in by_name["group"].mend
    assert f"--transactional-id {group.name}-" in by_name["transactions"].mend
    assert not _failing(group.find())


def test_command_says_it_in_text_and_json(kafka: str, tmp_path: Path) -> None:
    """Kafka is there, the platform is not: exit 3, and every finding in both forms."""
    group = Group(kafka)
    document = minimum() | {"group": group.name, "kafka": {"bootstrap_servers": kafka}}
    platform = document["platforms"]["genesys"]
    platform["stream_url"] = "ws://127.0.0.1:1/stream/{channel}"
    platform["auth"]["token_url"] = "http://127.0.0.1:1/token"
    path = tmp_path / "bridge.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    text = CliRunner().invoke(bridge, ["check", "-c", str(path)])
    found = CliRunner().invoke(bridge, ["check", "-c", str(path), "--json"])
    assert (text.exit_code, found.exit_code) == (3, 3), text.output
    findings = json.loads(found.stdout)["findings"]
    assert {finding["state"] for finding in findings} == {"ok", "fails", "skipped"}
    for finding in findings:
        if "check" not in finding["detail"]:  # the aborted transaction's id is another each time
            assert f"{finding['prerequisite']}: {finding['detail']}" in text.output


def test_faulty_configuration_as_json(tmp_path: Path) -> None:
    """Exit 2, and the faults are a finding."""
    path = tmp_path / "bridge.yaml"
    path.write_text("group: g\n", encoding="utf-8")
    found = CliRunner().invoke(bridge, ["check", "-c", str(path), "--json"])
    assert found.exit_code == 2
    (finding,) = json.loads(found.stdout)["findings"]
    assert "kafka: required" in finding["detail"]
