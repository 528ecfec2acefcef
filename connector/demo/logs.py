"""The bridge's log while the demo has the screen: warnings are kept for later, the rest is dropped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import structlog


@contextmanager
def captured_warnings(keep: Callable[[str], None]) -> Iterator[None]:
    """Give every warning and worse to ``keep`` as a line of text, from whatever thread; write none of them."""
    root, structured = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level

    def keep_structured(_logger: object, _method: str, fields: structlog.typing.EventDict) -> NoReturn:
        event = fields.pop("event", "")
        fields.pop("exc_info", None)
        keep(" ".join([str(event), *(f"{name}={value}" for name, value in fields.items())]))
        raise structlog.DropEvent

    root.handlers[:] = [_Keeper(keep)]
    root.setLevel(logging.WARNING)
    structlog.configure(
        processors=[keep_structured], wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING)
    )
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.configure(**structured)


class _Keeper(logging.Handler):
    def __init__(self, keep: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._keep = keep

    def emit(self, record: logging.LogRecord) -> None:
        self._keep(f"{record.name}: {record.getMessage()}")
