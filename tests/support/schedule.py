"""Which process runs which test, where several run them at the same time (pytest-xdist)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest

_TESTS: Final = Path(__file__).parents[1]
_ONE_PROCESS: Final = {
    "tests/integration/test_keycloak.py",
    "tests/integration/test_status_page.py",
    "tests/published/test_image.py",
}
"""Modules whose server, browser or build is dear to start: once, not once a process."""
_LONG: Final = ("integration", "properties")


class Schedule(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Each test goes to the process that is free, in the order of the tests; those of a few modules to one process."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if module in _ONE_PROCESS else nodeid


def longest_first(item: pytest.Item) -> tuple[bool, int]:
    """A key to sort by: no process is left alone with something long in the end."""
    directory = item.path.relative_to(_TESTS).parts[0]
    return item.get_closest_marker("slow") is None, _LONG.index(directory) if directory in _LONG else len(_LONG)
