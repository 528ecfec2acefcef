"""Finds a server for tests in one of several ways; where none works the test fails and says why."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ENGINE_TIMEOUT_S: Final = 3.0


class UnavailableError(Exception):
    """The server cannot be had in this way."""


def first_that_works(how_to_get_one: str, attempts: Mapping[str, Callable[[], str]]) -> str:
    """The address that the first attempt (by its name) to raise no UnavailableError returns."""
    failures: list[str] = []
    for name, attempt in attempts.items():
        try:
            return attempt()
        except UnavailableError as exc:
            failures.append(f"  {name}: {exc}")
    return pytest.fail("\n".join([how_to_get_one, *failures]), pytrace=False)


def find_engine(image: str, *, fetch: bool) -> None:
    """Return where a container engine runs, and has the image unless it may ``fetch`` it; raises UnavailableError.

    Asks the command line, not the library: that one leaves a socket open where no engine answers.
    """
    question = ["docker", "info"] if fetch else ["docker", "image", "inspect", image]
    try:
        subprocess.run(question, capture_output=True, text=True, check=True, timeout=_ENGINE_TIMEOUT_S)
    except subprocess.CalledProcessError as exc:
        raise UnavailableError(f"{' '.join(question)}: {exc.stderr.strip()}") from exc
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise UnavailableError(f"no container engine: {exc}") from exc
