"""Log levels at run time, as Kafka Connect's ``/admin/loggers`` names them: dots for a tree, ``root`` at the top.

Of one worker, or of all by a notice (KIP-976): for those that run, until they end; one that starts later has its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import msgspec

from connector.ports import Notices

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
_KEY = "$logger/"


class _Level(msgspec.Struct):
    """A notice."""

    level: str
    at_ms: int


_decoder = msgspec.json.Decoder(_Level)


class Loggers:
    """The process's loggers, and those of the other workers. A level that is set holds until its process ends."""

    def __init__(self, notices: Notices) -> None:
        self._modified_ms: dict[str, int] = {}
        self._notices = notices
        self._began_ms = _now_ms()
        notices.follow(_KEY, self._told)

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
        now_ms = _now_ms()
        for found, logger in touched:
            logger.setLevel(LEVELS[level])
            self._modified_ms[found] = now_ms
        return [found for found, _ in touched]

    def set_everywhere(self, name: str, level: str) -> None:
        """The same on this worker at once, and on the others as soon as they hear of it."""
        self.set(name, level)
        self._notices.publish(f"{_KEY}{name}", msgspec.json.encode(_Level(level, _now_ms())))

    def _told(self, key: str, value: bytes | None) -> None:
        """A notice; the topic keeps those from before this worker began, which are not for it."""
        try:
            told = _decoder.decode(value or b"")
        except msgspec.DecodeError:
            return
        if told.at_ms >= self._began_ms and told.level in LEVELS:
            self.set(key.removeprefix(_KEY), told.level)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _loggers() -> Iterator[tuple[str, logging.Logger]]:
    yield _ROOT, logging.getLogger()
    for name, logger in sorted(logging.getLogger().manager.loggerDict.items()):
        if isinstance(logger, logging.Logger):
            yield name, logger


def _name_of(level: int) -> str:
    return _NAMES.get(level, "FATAL" if level > logging.ERROR else "DEBUG")
