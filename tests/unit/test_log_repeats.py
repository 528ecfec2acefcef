"""A library that says the same dozens of times a second says it once in ten seconds."""

from __future__ import annotations

import logging

from connector.log_repeats import EVERY_S, Repeats


class _Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def _record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("library", logging.ERROR, __file__, 1, message, arguments, None)


def _passes(repeats: Repeats, message: str) -> bool:
    return repeats.filter(_record(message))


def test_messages_that_differ_in_digits_only_pass_once() -> None:
    """The address and the attempt differ; the fault is one."""
    repeats = Repeats(_Clock())
    told = [_passes(repeats, f"FAIL [client-{n}] connection refused after {n} ms") for n in range(30)]
    assert told == [True] + [False] * 29


def test_other_messages_are_not_held_back() -> None:
    """A second fault beside the first is seen at once."""
    repeats = Repeats(_Clock())
    assert _passes(repeats, "connection refused")
    assert _passes(repeats, "session timed out")


def test_held_back_messages_are_counted_by_the_next_that_passes() -> None:
    """Nothing is hidden: the next line tells how many there were."""
    clock = _Clock()
    repeats = Repeats(clock)
    for _ in range(8):
        _passes(repeats, "connection refused")
    clock.now_s += EVERY_S
    record = _record("connection %s", "refused")
    assert repeats.filter(record)
    assert record.getMessage() == "connection refused (7 more like it were held back)"
    clock.now_s += EVERY_S
    record = _record("connection refused")
    assert repeats.filter(record)
    assert record.getMessage() == "connection refused"


def test_memory_is_bounded() -> None:
    """Messages of ever new words do not fill the worker."""
    repeats = Repeats(_Clock())
    words = (chr(97 + n % 26) * (1 + n // 26) for n in range(5000))
    assert all(_passes(repeats, word) for word in words)
    assert len(repeats._kinds) <= 256  # noqa: SLF001 - what is bounded
