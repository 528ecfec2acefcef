"""What a scenario stands on: a broker, and a directory for its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.broker import fresh_name


@dataclass(frozen=True)
class Stage:
    """Bootstrap servers of a broker that other tests use too, and a directory of the test's own."""

    kafka: str
    directory: Path

    def name(self, prefix: str) -> str:
        """A name for a topic that nobody else uses."""
        return fresh_name(prefix)
