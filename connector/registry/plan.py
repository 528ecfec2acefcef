"""Where the registry is, and which topics have a schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["json-schema", "avro"]


@dataclass(frozen=True, slots=True)
class RegistryPlan:
    """Where the registry is, and how subjects are named; the time-out in seconds."""

    url: str
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    timeout_s: float = 5.0
    auto_register: bool = True
    subject: Literal["topic", "record", "topic-record"] = "topic"


class FormPlan(NamedTuple):
    """How a topic's values are written. ``schema_file`` None: as the newest version of the topic's subject."""

    topic: str
    kind: Kind
    schema_file: Path | None
