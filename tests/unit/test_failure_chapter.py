"""``docs/when-things-go-wrong.md``: every test that it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_CHAPTER = _ROOT / "docs" / "when-things-go-wrong.md"


def _tests() -> set[str]:
    """The names of all test functions."""
    found: set[str] = set()
    for path in (_ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.add(node.name)
    return found


def test_every_test_that_the_chapter_names_exists() -> None:
    """A promise about a failure is one that is tried; a test that was renamed is named anew."""
    named = set(re.findall(r"`(test_\w+)`", _CHAPTER.read_text(encoding="utf-8")))
    assert len(named) > 50
    assert named - _tests() == set()
