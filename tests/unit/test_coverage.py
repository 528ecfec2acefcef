"""What a stream's sockets have covered, and what lies between."""

from __future__ import annotations

from connector.core.coverage import AFTER_MS, BEFORE_MS, Coverage
from connector.model import Lapse


def _lapse(since_ms: int, until_ms: int) -> Lapse:
    return Lapse(since_ms - BEFORE_MS, until_ms + AFTER_MS)


def test_new_stream_has_missed_nothing() -> None:
    """It begins with its first socket."""
    assert Coverage(None, broken=False).opened(1, 1000) is None


def test_failed_first_dial_is_a_lapse() -> None:
    """The stream began when it was first dialled for."""
    coverage = Coverage(None, broken=False)
    assert coverage.closed(1) is None
    assert coverage.opened(2, 50_000) == Lapse(None, 50_000 + AFTER_MS)


def test_crash_is_a_lapse_since_the_commit() -> None:
    """From the checkpoint's word on."""
    assert Coverage(20_000, broken=True).opened(1, 50_000) == _lapse(20_000, 50_000)


def test_drop_is_a_lapse_since_the_last_event_or_proof() -> None:
    """Whichever is later."""
    coverage = Coverage(None, broken=False)
    coverage.opened(1, 10_000)
    coverage.proven(1, 20_000)
    coverage.seen(19_000)
    coverage.seen(None)
    assert coverage.closed(1) is None
    assert coverage.opened(2, 50_000) == _lapse(20_000, 50_000)
    coverage.seen(60_000)
    coverage.closed(2)
    assert coverage.opened(3, 70_000) == _lapse(60_000, 70_000)


def test_overlap_covers() -> None:
    """While one socket is open nothing is missed."""
    coverage = Coverage(None, broken=False)
    coverage.opened(1, 10_000)
    assert coverage.opened(2, 20_000) is None
    assert coverage.closed(1) is None
    assert coverage.opened(3, 30_000) is None


def test_starved_socket_counts_until_its_last_proof() -> None:
    """Events of another topic prove nothing; nobody knows since when it was starved."""
    coverage = Coverage(None, broken=False)
    coverage.opened(1, 10_000)
    coverage.seen(40_000)
    assert coverage.closed(1, lapsed=True) is None
    assert coverage.opened(2, 50_000) == _lapse(10_000, 50_000)


def test_starved_socket_beside_another() -> None:
    """The other covers from its opening on."""
    coverage = Coverage(None, broken=False)
    coverage.opened(1, 10_000)
    coverage.opened(2, 30_000)
    assert coverage.closed(1, lapsed=True) == _lapse(10_000, 30_000)
    coverage.opened(3, 40_000)
    coverage.proven(3, 45_000)
    assert coverage.closed(3, lapsed=True) is None


def test_platform_that_tells_no_time() -> None:
    """The interval is open."""
    coverage = Coverage(None, broken=True)
    assert coverage.opened(1, None) == Lapse(None, None)


def test_event_of_the_future() -> None:
    """An interval does not end before it begins."""
    assert Coverage(90_000, broken=True).opened(1, 50_000) == _lapse(50_000, 50_000)
