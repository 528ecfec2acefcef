"""How the demo looks: a live picture on a terminal, at most one line a second elsewhere. Draws, and knows nothing."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Final

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from connector.demo.state import SAMPLE_S, DemoState, Sample
from connector.demo.verdict import DemoVerdict

_WIDTH: Final = 100
_LABEL: Final = 10
_GAP: Final = 3
_FRAME: Final = 6  # borders and padding
_ROWS_BESIDE_NEWS: Final = 19
_MOST_NEWS: Final = 8
_BARS: Final = "▁▂▃▄▅▆▇█"
_TONES: Final = {"good": "green", "quiet": "dim", "bad": "yellow", "fault": "bold red"}
_STATES: Final = {"live": "green", "overlap": "cyan", "rotating": "cyan", "rotation_due": "cyan", "stopped": "dim"}


@dataclass(frozen=True, slots=True)
class Stage:
    """What does not change during a run, and the clocks the picture needs."""

    kafka: str
    platform: str
    metrics: str
    seconds: float
    token_life_s: float
    least_rotations: int


@dataclass(frozen=True, slots=True)
class Now:
    """Instants at which the picture is taken. ``played_s`` counts from the first committed event, None before."""

    wall_ms: int
    played_s: float | None
    token_left_s: float | None


# ---------------------------------------------------------------------- a terminal


def picture(stage: Stage, state: DemoState, now: Now, columns: int, rows: int) -> RenderableType:
    """The whole screen, for a terminal of this size."""
    width = min(_WIDTH, columns - 2)  # room for the ^C that a terminal echoes; it must not begin a new line
    body = Group(
        _addresses(stage),
        Text(),
        _figures(stage, state, now),
        Text(),
        _strips(state, width - _FRAME - _LABEL - _GAP),
        Text(),
        _news(state, max(1, min(_MOST_NEWS, rows - _ROWS_BESIDE_NEWS))),
        Text(),
        _progress(stage, state, now),
    )
    return Panel(
        body, title="[bold]ccaas-bridge demo[/]", box=ROUNDED, border_style="blue", padding=(0, 2), width=width
    )


def _addresses(stage: Stage) -> Table:
    table = _labelled()
    table.add_row("platform", Text.assemble((stage.platform, "bold"), ("  simulated", "dim")))
    table.add_row("kafka", Text(stage.kafka, style="bold"))
    table.add_row("metrics", Text(stage.metrics))
    return table


def _labelled() -> Table:
    table = Table.grid(padding=(0, _GAP))
    table.add_column(min_width=_LABEL, style="dim", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    return table


def _figures(stage: Stage, state: DemoState, now: Now) -> Table:
    lag_ms = state.lag_ms(now.wall_ms)
    overlap = "none yet" if state.last_overlap_s is None else f"{state.last_overlap_s * 1000:.0f} ms"
    table = Table.grid(padding=(0, _GAP))
    for width in (_LABEL, 24, 18, 8):
        table.add_column(min_width=width, no_wrap=True)
    colour = _STATES.get(state.state, "yellow")
    rows: list[tuple[str, RenderableType, str, RenderableType]] = [
        ("state", Text(f"● {state.state}", style=f"bold {colour}"), "events", Text(f"{state.events:,}")),
        ("token", _token(stage, now), "rate", Text(f"{state.events_per_s:,.0f} /s")),
        ("position", Text(_number(state.position), style="bold"), "lag", _lag(lag_ms)),
        ("rotations", _rotations(stage, state), "last overlap", Text(overlap)),
        ("sockets", Text("◉ " * state.sockets or "none"), "duplicates dropped", Text(f"{state.duplicates_dropped:,}")),
    ]
    for name, value, other, another in rows:
        table.add_row(Text(name, style="dim"), value, Text(other, style="dim"), another)
    return table


def _token(stage: Stage, now: Now) -> RenderableType:
    left_s = now.token_left_s
    if left_s is None:
        return Text("none", style="yellow")
    share = left_s / stage.token_life_s
    colour = "green" if share > 0.5 else "yellow" if share > 0.2 else "red"  # noqa: PLR2004  # colours, not rules
    bar = ProgressBar(total=1.0, completed=max(0.0, share), width=14, complete_style=colour, finished_style=colour)
    row = Table.grid(padding=(0, 1))
    row.add_row(bar, Text(f"{max(0.0, left_s):.1f} s left", style=colour))
    return row


def _lag(lag_ms: int | None) -> Text:
    if lag_ms is None:
        return Text("-")
    return Text(_duration(lag_ms), style="green" if lag_ms < 250 else "yellow")  # noqa: PLR2004  # a colour, not a rule


def _rotations(stage: Stage, state: DemoState) -> Text:
    return Text.assemble((f"{state.rotations}", "bold"), (f"  of at least {stage.least_rotations}", "dim"))


def _strips(state: DemoState, length: int) -> Table:
    """The last seconds: how many sockets there were, and how many events came."""
    recent = list(state.samples)[-length:]
    top = 2 * median([sample.events for sample in recent] or [0])  # a backlog at once must not flatten all the rest
    sockets, events = Text(), Text()
    for sample in recent:
        sockets.append(*_socket_mark(sample))
        events.append(*_event_mark(sample, top))
    table = _labelled()
    table.add_row("sockets", sockets)
    table.add_row("events", events)
    caption = f"last {length * SAMPLE_S:.0f} s   ━ one socket   ╋ two: a rotation   · none"
    table.add_row("", Text(caption, style="dim"))
    return table


def _socket_mark(sample: Sample) -> tuple[str, str]:
    if sample.most_sockets > 1:
        return "╋", "bold cyan"
    if sample.fewest_sockets == 0:
        return "·", "red"
    return "━", "green"


def _event_mark(sample: Sample, top: float) -> tuple[str, str]:
    if sample.events == 0:
        return "·", "red"
    return _BARS[min(len(_BARS) - 1, int(sample.events * len(_BARS) / (top + 1)))], "blue"


def _news(state: DemoState, rows: int) -> Table:
    table = _labelled()
    shown = list(state.news)[-rows:]
    for news in shown:
        table.add_row(f"{news.at_s:5.1f} s", Text(news.text, style=_TONES[news.tone]))
    for _ in range(rows - len(shown)):
        table.add_row("", "")
    return table


def _progress(stage: Stage, state: DemoState, now: Now) -> Table:
    played_s = min(now.played_s or 0.0, stage.seconds)
    row = Table.grid(padding=(0, 2))
    row.add_row(
        ProgressBar(total=stage.seconds, completed=played_s, width=28),
        Text(f"{played_s:.0f} of {stage.seconds:.0f} s"),
        Text(state.phase, style="bold"),
        Text("Ctrl-C ends it", style="dim"),
    )
    return row


# ---------------------------------------------------------------------- a pipe


def line(state: DemoState, now: Now, told: int) -> str:
    """One line about now, with what happened since news number ``told``; plain ASCII."""
    lag_ms = state.lag_ms(now.wall_ms)
    token = "none" if now.token_left_s is None else f"{max(0.0, now.token_left_s):.1f} s"
    overlap = "-" if state.last_overlap_s is None else f"{state.last_overlap_s * 1000:.0f} ms"
    figures = (
        f"{state.at_s:5.1f} s  {state.phase}: {state.state}  position {_number(state.position)}"
        f"  {state.events_per_s:.0f}/s  token {token}  rotations {state.rotations}  overlap {overlap}"
        f"  duplicates dropped {state.duplicates_dropped}  lag {'-' if lag_ms is None else _duration(lag_ms)}"
    )
    news = [news.text for news in list(state.news)[told:]]
    return "  | ".join([figures, *news]).encode("ascii", "replace").decode()


# ---------------------------------------------------------------------- the end


def verdict_text(verdict: DemoVerdict, topic: str, longest_overlap_s: float, duplicates_dropped: int) -> Text:
    """The figures one below the other, and the sentence they come to."""
    rows = [
        ("events", f"{verdict.events}", f"of {verdict.sent} that the platform sent", "bold"),
        (
            "rotations",
            f"{verdict.rotations}",
            (
                f"with two sockets for at most {longest_overlap_s * 1000:.0f} ms; "
                f"{duplicates_dropped} events came twice and went on once"
            ),
            "bold",
        ),
        ("lost", f"{verdict.lost}", "", _good(verdict.lost)),
        ("duplicated", f"{verdict.duplicated}", "", _good(verdict.duplicated)),
        ("out of order", f"{verdict.out_of_order}", "", _good(verdict.out_of_order)),
    ]
    text = Text(f"An independent ledger read {topic} as any read_committed reader would:\n")
    for name, figure, remark, style in rows:
        text.append(f"  {name:<14}")
        text.append(f"{figure:>8}", style)
        text.append(f"  {remark}\n" if remark else "\n", "dim")
    summary = (
        f"verdict: {verdict.events} events, {verdict.rotations} rotations, {verdict.lost} lost, "
        f"{verdict.duplicated} duplicated, {verdict.out_of_order} out of order: "
    )
    text.append(summary, "bold")
    if verdict.held:
        return text.append("held", "bold green")
    return text.append("did NOT hold", "bold red").append(f" ({'; '.join(verdict.faults)})")


def _good(figure: int) -> str:
    return "bold red" if figure else "bold green"


def _number(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _duration(ms: int) -> str:
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s"  # noqa: PLR2004  # where ms turn into s
