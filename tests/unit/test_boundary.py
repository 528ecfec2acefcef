"""When a transaction ends, and how many a worker may commit."""

from __future__ import annotations

import pytest

from connector.core.boundary import Boundary, CommitBudget, CommitPolicy

POLICY = CommitPolicy(linger_s=0.5, max_events=10, max_bytes=100)


@pytest.mark.parametrize(
    ("events", "size_bytes", "room"), [(0, 0, 10), (4, 99, 6), (4, 100, 0), (10, 1, 0), (12, 1, 0)]
)
def test_room(events: int, size_bytes: int, room: int) -> None:
    """Bounded by events and by bytes."""
    boundary = Boundary(POLICY, 100.0, 0.0)
    boundary.add(events, size_bytes, urgent=False)
    assert boundary.room() == room


@pytest.mark.parametrize(
    ("not_before", "urgent", "due_at"),
    [(0.0, [False], 100.5), (101.0, [False], 101.0), (101.0, [False, True, False], 0.0)],
)
def test_due(not_before: float, urgent: list[bool], due_at: float) -> None:
    """After the linger and within the budget; at once where an urgent event is in it."""
    boundary = Boundary(POLICY, 100.0, not_before)
    for each in urgent:
        boundary.add(1, 1, urgent=each)
    assert boundary.due_at() == due_at


def test_budget_is_a_rate_with_a_burst() -> None:
    """Ten a second, the first of them at once; an idle second is not saved up."""
    budget = CommitBudget(10.0)
    assert [round(budget.reserve(100.0), 6) for _ in range(4)] == [100.0, 100.0, 100.1, 100.2]
    assert [round(budget.reserve(200.0), 6) for _ in range(3)] == [200.0, 200.0, 200.1]


def test_urgent_commits_run_up_a_bounded_debt() -> None:
    """What they leave to others to wait is bounded."""
    budget = CommitBudget(10.0)
    for _ in range(1000):
        budget.reserve(100.0)
    assert budget.reserve(100.0) == pytest.approx(101.9)
