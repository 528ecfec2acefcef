"""What a topic must be like for the bridge, and what is wrong with one that is there (CONTRACT.md "Topics")."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

from connector.core.finding import Finding, State, fails, ok

COMPACTED = {
    "cleanup.policy": "compact",
    "segment.bytes": str(4 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "60000",
    "message.timestamp.type": "LogAppendTime",
}
KEPT = {"cleanup.policy": "delete", "retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}
DATED_BY_BROKER = {"message.timestamp.type": "LogAppendTime"}

_VITAL = {
    "cleanup.policy": "the wrong records are removed",
    "retention.ms": "records are removed after a time, which is to be never",
}
_LARGEST_SEGMENT_BYTES = 16 * 1024 * 1024
_LARGEST_DIRTY_RATIO = 0.1


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is made. ``partitions`` -1: the brokers' default; ``reads``: whether the bridge reads it too."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    reads: bool = False

    def how_to_create(self, replication_factor: int = -1) -> str:
        """Kafka's own command."""
        partitions = "" if self.partitions < 0 else f" --partitions {self.partitions}"
        replicas = "" if replication_factor < 0 else f" --replication-factor {replication_factor}"
        config = "".join(f" --config {name}={value}" for name, value in self.config.items())
        return f"kafka-topics --create --topic {self.name}{partitions}{replicas}{config}"

    def how_to_alter(self, names: Collection[str]) -> str:
        """Kafka's own command that sets these."""
        config = ",".join(f"{name}={self.config.get(name, 'delete')}" for name in names)
        return f"kafka-configs --alter --entity-type topics --entity-name {self.name} --add-config {config}"


def judge_settings(spec: TopicSpec, found: Mapping[str, str]) -> Finding:
    """Settings of a topic that exists; ``found`` empty: they may not be described."""
    title = f"topic {spec.name}: settings"
    if not found:
        return Finding(title, State.SKIPPED, "no permission to describe them (DescribeConfigs)")
    vital = dict(_vital(spec, found))
    slow = [name for name in spec.config if name not in vital and _differs(name, spec.config[name], found.get(name))]
    told = [f"{name}={found.get(name)}" for name in (*vital, *slow)]
    if vital:
        return fails(title, f"{', '.join(told)}: {'; '.join(vital.values())}", spec.how_to_alter([*vital, *slow]))
    if slow:
        return Finding(title, State.WARNS, ", ".join(told), spec.how_to_alter(slow))
    return ok(title, f"cleanup.policy={found.get('cleanup.policy')}, retention.ms={found.get('retention.ms')}")


def judge_dead_letters(spec: TopicSpec, found: Mapping[str, str], events: Collection[Mapping[str, str]]) -> Finding:
    """Whether dead letters are kept as long as the events they were; ``events``: the settings of the event topics."""
    title = f"topic {spec.name}: retention"
    known = [settings for settings in events if settings]
    if not found or not known:
        return Finding(title, State.SKIPPED, "it cannot be compared with that of the event topics")
    kept, longest = _kept_ms(found), max(map(_kept_ms, known))
    if kept >= longest:
        return ok(title, "as long as the event topics'")
    enough = TopicSpec(spec.name, -1, {"retention.ms": "-1" if longest == inf else str(int(longest))})
    told = f"retention.ms={found.get('retention.ms')}: a dead letter is gone before the events around it"
    return Finding(title, State.WARNS, told, enough.how_to_alter(["retention.ms"]))


def judge_permissions(spec: TopicSpec, allowed: Collection[str] | None) -> Finding:
    """``allowed``: names of operations, in capitals; None: the broker does not tell."""
    title = f"topic {spec.name}: permissions"
    needed = ["DESCRIBE", "WRITE", *(["READ"] if spec.reads else [])]
    if allowed is None:
        return Finding(title, State.SKIPPED, "the broker does not tell which operations are allowed")
    lacking = [operation for operation in needed if operation not in allowed]
    if not lacking:
        return ok(title, ", ".join(name.capitalize() for name in needed))
    words = " ".join(f"--operation {name.capitalize()}" for name in lacking)
    return fails(
        title,
        f"lacks {', '.join(name.capitalize() for name in lacking)}",
        f"kafka-acls --add --allow-principal User:NAME {words} --topic {spec.name}",
    )


def _vital(spec: TopicSpec, found: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    policy = set(found.get("cleanup.policy", "").split(","))
    if policy != {spec.config.get("cleanup.policy", "delete")}:
        yield "cleanup.policy", _VITAL["cleanup.policy"]
    if spec.config.get("retention.ms") == "-1" and found.get("retention.ms") != "-1":
        yield "retention.ms", _VITAL["retention.ms"]


def _kept_ms(found: Mapping[str, str]) -> float:
    """How long records are kept."""
    ms = int(found.get("retention.ms", "-1"))
    return ms if ms >= 0 and "delete" in found.get("cleanup.policy", "delete") else inf


def _differs(name: str, wanted: str, found: str | None) -> bool:
    """Whether a setting that is no matter of loss is worse than wanted."""
    if found is None:
        return False
    match name:
        case "segment.bytes":
            return int(found) > _LARGEST_SEGMENT_BYTES
        case "min.cleanable.dirty.ratio":
            return float(found) > _LARGEST_DIRTY_RATIO
        case "message.timestamp.type":
            return found != wanted
        case _:
            return False
