"""The published schemas: what they accept, what they refuse, and that the code's own records fit them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from jsonschema import Draft202012Validator

from connector.core.checkpoint import encode
from connector.model import Checkpoint, DeadLetterId, GapReason
from connector.simulator.events import EventWriter
from connector.simulator.settings import SimulatorSettings
from tests.validation import Kind, headers_as_mapping, validate

_SCHEMAS = sorted((Path(__file__).parents[2] / "schemas").glob("*.json"))
_SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

EXAMPLES: dict[Kind, dict[str, Any]] = {
    "checkpoint": {
        "v": 1,
        "stream": "wfm",
        "epoch": 0,
        "position": "4711",
        "event_time": "2026-03-01T08:15:30.123Z",
        "complete_until": "2026-03-01T08:15:30.123Z",
        "offsets": {"ccaas.events": {"0": 99, "11": 0}},
        "dead_letters_since": [{"ordinal": 1, "sha256": _SHA, "covers": False}],
        "snapshot": {"id": "s-1", "records": 7},
        "stopped": False,
        "command_id": None,
        "reason": None,
        "anew": False,
        "committed_at": "2026-03-01T08:15:30.150Z",
        "worker": "host-12-ab34cd",
    },
    "control": {
        "v": 1,
        "stream": "wfm",
        "state": "stopped",
        "restart_id": "r-1",
        "change": {"change_id": "c-1", "epoch": None, "position": "4711", "reason": "replay"},
        "halted_at": {"epoch": 0, "position": "4800"},
        "updated_at": "2026-03-01T08:15:30.150Z",
        "by": "api",
    },
    "gap": {
        "v": 1,
        "stream": "wfm",
        "epoch": 0,
        "from": 10,
        "to": 19,
        "from_time": "2026-03-01T08:15:30Z",
        "to_time": "2026-03-01T08:17:30+00:00",
        "reason": "retention",
        "detected_at": "2026-03-01T08:17:31.5Z",
        "snapshot": "done",
        "snapshot_id": "s-1",
    },
    "notification": {
        "v": 1,
        "stream": "wfm",
        "worker": "host-1-abc",
        "detail": "no route",
        "lane": 3,
        "epoch": 0,
        "from": 8,
        "to": 10,
        "from_time": "2026-03-01T08:15:30.123Z",
        "to_time": "2026-03-01T08:15:31.123Z",
        "reason": "retention",
    },
    "dead-letter-headers": {
        "reason": "not JSON",
        "stream": "wfm",
        "epoch": "0",
        "after_position": "0",
        "ordinal": "1",
        "position": "1",
        "covers": "1",
        "ce_snapshotid": "s-1",
        "sha256": _SHA,
        "truncated": "1000000",
        "content-type": "application/octet-stream",
    },
    "event-headers": {
        "ce_specversion": "1.0",
        "ce_id": "0/4711",
        "ce_source": "/ccaas/wfm-bridge/genesys/wfm",
        "ce_type": "conversation.start",
        "ce_time": "2026-03-01T08:15:30.123Z",
        "ce_sequence": "00000000000000004711",
        "ce_position": "4711",
        "content-type": "application/json",
    },
    "genesys-sequence-event": {"sequenceId": 1, "eventType": "conversation.start", "eventTime": "2026-03-01T08:15:30Z"},
    "nice-offset-event": {"offset": 1, "eventType": "agent.state", "eventTime": 1772352930123, "agentId": "a-1"},
    "snapshot": {
        "headers": {
            "ce_specversion": "1.0",
            "ce_id": "0/4711/snapshot/s-1/1",
            "ce_source": "/ccaas/wfm-bridge/genesys/wfm",
            "ce_type": "ccaas.snapshot.begin",
            "ce_snapshotid": "s-1",
            "ce_time": "2026-03-01T08:15:30.123Z",
            "content-type": "application/json",
        },
        "value": {"v": 1, "snapshot_id": "s-1"},
    },
}
_OPTIONAL: dict[Kind, set[str]] = {
    "checkpoint": {"snapshot", "stopped", "reason", "anew"},
    "control": set(),
    "gap": set(),
    "notification": {"detail", "lane", "epoch", "from", "to", "from_time", "to_time", "reason"},
    "dead-letter-headers": {"position", "covers", "ce_snapshotid", "truncated", "content-type"},
    "event-headers": {"ce_time", "ce_sequence"},
    "snapshot": set(),
    "genesys-sequence-event": {"eventType", "eventTime"},
    "nice-offset-event": {"eventType", "eventTime", "agentId"},
}
_REFUSED: list[tuple[Kind, str, object]] = [
    ("checkpoint", "v", 2),
    ("checkpoint", "position", 4711),
    ("checkpoint", "epoch", -1),
    ("checkpoint", "event_time", 1_772_352_930_123),
    ("checkpoint", "event_time", "1 March 2026"),
    ("checkpoint", "committed_at", None),
    ("checkpoint", "offsets", {"t": {"-1": 4}}),
    ("checkpoint", "offsets", {"t": {"0": -1001}}),
    ("checkpoint", "dead_letters_since", [{"ordinal": 0, "sha256": _SHA}]),
    ("checkpoint", "dead_letters_since", [_SHA]),
    ("checkpoint", "snapshot", {"id": "", "records": 0}),
    ("checkpoint", "snapshot", {"id": None, "records": -1}),
    ("checkpoint", "stopped", "no"),
    ("checkpoint", "anew", None),
    ("control", "v", 2),
    ("control", "state", "dancing"),
    ("control", "change", {"change_id": "c-1", "epoch": None, "position": 4711, "reason": ""}),
    ("control", "change", {"epoch": None, "position": None, "reason": ""}),
    ("control", "halted_at", "0/4800"),
    ("control", "updated_at", "1 March 2026"),
    ("gap", "v", "1"),
    ("gap", "reason", "because"),
    ("gap", "from", "10"),
    ("gap", "from", None),  # with a `to`
    ("gap", "snapshot", "maybe"),
    ("gap", "snapshot_id", None),  # with a snapshot that is done
    ("gap", "to_time", 1_772_352_930_123),
    ("dead-letter-headers", "epoch", "-1"),
    ("dead-letter-headers", "ordinal", "0"),
    ("dead-letter-headers", "sha256", "9F86"),
    ("dead-letter-headers", "truncated", "-1"),
    ("dead-letter-headers", "reason", ""),
    ("event-headers", "ce_specversion", "0.3"),
    ("event-headers", "ce_id", "4711"),
    ("event-headers", "ce_source", "/ccaas/wfm-bridge/genesys/wfm/worker-3"),
    ("event-headers", "ce_sequence", "4711"),
    ("event-headers", "ce_time", "2026-03-01 08:15:30"),
    ("event-headers", "ce_partitionkey", "c-1"),
    ("event-headers", "content-type", "text/plain"),
    ("genesys-sequence-event", "sequenceId", "1"),
    ("nice-offset-event", "offset", None),
    ("nice-offset-event", "eventTime", True),
    ("snapshot", "value", {"v": 2, "snapshot_id": "s-1"}),
    ("snapshot", "value", {"v": 1, "snapshot_id": ""}),
    ("snapshot", "headers", {**EXAMPLES["snapshot"]["headers"], "ce_type": "snapshot.started"}),
    ("snapshot", "headers", {**EXAMPLES["snapshot"]["headers"], "ce_id": "0/4711"}),
]


def _kinds() -> tuple[Kind, ...]:
    kinds: tuple[Kind, ...] = get_args(Kind)
    return kinds


@pytest.mark.parametrize("kind", _kinds())
def test_example_is_accepted_with_fields_of_the_future(kind: Kind) -> None:
    """Readers ignore what they don't know; so do the schemas."""
    validate(kind, EXAMPLES[kind])
    validate(kind, {**EXAMPLES[kind], "of_the_future": {"x": 1}})


