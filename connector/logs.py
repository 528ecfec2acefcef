"""Structured logs on stderr: JSON lines, or colours on a terminal; nothing secret in either.

structlog's own loggers and the standard library's (aiohttp, asyncio …) go through the same processors into one
handler, so a line looks the same wherever it was born. Threads may log.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from connector.log_repeats import Repeats

_HIDDEN: Final = "***"
_SECRET_KEY: Final = re.compile(
    r"authorization|cookie|passw|secret|passphrase|assertion|credential|private[_-]?key|api[_-]?key"
    r"|(^|[_.-])(access_|refresh_|id_)?token$|^bearer$|^jwt$",
    re.IGNORECASE,
)
_SECRET_TEXT: Final = (
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/-]{6,}=*", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?"), _HIDDEN),  # a JWT
    (
        re.compile(
            r"""\b(client_secret|access_token|refresh_token|password|assertion)(["']?\s*[=:]\s*["']?)[^\s"'&,;}]+"""
        ),
        rf"\1\2{_HIDDEN}",
    ),
    (re.compile(r"\b([a-z][a-z0-9+.-]*://)[^\s/@]*@"), rf"\1{_HIDDEN}@"),  # user:password@ in a URL
)
_NOISY: Final = {"aiohttp.access": logging.WARNING, "asyncio": logging.WARNING}
_REPETITIVE: Final = ("connector.kafka.librdkafka", "opentelemetry.exporter.otlp.proto.http.trace_exporter")


def configure_logs(level: str = "info", *, json: bool | None = None) -> None:
    """Send every log line to stderr. ``json`` None: JSON unless stderr is a terminal. May be called again.

    Raises ``ValueError`` for a level that logging does not know.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"no such log level; there are {', '.join(logging.getLevelNamesMapping()).lower()}")
    as_json = not sys.stderr.isatty() if json is None else json
    shared = _shared()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(as_json=as_json)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name, least in _NOISY.items():
        logging.getLogger(name).setLevel(max(least, number))
    for name in _REPETITIVE:
        logging.getLogger(name).filters[:] = [Repeats()]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # the demo and tests configure anew
    )


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _renderers(*, as_json: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer(_to_json)]
    return [structlog.processors.format_exc_info, redact, _console()]


def _console() -> Processor:
    """Plain tracebacks: a pretty one would show the values of local variables."""
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _to_json(fields: EventDict, **_: Any) -> str:  # noqa: ANN401 - structlog passes json.dumps' own options
    """One line, the common fields first; values that JSON has no word for become text."""
    first = {name: fields.pop(name) for name in ("timestamp", "level", "logger", "event") if name in fields}
    return orjson.dumps({**first, **fields}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def redact(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """Hide values under keys that look like secrets, and tokens and passwords inside any text."""
    return {key: _HIDDEN if _is_secret(key) else _clean(value) for key, value in fields.items()}


def _is_secret(key: object) -> bool:
    return _SECRET_KEY.search(str(key)) is not None


def _clean(value: Any) -> Any:  # noqa: ANN401 - a log field is anything
    if isinstance(value, str):
        for pattern, replacement in _SECRET_TEXT:
            value = pattern.sub(replacement, value)
        return value
    if isinstance(value, Mapping):
        return {key: _HIDDEN if _is_secret(key) else _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    if isinstance(value, bytes | BaseException):
        return _clean(repr(value))
    return value
