"""Channels of topics: what goes on which, and which is used again."""

from __future__ import annotations

import pytest

from connector.core.channels import (
    COMBINED_CHARACTERS,
    Channel,
    Channels,
    combine,
    expand,
    kind_of,
    kinds_of,
    matching,
    rearranged,
    spread,
)
from connector.model import Token

QUEUE, USER = "v2.routing.queues.{id}.conversations", "v2.users.{id}.presence"


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        (QUEUE, "queues"),
        ("v2.analytics.queues.{id}.observations", "queues"),
        (USER, "users"),
        ("v2.detail.events.agent.{id}.state", "users"),
        ("v2.detail.events.conversation.{id}.acd.start", None),
        ("v2.system.nothing", None),
    ],
)
def test_kind_of_a_placeholder(topic: str, kind: str | None) -> None:
    """The word before it tells what it stands for."""
    assert kind_of(topic) == kind


def test_expansion() -> None:
    """Each id in its place, each topic once; what has no placeholder stays."""
    ids = {"queues": ["q1", "q2"], "users": ["u1"]}
    topics = [QUEUE, USER, "v2.users.me.presence", "v2.users.u1.presence"]
    assert expand(topics, ids) == [
        "v2.routing.queues.q1.conversations",
        "v2.routing.queues.q2.conversations",
        "v2.users.u1.presence",
        "v2.users.me.presence",
    ]
    assert expand([QUEUE], {}) == []
    assert kinds_of(topics) == {"queues", "users"}


def test_names() -> None:
    """Globs, case included."""
    assert matching({"2": "Sales EU", "1": "Sales US", "3": "sales"}, ["Sales*"]) == ["1", "2"]


def test_spreading() -> None:
    """As few channels as will do; combined only where that is needed."""
    few = ["v2.users.a.presence", "v2.users.a.activity"]
    assert spread(few, limit=2) == [tuple(few)]
    assert spread([*few, "v2.users.b.presence"], limit=2) == [("v2.users.a?presence&activity", "v2.users.b.presence")]
    assert spread([f"v2.users.{n}.presence" for n in "abc"], limit=2) == [
        ("v2.users.a.presence", "v2.users.b.presence"),
        ("v2.users.c.presence",),
    ]
    assert spread([]) == []


def test_combined_topics_have_their_limit() -> None:
    """And what is combined already is left alone."""
    words = [f"word{n:020}" for n in range(20)]
    told = combine([*(f"v2.users.a.{word}" for word in words), "v2.users.b?x&y"])
    assert told[-1] == "v2.users.b?x&y"
    assert max(map(len, told)) <= COMBINED_CHARACTERS
    found = [word for topic in told[:-1] for word in topic.removeprefix("v2.users.a")[1:].split("&")]
    assert found == words


def test_rearranging_leaves_topics_where_they_are() -> None:
    """A topic that moved between channels could be missed for a moment."""
    assert rearranged([("a", "b"), ("c",)], ["c", "d", "b", "e"], limit=2) == [("b", "d"), ("c", "e")]
    assert rearranged([("a",)], ["a", "b", "c"], limit=2) == [("a", "b")]


def _token(generation: int, expires_at_s: float | None = 100.0) -> Token:
    return Token("t", generation, 0.0, expires_at_s, 1.0)


def test_channel_is_used_again_with_its_token() -> None:
    """After a drop no further channel is made."""
    channels = Channels()
    channels.released(Channel("one", "uri", 1, 100.0))
    found = channels.take(_token(1), 50.0)
    assert found is not None
    assert found.id == "one"
    assert channels.take(_token(1), 50.0) is None


def test_channel_that_is_about_to_die_is_left_alone() -> None:
    """It would take the new connection with it; once its token is dead, whether it lives is worth a question."""
    channels = Channels()
    channels.released(Channel("one", "uri", 1, 100.0))
    assert channels.take(_token(2), 99.0) is None
    assert channels.take(_token(2), 100.0) is not None
    channels.released(Channel("two", "uri", 1, None))
    assert channels.take(_token(2), 1.0) is not None


def test_uri_is_a_secret() -> None:
    """Who has it reads the events."""
    assert "wss" not in repr(Channel("one", "wss://secret", 1, None))
