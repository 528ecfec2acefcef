"""Back-off, breaker and pace, by example."""

from __future__ import annotations

from random import Random

import pytest

from connector.core.reconnect import RETRY_AFTER_MAX_S, Backoff, DialPacer, NetworkPolicy, healthy

NOW = 1000.0
POLICY = NetworkPolicy(backoff_s=1.0, backoff_max_s=6.0, breaker_failures=5, breaker_s=30.0)
AT_RISK = NetworkPolicy(backoff_s=100.0, backoff_max_s=100.0, breaker_failures=2, breaker_s=300.0, retention_s=80.0)


class Highest(Random):
    """Chance at its upper end."""

    def uniform(self, a: float, b: float) -> float:
        """The upper end."""
        return max(a, b)


def waits(policy: NetworkPolicy, rng: Random, failures: int) -> list[float]:
    """How long each of so many failures in a row makes wait."""
    backoff = Backoff(policy, rng)
    return [backoff.failed(NOW, NOW) - NOW for _ in range(failures)]


def test_waits_double_up_to_the_cap_and_then_the_breaker_opens() -> None:
    """1 s · 2ⁿ, capped; from the fifth failure on the breaker's time, however many more there are."""
    assert waits(POLICY, Highest(), 7) == [1.0, 2.0, 4.0, 6.0, 30.0, 30.0, 30.0]


def test_jitter_is_full_and_does_not_vanish_at_the_cap() -> None:
    """Anything from nothing to the cap, also where the cap has been reached."""
    seen = [waits(POLICY, Random(seed), 4) for seed in range(400)]
    for caps, column in zip([1.0, 2.0, 4.0, 6.0], zip(*seen, strict=True), strict=True):
        assert 0.0 <= min(column) < 0.05 * caps
        assert 0.95 * caps < max(column) <= caps


def test_many_failures_do_not_overflow() -> None:
    """After a month of failures the wait is still a number."""
    assert waits(NetworkPolicy(breaker_failures=10_000), Highest(), 5000)[-1] == 30.0


def test_breaker_opens_at_its_number_and_reset_closes_it() -> None:
    """Not before; and only healthy time closes it, not time itself."""
    backoff = Backoff(POLICY, Highest())
    opened = []
    for _ in range(5):
        backoff.failed(NOW, NOW)
        opened.append(backoff.breaker_open)
    assert opened == [False, False, False, False, True]
    backoff.reset()
    assert not backoff.breaker_open
    assert backoff.failed(NOW, NOW) == NOW + 1.0


@pytest.mark.parametrize(
    ("complete_s", "wait_s"),
    [
        (0.0, 20.0),  # complete until now: at risk in a quarter of the retention
        (5.0, 15.0),
        (10.0, 10.0),
        (15.0, 10.0),  # an eighth is the least that is asked for
        (20.0, 10.0),  # at risk from here on
        (500.0, 10.0),  # what is lost already is not asked for more often
    ],
)
@pytest.mark.parametrize("failures", [1, 5])
def test_positions_at_risk_shorten_every_wait(complete_s: float, wait_s: float, failures: int) -> None:
    """Also the breaker's: at least every eighth of the retention, once a quarter of it has passed."""
    backoff = Backoff(AT_RISK, Highest())
    dues = [backoff.failed(NOW, NOW - complete_s) for _ in range(failures)]
    assert dues[-1] == NOW + wait_s


def test_risk_never_lengthens_a_wait() -> None:
    """A short back-off stays short."""
    policy = NetworkPolicy(backoff_s=1.0, retention_s=8000.0)
    assert waits(policy, Highest(), 1) == [1.0]


@pytest.mark.parametrize(
    ("retry_after_s", "wait_s"),
    [(None, 1.0), (0.0, 1.0), (0.5, 1.0), (7.0, 7.0), (300.0, 300.0), (86_400.0, RETRY_AFTER_MAX_S)],
)
def test_retry_after_is_a_lower_bound(retry_after_s: float | None, wait_s: float) -> None:
    """What the platform asks for is obeyed, up to what is believable."""
    assert Backoff(POLICY, Highest()).failed(NOW, NOW, retry_after_s) == NOW + wait_s


def test_retry_after_goes_before_the_risk() -> None:
    """A position at risk is no reason to disobey."""
    assert Backoff(AT_RISK, Highest()).failed(NOW, 0.0, 60.0) == NOW + 60.0


@pytest.mark.parametrize(
    ("dialled", "alone", "burst"),
    [
        ([], 0.0, 0.0),
        ([0.0], 1.0, 0.0),  # the second of a burst may follow at once
        ([0.0, 0.1], 1.1, 1.0),
        ([0.0, 1.0], 2.0, 1.0),
        ([0.0, 0.2, 1.0], 2.0, 1.2),
    ],
)
def test_pace(dialled: list[float], alone: float, burst: float) -> None:
    """One a second; with a burst two in any second, counted from the dials themselves."""
    pacer = DialPacer()
    for instant in dialled:
        pacer.dialled(NOW + instant)
    now = NOW + max(dialled, default=0.0)
    assert pacer.earliest(now, burst=False) == pytest.approx(NOW + alone)
    assert pacer.earliest(now, burst=True) == pytest.approx(max(now, NOW + burst))


def test_pace_is_free_after_a_while() -> None:
    """Never an instant that has passed."""
    pacer = DialPacer()
    pacer.dialled(NOW)
    pacer.dialled(NOW)
    assert pacer.earliest(NOW + 5.0, burst=False) == NOW + 5.0
    assert pacer.earliest(NOW + 5.0, burst=True) == NOW + 5.0


def test_retry_after_holds_every_dial() -> None:
    """Bursts too; the latest instant named counts; nobody is believed who names a day."""
    pacer = DialPacer()
    pacer.told(NOW, 20.0)
    pacer.told(NOW, 5.0)
    pacer.told(NOW, None)
    assert pacer.earliest(NOW, burst=True) == NOW + 20.0
    pacer.told(NOW, 1e9)
    assert pacer.earliest(NOW, burst=False) == NOW + RETRY_AFTER_MAX_S


@pytest.mark.parametrize(
    ("open_for_s", "advanced", "good"),
    [
        (0.0, True, False),
        (1.999, True, False),
        (2.0, True, True),
        (2.0, False, False),
        (9.999, False, False),
        (10.0, False, True),
    ],
)
def test_healthy_time(open_for_s: float, advanced: bool, good: bool) -> None:  # noqa: FBT001 - columns of a table
    """Two seconds with progress, ten without; a handshake proves nothing."""
    assert healthy(open_for_s, advanced=advanced) is good
