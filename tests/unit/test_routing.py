"""Routes: the first that matches the platform's own type, else the stream's topic."""

from __future__ import annotations

import pytest

from connector.core.routing import Destination, Route, Router

_ROUTER = Router(
    "events",
    [
        Route("agent.*", "agents", urgent=True),
        Route("agent.state", "never"),
        Route("conversation.[su]*", "calls"),
        Route("*.end", "ends"),
        Route("?", "letters", urgent=True),
        Route("agent.*", "agents"),
    ],
)


@pytest.mark.parametrize(
    ("event_type", "topic", "urgent"),
    [
        ("agent.state", "agents", True), ("agent.", "agents", True), ("agent", "events", False),
        ("Agent.state", "events", False), ("my.agent.state", "events", False), ("conversation.start", "calls", False),
        ("conversation.update", "calls", False), ("conversation.end", "ends", False), ("x", "letters", True),
        ("agent.line\nbreak", "agents", True), ("", "events", False), ("é", "letters", True),
    ],
)  # fmt: skip
def test_first_match_wins(event_type: str, topic: str, urgent: bool) -> None:  # noqa: FBT001 - a table's column
    """A glob over the whole type, case and all; the same the second time."""
    assert _ROUTER.route(event_type) == Destination(topic, urgent)
    assert _ROUTER.route(event_type) == Destination(topic, urgent)


def test_topics_are_told_once_each() -> None:
    """The stream's own first."""
    assert _ROUTER.topics == ("events", "agents", "never", "calls", "ends", "letters")


def test_events_without_a_type_can_be_routed() -> None:
    """``*`` matches them too."""
    assert Router("events", [Route("*", "all")]).route("") == Destination("all", urgent=False)


def test_types_from_outside_are_not_remembered_without_end() -> None:
    """A platform that invents types costs time, not memory."""
    router = Router("events", [Route("t.*", "t")])
    for number in range(5000):
        assert router.route(f"t.{number}").topic == "t"
    assert len(router._known) <= 4096  # noqa: SLF001 - memory shows nowhere else
    assert router.route("t.4999").topic == "t"
