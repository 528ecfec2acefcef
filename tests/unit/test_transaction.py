"""What Kafka's errors mean, and the search for a record at fault."""

from __future__ import annotations

from itertools import pairwise

import pytest

from connector.core.transaction import Bisection, Cure, cure


@pytest.mark.parametrize(
    ("error", "what"),
    [
        ("MSG_SIZE_TOO_LARGE", Cure.SPLIT),
        ("INVALID_TIMESTAMP", Cure.SPLIT),
        ("UNKNOWN_TOPIC_OR_PART", Cure.TOPIC),
        ("TOPIC_AUTHORIZATION_FAILED", Cure.TOPIC),
        ("UNKNOWN_MEMBER_ID", Cure.NOT_OURS),
        ("FENCED_INSTANCE_ID", Cure.NOT_OURS),
        ("ILLEGAL_GENERATION", Cure.RENEW),
        ("REBALANCE_IN_PROGRESS", Cure.RENEW),
        ("_FENCED", Cure.FENCED),
        ("GROUP_AUTHORIZATION_FAILED", Cure.FORBIDDEN),
        ("_TIMED_OUT", Cure.RENEW),
        ("NEVER_HEARD_OF", Cure.RENEW),
    ],
)
def test_cure(error: str, what: Cure) -> None:
    """Each with its cause in a sentence; an unknown error renews the producer."""
    found, cause = cure(error)
    assert found is what
    assert " " in cause


def transactions(records: int, bad: set[int]) -> list[list[int]]:
    """Send records as the lane's writer does, the bad ones failing; returns every transaction tried."""
    bisection, left, tried = Bisection(), list(range(records)), []
    while left:
        batch = left[: bisection.limit or 100]
        tried.append(batch)
        if not bad & set(batch):
            bisection.committed(len(batch))
            left = left[len(batch) :]
        elif bisection.failed(len(batch)):
            bad.discard(batch[0])
    assert bisection.limit is None
    return tried


@pytest.mark.parametrize("bad", [set(), {0}, {7}, {99}, {3, 4}, {0, 50, 99}, set(range(10))])
def test_bisection_finds_every_record_at_fault(bad: set[int]) -> None:
    """Never the same transaction twice in a row, but for a record replaced; few transactions in all."""
    tried = transactions(100, set(bad))
    assert all(one != other or len(one) == 1 for one, other in pairwise(tried))
    assert len(tried) <= 1 + 16 * len(bad)


def test_bisection_ends_with_the_suspects() -> None:
    """What comes behind them is sent as ever."""
    bisection = Bisection()
    assert not bisection.failed(8)
    assert bisection.limit == 4
    bisection.committed(4)
    assert bisection.limit == 4
    bisection.committed(4)
    assert bisection.limit is None
