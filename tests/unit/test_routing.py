"""From a type to a topic."""

from __future__ import annotations

import pytest

from connector.core.routing import Destination, Route, Router

ROUTER = Router(
    "events", [Route("agent.*", "agents", urgent=True), Route("agent.state", "never"), Route("queue.?", "events")]
)


@pytest.mark.parametrize(
    ("event_type", "destination"),
    [
        ("agent.state", Destination("agents", urgent=True)),
        ("agent.", Destination("agents", urgent=True)),
        ("queue.a", Destination("events", urgent=False)),
        ("my.agent.state", Destination("events", urgent=False)),
        ("", Destination("events", urgent=False)),
    ],
)
def test_first_match_wins(event_type: str, destination: Destination) -> None:
    """Else the stream's own topic; asked twice, the same."""
    assert [ROUTER.route(event_type) for _ in range(2)] == [destination] * 2


def test_topics_are_each_named_once() -> None:
    """The stream's own first."""
    assert ROUTER.topics == ("events", "agents", "never")
    assert Router("events").topics == ("events",)


def test_types_from_outside_do_not_fill_the_memory() -> None:
    """Beyond a bound answers are not remembered, and still right."""
    router = Router("events", [Route("x*", "xs")])
    assert {router.route(f"x{n}").topic for n in range(5000)} == {"xs"}
    assert router.route("y").topic == "events"