@pytest.mark.parametrize("kind", _kinds())
def test_each_field_is_required_or_known_to_be_optional(kind: Kind) -> None:
    """A record that lacks a field is refused, but for those the contract leaves out."""
    for name in EXAMPLES[kind]:
        rest = {other: value for other, value in EXAMPLES[kind].items() if other != name}
        if name in _OPTIONAL[kind]:
            validate(kind, rest)
        else:
            with pytest.raises(AssertionError, match=f"'{name}' is a required property"):
                validate(kind, rest)


@pytest.mark.parametrize(("kind", "name", "value"), _REFUSED)
def test_counterexample_is_refused(kind: Kind, name: str, value: object) -> None:
    """One field changed to something that the contract does not allow."""
    with pytest.raises(AssertionError, match=f"{kind}: 1 faults"):
        validate(kind, {**EXAMPLES[kind], name: value})


def test_gap_of_opaque_positions_is_accepted() -> None:
    """Neither end has a number then."""
    validate("gap", {**EXAMPLES["gap"], "from": None, "to": None, "from_time": None, "to_time": None})


@pytest.mark.parametrize("reason", GapReason)
def test_gap_takes_every_reason_of_the_model(reason: GapReason) -> None:
    """The schema and the code know the same reasons."""
    validate("gap", {**EXAMPLES["gap"], "reason": str(reason)})


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("wfm"),
        Checkpoint("wfm", 2, 9, 1_772_352_930_123, 1_772_352_930_124, {"t": {0: 1}}, (DeadLetterId(1, _SHA),), "c-1"),
    ],
)
def test_checkpoints_of_the_code_fit(checkpoint: Checkpoint) -> None:
    """What ``core.checkpoint`` writes, at the start and later."""
    validate("checkpoint", encode(checkpoint, "worker-1", 1_772_352_930_150))


@pytest.mark.parametrize(
    ("platform", "kind"), [("genesys-sequence", "genesys-sequence-event"), ("nice-offset", "nice-offset-event")]
)
def test_events_of_the_simulator_fit(platform: Literal["genesys-sequence", "nice-offset"], kind: Kind) -> None:
    """What the simulated platform says, in all its types."""
    writer = EventWriter(SimulatorSettings(kind=platform, conversations=3))
    for i in range(40):
        validate(kind, writer.write("wfm", i, i + 1, 1_772_352_930_123, 1_772_352_930_123))


def test_headers_come_as_pairs_of_bytes() -> None:
    """As Kafka's client gives them; a header that comes twice is a fault."""
    pairs = [(name, str(value).encode()) for name, value in EXAMPLES["event-headers"].items()]
    validate("event-headers", pairs)
    assert headers_as_mapping(pairs)["ce_id"] == "0/4711"
    with pytest.raises(AssertionError, match="comes twice"):
        validate("event-headers", [*pairs, pairs[0]])


@pytest.mark.parametrize("path", _SCHEMAS, ids=lambda path: path.name)
def test_schema_is_valid_open_and_described(path: Path) -> None:
    """JSON Schema 2020-12, a version in the name, additional fields allowed, words for each field."""
    schema = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert path.name == f"{schema['$id'].rpartition(':')[2]}.schema.json"
    assert all(part.get("additionalProperties") is not False for part in _objects(schema))
    undescribed = [name for name, field in schema["properties"].items() if field and not field.get("description")]
    assert not undescribed


def _objects(schema: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any part of a schema
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for part in schema.values():
            yield from _objects(part)
