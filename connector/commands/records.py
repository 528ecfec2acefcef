"""Reading a topic of JSON records for a command, and writing them out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from confluent_kafka import Message

from connector.audit.reading import Reading, Unread, no_progress
from connector.settings import Settings
from connector.worker import plans

_OPEN_TRANSACTION_S = 45.0


@dataclass(frozen=True, slots=True)
class JsonRecord:
    """A record of an internal topic, and where it stands. ``value`` empty: a tombstone."""

    key: str
    value: dict[str, Any]
    partition: int
    offset: int


def read_records(settings: Settings, topic: str) -> tuple[list[JsonRecord], list[Unread]]:
    """Every committed record with a JSON object, and where reading stopped short of the end.

    Records about the topic itself (their key begins with ``$``) and what is no JSON object are left out. Raises
    KafkaException.
    """
    found: list[JsonRecord] = []

    def take(message: Message) -> None:
        key = (message.key() or b"").decode(errors="replace")
        value = _object(message.value())
        if value is not None and not key.startswith("$"):
            found.append(JsonRecord(key, value, message.partition() or 0, message.offset() or 0))

    reading = Reading(plans.kafka_client(settings).common(), take, _OPEN_TRANSACTION_S, no_progress)
    reading.read([topic])
    return found, reading.unread


def _object(value: bytes | None) -> dict[str, Any] | None:
    try:
        found = orjson.loads(value) if value is not None else {}
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def as_json_document(name: str, found: Sequence[object]) -> str:
    """One document with a list."""
    return orjson.dumps({"v": 1, name: found}, option=orjson.OPT_INDENT_2).decode()


def as_table(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    """Aligned columns with a header, for people and for ``awk``."""
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
