"""Which commit runs: as the distribution was built (``hatch_build.py``), or as git says of a checkout."""

from __future__ import annotations

import functools
import importlib.resources
import subprocess
from pathlib import Path

UNKNOWN = "unknown"
"""As Kafka says where its build was not told."""
_TIMEOUT_S = 5.0


@functools.cache
def commit() -> str:
    """The commit, with ``-dirty`` behind it where a checkout has changes; blocks for a moment, once."""
    told = importlib.resources.files(__package__).joinpath("commit.txt")
    if told.is_file():
        return told.read_text(encoding="ascii").strip()
    return _of_checkout(Path(__file__).parents[1]) or UNKNOWN


def _of_checkout(root: Path) -> str:
    """Empty where it is none, or git is missing."""
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)  # noqa: S603 - no input
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip()
