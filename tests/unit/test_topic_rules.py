"""What topics must be like, by example."""

from __future__ import annotations

import pytest

from connector.core.finding import State
from connector.core.topic_rules import TopicSpec, judge_dead_letters

_WEEK, _DAY = {"retention.ms": "604800000"}, {"retention.ms": "86400000"}
_FOREVER, _COMPACT = {"retention.ms": "-1"}, {"retention.ms": "86400000", "cleanup.policy": "compact"}


@pytest.mark.parametrize(
    ("found", "events", "state", "mend"),
    [
        (_WEEK, [_WEEK, _DAY], State.OK, ""),
        (_FOREVER, [_COMPACT, _FOREVER], State.OK, ""),
        (_DAY, [_DAY, _WEEK], State.WARNS, "retention.ms=604800000"),
        (_WEEK, [_DAY, _FOREVER], State.WARNS, "retention.ms=-1"),
        (_WEEK, [_COMPACT], State.WARNS, "retention.ms=-1"),
        (_WEEK, [{}], State.SKIPPED, ""),
        ({}, [_WEEK], State.SKIPPED, ""),
    ],
)
def test_dead_letters_are_kept_as_long_as_the_events_they_were(
    found: dict[str, str], events: list[dict[str, str]], state: State, mend: str
) -> None:
    """The longest of the event topics counts; what nobody may describe is not compared."""
    finding = judge_dead_letters(TopicSpec("g.dead-letter", -1), found, events)
    assert finding.state is state
    assert mend in (finding.mend or "")
