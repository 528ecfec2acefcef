"""What a Kafka error means, and the search for the record at fault."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from connector.core.transaction import _CURES, Bisection, Cure, cure

_TABLE = {
    Cure.SPLIT: ["MSG_SIZE_TOO_LARGE", "INVALID_TIMESTAMP", "INVALID_RECORD", "RECORD_LIST_TOO_LARGE", "_BAD_MSG"],
    Cure.TOPIC: ["UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "TOPIC_AUTHORIZATION_FAILED"],
    Cure.NOT_OURS: ["UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID"],
    Cure.FENCED: ["_FENCED", "INVALID_PRODUCER_EPOCH"],
    Cure.FORBIDDEN: ["TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED"],
    Cure.RENEW: ["ILLEGAL_GENERATION", "REBALANCE_IN_PROGRESS", "_TIMED_OUT", "never heard of"],
}


@pytest.mark.parametrize(("name", "expected"), [(name, what) for what, names in _TABLE.items() for name in names])
def test_error_has_a_cure_and_a_cause(name: str, expected: Cure) -> None:
    """An unknown one renews the producer."""
    found, cause = cure(name)
    assert found is expected
    assert cause


@pytest.mark.parametrize(("name", "expected"), [(name, what) for what, names in _TABLE.items() for name in names])
def test_no_event_is_blamed_for_a_checkpoint(name: str, expected: Cure) -> None:
    """Where an event would be looked for, there is none to be found; what else the error means stays."""
    assert cure(name, of_checkpoint=True)[0] is (Cure.CHECKPOINT if expected is Cure.SPLIT else expected)


@pytest.mark.parametrize("name", _CURES)
def test_every_error_of_the_table_exists(name: str) -> None:
    """By the client's own list of names."""
    assert isinstance(getattr(KafkaError, name), int)


@given(st.integers(1, 200), st.data())
def test_bisection_finds_every_bad_record(total: int, data: st.DataObject) -> None:
    """Whatever is bad: each bad record is found alone, the good ones commit, in order, within log2 tries of each."""
    bad = data.draw(st.sets(st.integers(0, total - 1), max_size=5))
    bisection, at, found, tries = Bisection(), 0, list[int](), 0
    while at < total:
        size = min(bisection.limit or total, total - at)
        tries += 1
        if bad & set(range(at, at + size)) - set(found):
            if bisection.failed(size):
                found.append(at)  # its dead letter takes its place
        else:
            bisection.committed(size)
            at += size
    assert found == sorted(bad)
    assert bisection.limit is None
    assert tries <= (len(bad) + 1) * 20


def test_search_ends_with_the_batch_it_began_with() -> None:
    """Once the suspects are through, transactions are as large as before."""
    bisection = Bisection()
    assert not bisection.failed(8)
    assert bisection.limit == 4
    bisection.committed(4)
    assert bisection.limit == 4
    bisection.committed(4)
    assert bisection.limit is None


def test_records_sent_again_are_not_joined_by_others() -> None:
    """Else events that go on being refused would keep the good ones from their commit for ever."""
    bisection = Bisection()
    bisection.again(8)
    assert bisection.limit == 8
    bisection.committed(5)
    assert bisection.limit == 8
    bisection.committed(3)
    assert bisection.limit is None


def test_empty_transaction_is_not_at_fault() -> None:
    """A failure without records ends a search."""
    bisection = Bisection()
    bisection.failed(4)
    assert bisection.failed(0)
    assert bisection.limit is None
