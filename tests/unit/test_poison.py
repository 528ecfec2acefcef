"""The alert about unreadable items: at which rate, and how often."""

from __future__ import annotations

import pytest

from connector.core.poison import ALERT_ITEMS, WINDOW_S, PoisonRate


def tripped(instants: list[float]) -> list[float]:
    """At which of the items the alert trips."""
    rate = PoisonRate()
    return [at for at in instants if rate.trips(at)]


@pytest.mark.parametrize(
    ("pause_s", "items", "trips_at"),
    [
        (0.0, ALERT_ITEMS - 1, None),
        (0.0, ALERT_ITEMS, ALERT_ITEMS),
        (6.6, ALERT_ITEMS, ALERT_ITEMS),  # nine pauses are within the minute
        (6.7, 100, None),  # nine pauses are not
        (0.1, 10_000, ALERT_ITEMS),  # once, however long it goes on
    ],
)
def test_rate(pause_s: float, items: int, trips_at: int | None) -> None:
    """So many within a minute, once."""
    instants = [100.0 + number * pause_s for number in range(items)]
    assert tripped(instants) == ([] if trips_at is None else [instants[trips_at - 1]])


@pytest.mark.parametrize(("calm_s", "trips"), [(WINDOW_S - 1, 1), (WINDOW_S, 2)])
def test_episode_ends_after_a_minute_without_any(calm_s: float, trips: int) -> None:
    """What comes then is another one."""
    first = [100.0] * ALERT_ITEMS
    second = [100.0 + calm_s] * ALERT_ITEMS
    assert len(tripped(first + second)) == trips
