"""`checkpoint` and `gaps` on a real broker, with records written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer
from redis import Redis

from connector.cli import bridge
from tests.integration.test_audit import Group
from tests.support.redis_server import own_redis
from tests.unit.test_settings import minimum

_GAP = {"epoch": 0, "from": 3, "to": 4, "reason": "retention", "snapshot": "done", "snapshot_id": "s1"}


@pytest.fixture
def group(kafka: str) -> Group:
    """A group with topics of its own on the shared broker."""
    return Group(kafka)


def _run(group: Group, tmp_path: Path, *arguments: str) -> Result:
    document = minimum() | {"group": group.name, "lanes": 2, "kafka": {"bootstrap_servers": group.bootstrap}}
    document["streams"] = [{"name": "wfm", "platform": "genesys", "topic": group.events}]
    path = tmp_path / "bridge.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    command, *rest = arguments
    words = [command] if command != "checkpoint" else [command, rest.pop(0)]
    return CliRunner().invoke(bridge, [*words, "-c", str(path), *rest])


def _checkpoints(group: Group, tmp_path: Path) -> list[dict[str, object]]:
    result = _run(group, tmp_path, "checkpoint", "list", "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)["checkpoints"]
    return found


def test_list_and_show(group: Group, tmp_path: Path) -> None:
    """The last record of each stream; a deleted one is gone; an unknown one exits 2."""
    with group.producer() as producer:
        for position in ("7", "8"):
            group.write_json(producer, "checkpoints", "wfm", epoch=1, position=position, worker="w-1")
        group.write_json(producer, "checkpoints", "crm", epoch=0, position="1")
        producer.produce(f"{group.name}.checkpoints", None, "crm", partition=0)
        producer.produce(f"{group.name}.checkpoints", None, "crm", partition=1)
        producer.commit_transaction(15)
    table = _run(group, tmp_path, "checkpoint", "list")
    assert table.exit_code == 0, table.output
    assert [line.split()[:4] for line in table.output.splitlines()] == [
        ["stream", "lane", "epoch", "position"],
        ["wfm", str(_checkpoints(group, tmp_path)[0]["lane"]), "1", "8"],
    ]
    shown = _run(group, tmp_path, "checkpoint", "show", "--stream", "wfm")
    assert ["worker", "w-1"] in [line.split() for line in shown.output.splitlines()]
    assert _run(group, tmp_path, "checkpoint", "show", "--stream", "nobody").exit_code == 2


def test_rebuild_knows_gaps_and_dead_letters(group: Group, tmp_path: Path) -> None:
    """The position is the gap's end; an unreadable item behind it is remembered; a second run changes nothing."""
    with group.producer() as producer:
        group.write(producer, [1, 2])
        group.write(producer, [9], stream="of-another")
        group.write_json(producer, "gaps", "wfm", **_GAP)
        headers: list[tuple[str, str | bytes | None]] = [
            ("stream", "wfm"),
            ("epoch", "0"),
            ("after_position", "4"),
            ("ordinal", "1"),
            ("sha256", "ab" * 32),
        ]
        producer.produce(f"{group.name}.dead-letter", b"\xff", "wfm", headers=headers)
        producer.commit_transaction(15)
    dry = _run(group, tmp_path, "checkpoint", "rebuild", "--dry-run")
    assert (dry.exit_code, "would be written" in dry.output) == (0, True), dry.output
    assert _checkpoints(group, tmp_path) == []

    assert _run(group, tmp_path, "checkpoint", "rebuild").exit_code == 0
    (checkpoint,) = _checkpoints(group, tmp_path)
    assert (checkpoint["epoch"], checkpoint["position"]) == (0, "4")
    assert checkpoint["dead_letters_since"] == [{"ordinal": 1, "sha256": "ab" * 32, "covers": False}]
    again = _run(group, tmp_path, "checkpoint", "rebuild")
    assert (again.exit_code, "kept as it was" in again.output) == (0, True), again.output
    assert _checkpoints(group, tmp_path) == [checkpoint]


def test_group_with_members_is_left_alone(group: Group, tmp_path: Path) -> None:
    """They own the checkpoints."""
    with Consumer({"bootstrap.servers": group.bootstrap, "group.id": group.name}) as member:
        member.subscribe([f"{group.name}.checkpoints"])
        while not member.assignment():
            member.poll(0.2)
        result = _run(group, tmp_path, "checkpoint", "rebuild")
    assert result.exit_code == 3
    assert "has 1 workers" in result.stderr


def test_import_from_redis(group: Group, tmp_path: Path) -> None:
    """An integer or JSON; then the stream has a checkpoint, and another import is refused."""
    with own_redis(tmp_path / "redis") as server:
        with Redis.from_url(server.url) as client:
            client.set("as-number", "4711")
            client.set("as-json", '{"sequenceId": 4712, "at": "noon"}')
            client.set("as-word", "soon")
        source = ("checkpoint", "import", "--redis", server.url, "--stream", "wfm", "--key")
        assert _run(group, tmp_path, *source, "no-such-key").exit_code == 2
        assert _run(group, tmp_path, *source, "as-word").exit_code == 2
        dry = _run(group, tmp_path, *source, "as-json", "--dry-run")
        assert (dry.exit_code, "4712" in dry.output) == (0, True), dry.output
        assert _run(group, tmp_path, *source, "as-number").exit_code == 0
        (checkpoint,) = _checkpoints(group, tmp_path)
        assert (checkpoint["epoch"], checkpoint["position"]) == (0, "4711")
        again = _run(group, tmp_path, *source, "as-json")
        assert (again.exit_code, "has a checkpoint already" in again.stderr) == (2, True)
    away = _run(group, tmp_path, *source, "as-number")
    assert away.exit_code == 3


def test_gaps_are_listed_and_exported(group: Group, tmp_path: Path) -> None:
    """All, of a stream, since an instant; as a table, JSON and CSV."""
    with group.producer() as producer:
        group.write_json(producer, "gaps", "wfm", detected_at="2026-11-24T06:00:00Z", **_GAP)
        group.write_json(producer, "gaps", "crm", detected_at="2026-11-25T06:00:00Z", **_GAP)
        producer.commit_transaction(15)
    table = _run(group, tmp_path, "gaps")
    assert table.exit_code == 0, table.output
    assert sorted(line.split()[0] for line in table.output.splitlines()) == ["crm", "stream", "wfm"]
    found = _run(group, tmp_path, "gaps", "--since", "2026-11-25", "--json")
    assert [gap["stream"] for gap in json.loads(found.stdout)["gaps"]] == ["crm"]
    csv = _run(group, tmp_path, "gaps", "--stream", "wfm", "--csv")
    assert csv.output.splitlines() == [
        "stream,epoch,from,to,reason,from_time,to_time,detected_at,snapshot,snapshot_id",
        "wfm,0,3,4,retention,,,2026-11-24T06:00:00Z,done,s1",
    ]
    assert _run(group, tmp_path, "gaps", "--json", "--csv").exit_code == 2
