"""What a benchmark found: figures beside their floors and targets, as a table and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Target:
    """A bound from DESIGN.md, "Performance"; ``on_ratio``: for value over floor instead of the value."""

    bound: float
    at_least: bool = False
    on_ratio: bool = False

    def describe(self) -> str:
        """As the table shows it."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}{' x floor' if self.on_ratio else ''}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. ``floor``: the same, measured in the same run, of a program that does only what it must."""

    name: str
    unit: str
    value: float
    floor: float | None = None
    ratio: float | None = None
    target: Target | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the target is; None without one."""
        if self.target is None:
            return None
        judged = self.ratio if self.target.on_ratio else self.value
        if judged is None:
            return None
        return judged >= self.target.bound if self.target.at_least else judged <= self.target.bound


@dataclass(slots=True)
class Outcome:
    """A benchmark's figures. ``faults``: what the topic showed to be wrong, which makes all of them invalid."""

    benchmark: str
    figures: list[Figure] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "benchmark": self.benchmark,
            "valid": not self.faults,
            "faults": self.faults,
            "figures": [
                {
                    "name": figure.name,
                    "unit": figure.unit,
                    "value": figure.value,
                    "floor": figure.floor,
                    "ratio": figure.ratio,
                    "target": figure.target.describe() if figure.target is not None else None,
                    "reached": figure.reached,
                    "note": figure.note,
                }
                for figure in self.figures
            ],
            "details": self.details,
        }


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The value that ``share`` of all (0 to 1) do not exceed; ``nan`` of nothing."""
    if not sorted_values:
        return float("nan")
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def spread(values: Sequence[float]) -> str:
    """Median and extremes of repeated measurements, for a note."""
    if len(values) == 1:
        return "1 run"
    return f"{len(values)} runs: {min(values):.3g} … {statistics.median(values):.3g} … {max(values):.3g}"


def show(outcomes: Sequence[Outcome]) -> None:
    """Print the table."""
    table = Table(title="Benchmarks", title_justify="left")
    for heading in ("benchmark", "figure"):
        table.add_column(heading, overflow="fold")
    for heading in ("value", "floor", "ratio"):
        table.add_column(heading, justify="right")
    for heading in ("target", "reached", "note"):
        table.add_column(heading, overflow="fold")
    for outcome in outcomes:
        for i, figure in enumerate(outcome.figures):
            table.add_row(outcome.benchmark if i == 0 else "", *_cells(figure, valid=not outcome.faults))
        for fault in outcome.faults:
            table.add_row(outcome.benchmark, "[bold red]INVALID[/]", "", "", "", "", "", fault)
        table.add_section()
    Console(width=None if Console().is_terminal else 150).print(table)


def _cells(figure: Figure, *, valid: bool) -> list[str]:
    reached = {True: "yes", False: "no", None: "—"}[figure.reached] if valid else "invalid"
    return [
        figure.name,
        f"{figure.value:,.4g} {figure.unit}",
        "" if figure.floor is None else f"{figure.floor:,.4g}",
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "" if figure.target is None else figure.target.describe(),
        reached,
        figure.note,
    ]
