"""Telemetry events → log lines and metrics. The per-batch events make no log line."""

from __future__ import annotations

import structlog

from connector import telemetry

_log = structlog.get_logger("connector.stream")


class Observer:
    """Call it with a telemetry event."""

    def __init__(self, metrics: object, extra: telemetry.Observer | None = None) -> None:
        self._metrics = metrics
        self._extra = extra

    def __call__(self, event: telemetry.Event) -> None:
        if self._extra is not None:
            self._extra(event)
        if type(event) in (telemetry.BatchRead, telemetry.Committed):
            return
        _log.info(type(event).__name__, **{k: getattr(event, k) for k in event.__dataclass_fields__})

    def token(self, event: object) -> None: ...
