"""Draws a stream's states into DESIGN.md, from the transition table.

``python -m tests.support.diagram`` prints the diagram; ``--write`` puts it between the markers in DESIGN.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from connector.core.states import TRANSITIONS, State

DESIGN = Path(__file__).parents[2] / "DESIGN.md"
BEGIN, END = "<!-- states:begin -->", "<!-- states:end -->"


class MarkersMissingError(Exception):
    """The page has no place for the diagram."""


def draw() -> str:
    """A Mermaid ``stateDiagram-v2``: an arrow for each pair of states, with the inputs that lead from one to the other.

    "stop", which leads from everywhere to ``stopped``, is left out; the page says it in words.
    """
    lines = ["stateDiagram-v2", f"    [*] --> {State.AWAITING_TOKEN}"]
    for source, inputs in TRANSITIONS.items():
        arrows: dict[State, list[str]] = {}
        for event, targets in inputs.items():
            for target in targets:
                arrows.setdefault(target, []).append(event)
        lines += [f"    {source} --> {target}: {', '.join(events)}" for target, events in arrows.items()]
    return "\n".join(lines)


def insert(page: str) -> str:
    """The page with the diagram between its markers; raises :class:`MarkersMissingError`."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise MarkersMissingError(f"no {BEGIN} followed by {END}")
    return f"{before}{BEGIN}\n\n```mermaid\n{draw()}\n```\n\n{END}{after}"


def main(arguments: list[str] | None = None) -> None:
    """As the module's docstring says."""
    parser = argparse.ArgumentParser(description="Draws a stream's states, from the transition table.")
    parser.add_argument("--write", action="store_true", help="put the diagram into DESIGN.md")
    if parser.parse_args(arguments).write:
        DESIGN.write_text(insert(DESIGN.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(draw())  # noqa: T201 - that is what the command is for


if __name__ == "__main__":
    main()
