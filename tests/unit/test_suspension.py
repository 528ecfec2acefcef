"""Streams set aside for a topic of theirs: when it is looked at again."""

from __future__ import annotations

from connector.core.suspension import Suspensions


def test_looks_again_after_a_wait() -> None:
    """Not before it is due, and again after another wait."""
    suspensions = Suspensions()
    assert suspensions.add("s", "t", 100.0)
    assert suspensions.due(101.9) == []
    assert suspensions.due(102.0) == [("s", "t")]
    assert suspensions.due(103.0) == []
    assert suspensions.due(104.0) == [("s", "t")]


def test_suspended_stream_is_not_suspended_again() -> None:
    """The first topic stands until it is lifted."""
    suspensions = Suspensions()
    assert suspensions.add("s", "t", 100.0)
    assert not suspensions.add("s", "u", 101.0)
    assert suspensions.due(110.0) == [("s", "t")]


def test_waits_double_for_one_that_fails_again_soon() -> None:
    """Up to a minute; forgotten after five minutes without."""
    suspensions, now, waits = Suspensions(), 0.0, []
    for _ in range(7):
        assert suspensions.add("s", "t", now)
        wait = next(w for w in (2, 4, 8, 16, 32, 60, 120) if suspensions.due(now + w))
        waits.append(wait)
        now += wait
        suspensions.lifted("s", now)
        assert suspensions.due(now + 1000.0) == []
    assert waits == [2, 4, 8, 16, 32, 60, 60]
    assert suspensions.add("s", "t", now + 300.0)
    assert suspensions.due(now + 302.0) == [("s", "t")]


def test_streams_are_independent() -> None:
    """Each with its own wait."""
    suspensions = Suspensions()
    suspensions.add("a", "t", 0.0)
    suspensions.add("b", "u", 1.0)
    assert suspensions.due(2.0) == [("a", "t")]
    assert suspensions.due(3.5) == [("b", "u")]
