"""Kafka Connect's REST entities (org.apache.kafka.connect.runtime.rest.entities): from views to JSON. No I/O here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connector.core.fleet import Phase, StreamView
from connector.management import Definition

Json = dict[str, Any]
TASK = 0
"""A stream is a connector with one task."""
_GROUP = "Stream"


def info(view: StreamView, config: Mapping[str, str]) -> Json:
    """ConnectorInfo."""
    tasks = [] if view.phase is Phase.STOPPED else [{"connector": view.name, "task": TASK}]
    return {"name": view.name, "config": dict(config), "tasks": tasks, "type": "source"}


def tasks(view: StreamView, config: Mapping[str, str]) -> list[Json]:
    """TaskInfo of each task: none of a stopped connector."""
    if view.phase is Phase.STOPPED:
        return []
    return [{"id": {"connector": view.name, "task": TASK}, "config": dict(config)}]


def status(view: StreamView, version: str, *, restarting: bool = False) -> Json:
    """ConnectorStateInfo; ``restarting``: as it is told right after the request."""
    state = _state(view, version, restarting=restarting)
    stopped = view.phase is Phase.STOPPED
    return {
        "name": view.name,
        "connector": state,
        "tasks": [] if stopped else [{"id": TASK, **state}],
        "type": "source",
    }


def task_status(view: StreamView, version: str) -> Json:
    """TaskState."""
    return {"id": TASK, **_state(view, version)}


def _state(view: StreamView, version: str, *, restarting: bool = False) -> Json:
    phase = Phase.RESTARTING if restarting else view.phase
    trace = {"trace": view.trace} if phase is Phase.FAILED else {}
    return {"state": phase.value, "worker_id": view.worker or "", "version": version, **trace}


def offsets(stream: str, epoch: int, position: int | None) -> Json:
    """ConnectorOffsets of a stream that has a checkpoint."""
    text = None if position is None else str(position)
    return {"offsets": [{"partition": {"stream": stream}, "offset": {"position": text, "epoch": epoch}}]}


def plugin(name: str, version: str) -> Json:
    """PluginInfo."""
    return {"class": name, "type": "source", "version": version}


def config_key(definition: Definition, order: int) -> Json:
    """ConfigKeyInfo."""
    return {
        "name": definition.name,
        "type": definition.kind,
        "required": definition.required,
        "default_value": definition.default,
        "importance": "HIGH" if definition.required else "MEDIUM",
        "documentation": definition.documentation,
        "group": _GROUP,
        "order_in_group": order,
        "width": "MEDIUM",
        "display_name": definition.name,
        "dependents": [],
    }


def validation(
    plugin_name: str, definitions: Sequence[Definition], config: Mapping[str, str], faults: Mapping[str, list[str]]
) -> Json:
    """ConfigInfos: every key, its value and what is wrong with it."""
    configs = [
        {
            "definition": config_key(definition, order),
            "value": {
                "name": definition.name,
                "value": config.get(definition.name, definition.default),
                "recommended_values": [],
                "errors": faults.get(definition.name, []),
                "visible": True,
            },
        }
        for order, definition in enumerate(definitions, 1)
    ]
    wrong = sum(bool(entry["value"]["errors"]) for entry in configs)
    return {"name": plugin_name, "error_count": wrong, "groups": [_GROUP], "configs": configs}
