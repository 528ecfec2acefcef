"""The log's reference page, and one name for an event in log, metric and span."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from connector import logs_reference, telemetry
from connector.web.metrics import Metrics
from connector.worker.board import Board
from connector.worker.observer import LINES, SELDOM, Observer

_PAGE = Path(__file__).parents[2] / "docs" / "logs.md"


def test_reference_page_has_not_drifted() -> None:
    """`python -m connector.logs_reference > docs/logs.md` mends it."""
    assert _PAGE.read_text(encoding="utf-8") == logs_reference.page()


@pytest.mark.parametrize("kind", [kind for kind in {**LINES, **SELDOM} if kind is not telemetry.Failed])
def test_every_line_has_a_signal(kind: type[telemetry.Event]) -> None:
    """An event without a name in ``telemetry.SIGNALS`` could not be found again in metrics and spans."""
    assert kind in telemetry.SIGNALS


def test_line_says_its_signal() -> None:
    """A failure's tells the path: rotation and network are never one."""
    observer = Observer(Metrics(), Board({}))
    with structlog.testing.capture_logs() as lines:
        observer(telemetry.Restored("s"))
        for path in telemetry.PATHS:
            observer(telemetry.Failed("s", path, "reset", "closed 1006", 1.0, 1, breaker_open=False))
    assert [line["signal"] for line in lines] == [
        "stream_restored",
        "network_failure",
        "rotation_failure",
        "auth_failure",
    ]


def test_what_is_counted_has_the_name_of_its_event() -> None:
    """Each of these is a line, a metric and, some, a span."""
    names = [metric.name for metric in Metrics().described]
    counted = (
        "connect rotation network_failure rotation_failure auth_failure hole_suspected gap dead_letter poison_alert "
        "stream_fault stream_state stream_suspended reading_paused token_request commit"
    )
    assert {signal for signal in counted.split() if not logs_reference.metrics_of(signal, names)} == set()
