"""The view of ``ccaas-bridge streams``: reads a worker's status events and draws them as a table."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from connector.errors import PrerequisiteError

_TIMEOUT_S = 10.0
_URGENCY = {"FAILED": 0, "UNASSIGNED": 1, "RUNNING": 2, "PAUSED": 3, "STOPPED": 4}
_STYLES = {"RUNNING": "green", "FAILED": "bold red", "UNASSIGNED": "yellow", "PAUSED": "blue", "STOPPED": "blue"}
_NONE = "-"
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400

_SEARCHED = ("name", "worker", "phase", "state")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Worker:
    """Whom to ask, and as whom."""

    url: str
    token: str | None = field(default=None, repr=False)


class View:
    """What a worker has told so far."""

    def __init__(self) -> None:
        self.message: Row = {}
        self._streams: dict[str, Row] = {}

    def take(self, message: Mapping[str, Any]) -> None:
        """A message holds the streams that have changed, and all names where those have."""
        self._streams |= {row["name"]: row for row in message["streams"]}
        for name in self._streams.keys() - set(message.get("names", self._streams)):
            del self._streams[name]
        self.message = {**self.message, **message}

    def rows(self, find: str) -> list[Row]:
        """Those with ``find`` in name, worker or state; who needs help comes first."""
        wanted = find.lower()
        found = [
            r
            for r in self._streams.values()
            if wanted in f"{r['name']} {r['worker']} {r['phase']} {r['state']}".lower()
        ]
        return sorted(found, key=lambda row: (_URGENCY.get(row["phase"], 9), row["name"]))


def as_json(worker: Worker, find: str) -> str:
    """All that is known now, as JSON."""
    view = _first(worker)
    return orjson.dumps({**view.message, "streams": view.rows(find)}).decode()


def once(worker: Worker, find: str) -> None:
    """Print what is known now."""
    Console().print(table(_first(worker), find))


def follow(worker: Worker, find: str) -> None:
    """Show it live, until interrupted."""
    view, console = View(), Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for message in messages(worker):
            view.take(message)
            live.update(table(view, find, most=console.height - 4), refresh=True)


def messages(worker: Worker) -> Iterator[Row]:
    """The worker's status events; raises :class:`PrerequisiteError` where it does not answer, or no longer."""
    headers = {"Accept": "text/event-stream"}
    if worker.token is not None:
        headers["Authorization"] = f"Bearer {worker.token}"
    if not worker.url.startswith(("http://", "https://")):
        raise PrerequisiteError(f"{worker.url} is no http:// or https:// URL")
    request = urllib.request.Request(f"{worker.url}/ui/events", headers=headers)  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - likewise
            for line in answer:
                if line.startswith(b"data: "):
                    yield orjson.loads(line[6:])
    except urllib.error.HTTPError as error:
        with error:
            raise PrerequisiteError(f"{worker.url} answers {error.code}: {_message(error.read())}") from error
    except OSError as error:
        raise PrerequisiteError(f"{worker.url} does not answer: {error}") from error


def _message(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return "is it a worker of the bridge?"


def _first(worker: Worker) -> View:
    view = View()
    for message in messages(worker):
        view.take(message)
        break
    return view


def table(view: View, find: str, most: int | None = None) -> Table:
    """The rows, at most so many of them."""
    rows, now_ms = view.rows(find), view.message.get("now_ms", 0)
    counts = ", ".join(
        f"{number} {phase.lower()}" for phase in _URGENCY if (number := sum(r["phase"] == phase for r in rows))
    )
    drawn = Table(
        title=f"{view.message.get('group', '')}: {counts or 'no stream'}", box=None, header_style="bold", pad_edge=False
    )
    for name in ("Stream", "State", "Events/s", "Lag", "Position", "Token", "Rotated", "Gaps", "Worker"):
        right = name in ("Events/s", "Lag", "Position", "Token", "Gaps")
        drawn.add_column(name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    for row in rows[:most]:
        drawn.add_row(*_cells(row, now_ms))
    return drawn


def _cells(row: Row, now_ms: int) -> list[Text | str]:
    why = f" {row['trace']}" if row["trace"] else ""
    return [
        row["name"],
        Text(row["phase"], style=_STYLES.get(row["phase"], "")) + Text(why, style="dim"),
        f"{row['rate']:.1f}",
        _NONE if row["lag_s"] is None else f"{row['lag_s']:.2f} s",
        row["position"] or _NONE,
        _NONE if row["token_ms"] is None else span(row["token_ms"] - now_ms),
        _NONE if row["rotated_ms"] is None else f"{span(now_ms - row['rotated_ms'])} ago",
        Text(str(row["gaps"]), style="red" if row["gaps"] else ""),
        f"{row['worker'] or 'nobody'}, lane {row['lane']}",
    ]


def span(ms: int) -> str:
    """A length of time in its largest unit or two."""
    seconds = max(0, round(ms / 1000))
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} m {seconds % _MINUTE_S:02} s"
    if seconds < _DAY_S:
        return f"{seconds // _HOUR_S} h {seconds % _HOUR_S // _MINUTE_S:02} m"
    return f"{seconds // _DAY_S} d"
