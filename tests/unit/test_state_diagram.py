"""The diagram in DESIGN.md shows the transition table as it is."""

from __future__ import annotations

import pytest

from connector.core.states import TRANSITIONS, State
from tests.support.diagram import BEGIN, DESIGN, END, MarkersMissingError, draw, insert, main


def test_design_shows_the_table_as_it_is() -> None:
    """Drifted? Write it anew: ``python -m tests.support.diagram --write``."""
    page = DESIGN.read_text(encoding="utf-8")
    assert insert(page) == page


def test_every_arrow_is_drawn() -> None:
    """Each row of the table is an arrow with its input."""
    arrows = {
        (source.strip(), target): events.split(", ")
        for source, _, rest in (line.partition(" --> ") for line in draw().splitlines())
        for target, _, events in (rest.partition(": "),)
        if events
    }
    rows = {
        (source, target, event)
        for source, inputs in TRANSITIONS.items()
        for event, targets in inputs.items()
        for target in targets
    }
    assert {(*arrow, event) for arrow, events in arrows.items() for event in events} == rows


def test_every_state_has_a_row() -> None:
    """No state is forgotten in the table, and every one but the first is led to."""
    assert set(TRANSITIONS) == set(State)
    targets = {target for inputs in TRANSITIONS.values() for targets in inputs.values() for target in targets}
    assert targets | {State.AWAITING_TOKEN, State.STOPPED} == set(State)


@pytest.mark.parametrize("page", ["nothing", f"only {BEGIN}", f"only {END}", f"{END} before {BEGIN}"])
def test_page_without_markers_is_refused(page: str) -> None:
    """Otherwise the diagram would vanish unnoticed."""
    with pytest.raises(MarkersMissingError):
        insert(page)


def test_rest_of_the_page_stays() -> None:
    """What stands between the markers is replaced, what is around them is not, however often."""
    page = insert(f"before\n{BEGIN}\nFORMER\n{END}\nafter\n")
    assert page.startswith(f"before\n{BEGIN}\n")
    assert page.endswith(f"{END}\nafter\n")
    assert "FORMER" not in page
    assert insert(page) == page


def test_command_prints_the_diagram(capsys: pytest.CaptureFixture[str]) -> None:
    """Without ``--write`` nothing is changed."""
    before = DESIGN.read_text(encoding="utf-8")
    main([])
    assert capsys.readouterr().out == draw() + "\n"
    assert DESIGN.read_text(encoding="utf-8") == before
