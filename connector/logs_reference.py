"""``python -m connector.logs_reference``: the reference page of the log, made from the types of the telemetry events.

Prints the page; ``docs/logs.md`` is this output, and a test fails when it has drifted.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import fields
from typing import NamedTuple

from connector import telemetry
from connector.auth.events import SIGNAL, STORY
from connector.web.metrics import Metrics
from connector.worker.observer import LINES, SELDOM

SPANS = (
    SIGNAL,
    telemetry.SIGNALS[telemetry.RotationDone],
    telemetry.SIGNALS[telemetry.Dialing],
    telemetry.SIGNALS[telemetry.Committed],
)
"""Names of the spans; those of ``connector.worker.tracing``, which needs OpenTelemetry."""
_INTRODUCTION = """\
# The log

<!-- made by `python -m connector.logs_reference`; do not edit -->

A worker writes lines of JSON to stderr (`run --log-json`; on a terminal text in colours). Each has

| field | |
| --- | --- |
| `timestamp` | RFC 3339, UTC |
| `level` | `debug`, `info`, `warning`, `error`, `critical` |
| `logger` | the part of the bridge: `connector.stream`, `connector.token`, `connector.lane` …, or a library |
| `event` | what happened, in words |

and, where it tells of one of the events below, `signal`: the event's name, the same in log, metrics and spans. Readers
ignore fields that they do not know. Nothing secret is in a line: tokens, passwords and what looks like them are `***`.

The level can be changed while the bridge runs: `PUT /admin/loggers/connector.stream` with `{"level": "DEBUG"}`, for all
workers with `?scope=cluster` (docs/operating.md).

Lines of dead letters and of full buffers come at most every ten seconds for a stream, with the number of those that
were left out, `untold`.

Every event of a stream has `stream`, its name; every event of a token `name`, its platform's. Durations in seconds.
"""
_TABLE = """
| signal | `event` | level | metric | span | fields |
| --- | --- | --- | --- | --- | --- |"""


class Line(NamedTuple):
    """A line that tells of an event."""

    signal: str
    text: str
    level: int
    fields: tuple[str, ...]
    meaning: str


def page() -> str:
    """The whole page, in Markdown."""
    streams, tokens = list(_of_streams()), list(_of_tokens())
    metrics = [metric.name for metric in Metrics().described]
    parts = [_INTRODUCTION, "## Streams", _TABLE, *(_row(line, metrics) for line in streams)]
    parts += ["", "## Tokens", _TABLE, *(_row(line, metrics) for line in tokens)]
    return "\n".join([*parts, "", "## What they mean", "", *_meanings([*streams, *tokens])]) + "\n"


def metrics_of(signal: str, names: list[str]) -> list[str]:
    """The metrics that a signal is the stem of, as ``gap`` is of ``ccaas_gaps_total``."""
    first, _, rest = signal.partition("_")
    stems = {f"ccaas_{signal}", f"ccaas_{signal}s", f"ccaas_{first}s_{rest}" if rest else ""} - {""}
    return [name for name in names if any(name in (stem, f"{stem}_total", f"{stem}_seconds") for stem in stems)]


def _of_streams() -> Iterator[Line]:
    for kind, (level, text) in {**LINES, **SELDOM}.items():
        names = tuple(field.name for field in fields(kind) if field.name != "stream")
        meaning = " ".join((kind.__doc__ or "").split())
        if kind is telemetry.Failed:
            yield from (Line(f"{path}_failure", text, level, names, meaning) for path in telemetry.PATHS)
        else:
            yield Line(telemetry.SIGNALS[kind], text, level, names, meaning)


def _of_tokens() -> Iterator[Line]:
    for kind, (level, text) in STORY.items():
        names = tuple(field.name for field in fields(kind) if field.name != "name")
        yield Line(SIGNAL, text, level, names, " ".join((kind.__doc__ or "").split()))


def _row(line: Line, metrics: list[str]) -> str:
    level = logging.getLevelName(line.level).lower()
    counted = ", ".join(f"`{name}`" for name in metrics_of(line.signal, metrics))
    span = f"`{line.signal}`" if line.signal in SPANS else ""
    told = ", ".join(f"`{name}`" for name in line.fields)
    return f"| `{line.signal}` | {line.text} | {level} | {counted} | {span} | {told} |"


def _meanings(lines: list[Line]) -> Iterator[str]:
    for text, meaning in {line.text: line.meaning for line in lines}.items():
        yield f"- *{text}*: {meaning.replace(':class:', '').replace(':mod:', '').replace('``', '`')}"


if __name__ == "__main__":
    sys.stdout.write(page())
