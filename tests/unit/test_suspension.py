"""Streams set aside, and when to look again."""

from __future__ import annotations

from connector.core.suspension import Suspensions


def test_suspended_once() -> None:
    """Further failures of a suspended stream say nothing new; others have their own."""
    suspensions = Suspensions()
    assert suspensions.add("s", "t", 100.0)
    assert not suspensions.add("s", "u", 101.0)
    assert suspensions.add("r", "u", 101.0)
    assert suspensions.due(102.0) == [("s", "t")]
    assert suspensions.due(103.0) == [("r", "u")]


def test_looked_after_again_and_again() -> None:
    """Every two seconds until it is lifted; then no more."""
    suspensions = Suspensions()
    suspensions.add("s", "t", 100.0)
    looks = [now for now in range(100, 110) if suspensions.due(float(now))]
    assert looks == [102, 104, 106, 108]
    suspensions.lifted("s", 109.0)
    assert suspensions.due(500.0) == []


def test_wait_doubles_for_a_topic_that_fails_again_soon() -> None:
    """Up to a minute; a topic that was good for long begins anew."""
    suspensions, now, waits = Suspensions(), 100.0, []
    for _ in range(7):
        suspensions.add("s", "t", now)
        wait = next(n for n in range(100) if suspensions.due(now + n))
        waits.append(wait)
        now += wait
        suspensions.lifted("s", now)
        now += 1.0
    assert waits == [2, 4, 8, 16, 32, 60, 60]
    suspensions.add("s", "t", now + 1000.0)
    assert suspensions.due(now + 1002.0) == [("s", "t")]
