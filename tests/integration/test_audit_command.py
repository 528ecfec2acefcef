"""`ccaas-bridge audit` on a real broker: faults planted in the topics are found, named, and decide the exit code."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from connector.cli import bridge
from tests.integration.test_audit import Group
from tests.unit.test_settings import minimum


@pytest.fixture
def group(kafka: str) -> Group:
    """A group with topics of its own on the shared broker."""
    return Group(kafka)


def _audit(group: Group, tmp_path: Path, *options: str, bootstrap: str | None = None) -> Result:
    document = minimum() | {"group": group.name, "lanes": 2}
    document["kafka"] = {"bootstrap_servers": bootstrap or group.bootstrap}
    document["streams"] = [{"name": "wfm", "platform": "genesys", "topic": group.events}]
    path = tmp_path / "bridge.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return CliRunner().invoke(bridge, ["audit", "-c", str(path), "--stream", "wfm", *options])


def _write(group: Group, positions: Iterable[int], committed: int) -> None:
    with group.producer() as producer:
        group.write(producer, positions)
        group.write_json(producer, "checkpoints", "wfm", epoch=0, position=str(committed))
        producer.commit_transaction(15)


def test_whole_stream_is_held(group: Group, tmp_path: Path) -> None:
    """Exit 0."""
    _write(group, range(1, 301), 300)
    result = _audit(group, tmp_path)
    assert result.exit_code == 0, result.output
    assert "epoch 0: positions 1 to 300: 300 events" in result.output
    assert result.output.splitlines()[-1].startswith("HELD")


def test_planted_duplicate_hole_and_disorder_are_found(group: Group, tmp_path: Path) -> None:
    """Position 40 is there twice, 50 to 52 nowhere, and 64, of the same key, comes before 60. Exit 1."""
    before = [n for n in range(1, 60) if not 50 <= n <= 52]
    _write(group, [*before, 64, 60, 61, 62, 63, *range(65, 101)], 100)
    _write(group, [40], 100)
    result = _audit(group, tmp_path, "--json")
    assert result.exit_code == 1, result.output
    (stream,) = json.loads(result.stdout)["streams"]
    (epoch,) = stream["epochs"]
    assert epoch["missing_spans"] == [{"first": 50, "last": 52}]
    assert epoch["duplicated_spans"] == [{"first": 40, "last": 40}]
    assert stream["out_of_order"] == 2  # 60 after 64, and 40 after everything


def test_range_judges_its_positions_only(group: Group, tmp_path: Path) -> None:
    """The hole at 50 is outside 60 to 90, and inside 45 to 90, also as its first position."""
    _write(group, [n for n in range(1, 101) if n != 50], 100)
    assert _audit(group, tmp_path, "--from", "60", "--to", "90").exit_code == 0
    for first in ("45", "50"):
        result = _audit(group, tmp_path, "--from", first, "--to", "90", "--json")
        assert result.exit_code == 1
        assert json.loads(result.stdout)["streams"][0]["epochs"][0]["missing_spans"] == [{"first": 50, "last": 50}]


def test_what_retention_removed_is_no_loss(group: Group, tmp_path: Path) -> None:
    """A partition lost its oldest records; what the others still have of that time proves nothing."""
    _write(group, range(1, 301), 300)
    admin = AdminClient({"bootstrap.servers": group.bootstrap})
    for removed in admin.delete_records([TopicPartition(group.events, 0, 20)]).values():
        removed.result(15)
    result = _audit(group, tmp_path, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["expired"] == [{"topic": group.events, "partition": 0}]
    assert document["streams"][0]["judged_from"]["position"] > 20


def test_topic_that_only_the_checkpoint_knows_is_read(group: Group, tmp_path: Path) -> None:
    """A stream that once wrote elsewhere: its checkpoint names every topic it ever wrote to."""
    former, group.events = group.events, f"{group.name}.later"
    with group.producer() as producer:
        for position in range(1, 11):
            headers: list[tuple[str, str | bytes | None]] = [
                ("ce_id", f"0/{position}"),
                ("ce_source", f"/ccaas/{group.name}/genesys/wfm"),
            ]
            producer.produce(former, b"{}", "c", headers=headers)
        group.write_json(producer, "checkpoints", "wfm", epoch=0, position="10", offsets={former: {"0": 9}})
        producer.commit_transaction(15)
    result = _audit(group, tmp_path)
    assert result.exit_code == 0, result.output
    assert "positions 1 to 10: 10 events" in result.output


def test_kafka_away_exits_3(group: Group, tmp_path: Path) -> None:
    """The message says where nobody answered."""
    result = _audit(group, tmp_path, bootstrap="127.0.0.1:1")
    assert result.exit_code == 3
    assert "Kafka at 127.0.0.1:1" in result.stderr


def test_unknown_stream_exits_2(group: Group, tmp_path: Path) -> None:
    """And names those there are."""
    result = _audit(group, tmp_path, "--stream", "wmf")
    assert result.exit_code == 2
    assert "stream wmf: the configuration has wfm" in result.stderr
