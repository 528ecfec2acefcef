"""Puts the commit that a distribution is built from into it: the wheel has no repository to ask."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PLACE = "connector/commit.txt"


class CommitHook(BuildHookInterface[Any]):
    """By ``CCAAS_REVISION``, by git, or as the source distribution says that this one is built from."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling's build hooks. An editable installation asks git itself, each time it starts."""
        told = self._told()
        if version == "editable" or not told:
            return
        file = Path(mkdtemp()) / "commit.txt"
        file.write_text(told)
        build_data["force_include"][str(file)] = _PLACE

    def _told(self) -> str:
        root = Path(self.root)
        revision = os.environ.get("CCAAS_REVISION", "")
        if revision and revision != "unknown":
            return revision
        if (root / ".git").exists():
            command = ["git", "-C", str(root), "rev-parse", "HEAD"]
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        kept = root / _PLACE
        return kept.read_text() if kept.exists() else ""
