"""When a transaction ends, and how many commits a second a worker has."""

from __future__ import annotations

import pytest

from connector.core.boundary import Boundary, CommitBudget, CommitPolicy

_POLICY = CommitPolicy(linger_s=0.01, max_events=10, max_bytes=1000, max_per_second=100.0)


@pytest.mark.parametrize(
    ("opened_at", "not_before", "urgent", "due_at"),
    [(5.0, 0.0, False, 5.01), (5.0, 6.0, False, 6.0), (5.0, 6.0, True, 0.0)],
)
def test_due_after_linger_and_budget_or_at_once(
    opened_at: float,
    not_before: float,
    urgent: bool,  # noqa: FBT001 - a table's column
    due_at: float,
) -> None:
    """Whichever is later; an urgent event waits for neither."""
    boundary = Boundary(_POLICY, opened_at, not_before)
    boundary.add(1, 10, urgent=urgent)
    boundary.add(1, 10, urgent=False)
    assert boundary.due_at() == pytest.approx(due_at)


@pytest.mark.parametrize(
    ("events", "size_bytes", "room"), [(0, 0, 10), (4, 999, 6), (10, 5, 0), (14, 5, 0), (1, 1000, 0)]
)
def test_room_is_bounded_by_events_and_bytes(events: int, size_bytes: int, room: int) -> None:
    """Full by either."""
    boundary = Boundary(_POLICY, 0.0, 0.0)
    boundary.add(events, size_bytes, urgent=False)
    assert boundary.room() == room


def _shared_budget() -> CommitBudget:
    """A budget of 100 commits a second that two other lanes used long ago, and share from now on."""
    budget = CommitBudget(100.0)
    budget.reserve(0, 0.0)
    budget.reserve(1, 49.0)
    return budget


def test_lane_that_commits_alone_is_not_slowed() -> None:
    """The bound is for many quiet lanes; one busy lane commits as fast as Kafka lets it."""
    budget = CommitBudget(100.0)
    assert [budget.reserve(3, 50.0) for _ in range(1000)] == [50.0] * 1000
    assert budget.reserve(4, 50.0) == 50.0, "and leaves no debt to the next"


def test_lane_is_alone_again_after_a_while() -> None:
    """A second after the other lane's commit."""
    budget = CommitBudget(10.0)
    budget.reserve(1, 50.0)
    shared = [budget.reserve(2, 50.0) for _ in range(10)]
    assert shared[-1] > 50.0
    assert [budget.reserve(2, 51.5) for _ in range(10)] == [51.5] * 10


def test_records_add_up() -> None:
    """Of several batches, by number and by size."""
    boundary = Boundary(CommitPolicy(max_events=10, max_bytes=100), 50.0, 50.0)
    boundary.add(4, 60, urgent=False)
    boundary.add(3, 39, urgent=False)
    assert boundary.room() == 3
    boundary.add(1, 1, urgent=False)
    assert boundary.room() == 0


def test_budget_lets_a_burst_pass_and_then_spaces_commits() -> None:
    """A tenth of a second's commits at once; then one each hundredth."""
    budget = _shared_budget()
    waits = [budget.reserve(2, 50.0) - 50.0 for _ in range(15)]
    assert waits[:11] == pytest.approx([0.0] * 11)
    assert waits[11:] == pytest.approx([0.01, 0.02, 0.03, 0.04])


def test_budget_comes_back_with_time() -> None:
    """An idle worker owes nothing, and has saved nothing."""
    budget = _shared_budget()
    for _ in range(30):
        budget.reserve(2, 50.0)
    assert budget.reserve(3, 60.0) == 60.0
    assert sum(budget.reserve(3, 60.0) == 60.0 for _ in range(30)) == 10


def test_urgent_commits_leave_a_bounded_debt() -> None:
    """Lanes that commit at once, whatever the budget, must not make others wait for minutes."""
    budget = _shared_budget()
    for _ in range(10_000):
        budget.reserve(2, 50.0)
    assert budget.reserve(2, 50.0) <= 52.0
    assert budget.reserve(2, 55.0) == 55.0
