"""Log levels at run time, as Kafka Connect's ``/admin/loggers`` names them: dots for a tree, ``root`` at the top."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

LEVELS = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
}
"""log4j's names, which Connect's clients use, and Python's for the same."""
_NAMES = {logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARN", logging.ERROR: "ERROR"}
_ROOT = "root"


class Loggers:
    """The process's loggers. A level that is set here holds until the process ends, on this worker only."""

    def __init__(self) -> None:
        self._modified_ms: dict[str, int] = {}

    def all(self) -> dict[str, dict[str, object]]:
        """Every logger that exists, with its level in effect and when that was set here."""
        return {
            name: {"level": _name_of(logger.getEffectiveLevel()), "last_modified": self._modified_ms.get(name)}
            for name, logger in _loggers()
        }

    def set(self, name: str, level: str) -> list[str]:
        """Set the level of a logger and of all below it; returns their names. ``level``: one of :data:`LEVELS`."""
        logging.getLogger(None if name == _ROOT else name)  # one that nobody has used yet is made
        touched = [
            (found, each) for found, each in _loggers() if name in (_ROOT, found) or found.startswith(f"{name}.")
        ]
        now_ms = time.time_ns() // 1_000_000
        for found, logger in touched:
            logger.setLevel(LEVELS[level])
            self._modified_ms[found] = now_ms
        return [found for found, _ in touched]


def _loggers() -> Iterator[tuple[str, logging.Logger]]:
    yield _ROOT, logging.getLogger()
    for name, logger in sorted(logging.getLogger().manager.loggerDict.items()):
        if isinstance(logger, logging.Logger):
            yield name, logger


def _name_of(level: int) -> str:
    return _NAMES.get(level, "FATAL" if level > logging.ERROR else "DEBUG")
