"""Every telemetry event is counted, told, or both, under one name; floods make few lines."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, get_type_hints

import pytest
import structlog

from connector import telemetry
from connector.auth.events import TokenGranted, TokenReportedDead, TokenRequestFailed, TokenUnchanged
from connector.core.poison import ALERT_ITEMS
from connector.model import Checkpoint, Gap, GapReason
from connector.web.metrics import Metrics
from connector.worker.board import Board
from connector.worker.observer import Observer

_EXAMPLES: dict[object, object] = {
    str: "x",
    int: 7,
    float: 0.5,
    bool: True,
    int | None: 7,
    float | None: 0.5,
    Gap: Gap(0, 3, 5, None, None, GapReason.RETENTION),
    Checkpoint: Checkpoint("s", position=7, complete_until_ms=1000),
}
_EVENTS = [kind for kind in vars(telemetry).values() if isinstance(kind, type) and issubclass(kind, telemetry.Event)]


def _example(kind: type[telemetry.Event]) -> telemetry.Event:
    hints = get_type_hints(kind)
    values: dict[str, Any] = {field.name: _EXAMPLES[hints[field.name]] for field in fields(kind)}
    return kind(**values)


@pytest.fixture
def observer() -> Observer:
    """An observer with metrics of its own."""
    return Observer(Metrics(), Board({}))


def _value(observer: Observer, name: str, **labels: str) -> float | None:
    metrics: Metrics = observer._metrics  # noqa: SLF001 - what it counted is what the test is about
    return metrics.registry.get_sample_value(name, labels)


@pytest.mark.parametrize("kind", [k for k in _EVENTS if k is not telemetry.Event], ids=lambda k: k.__name__)
def test_every_event_is_taken(observer: Observer, kind: type[telemetry.Event]) -> None:
    """No event of the bridge is unknown to its observer, and per-batch ones make no line."""
    with structlog.testing.capture_logs() as lines:
        observer(_example(kind))
    quiet = kind in (telemetry.BatchRead, telemetry.Committed)
    assert len(lines) == (0 if quiet else 1)


def test_the_extra_observer_sees_events_too() -> None:
    """The demo watches the same events."""
    seen: list[telemetry.Event] = []
    event = telemetry.Restored("s")
    Observer(Metrics(), Board({}), seen.append)(event)
    assert seen == [event]


def test_a_flood_of_dead_letters_makes_one_line(observer: Observer) -> None:
    """Poison must not fill the log: it is counted, told once in a while, and its rate once."""
    with structlog.testing.capture_logs() as lines:
        for after in range(100):
            observer(telemetry.DeadLettered("s", after, "not_json"))
    assert [line["log_level"] for line in lines] == ["warning", "error"]
    assert _value(observer, "ccaas_dead_letters_total", stream="s", reason="not_json") == 100


def test_rotation_and_network_are_counted_apart(observer: Observer) -> None:
    """A failed rotation never shows as a network failure, nor the other way round."""
    observer(telemetry.Failed("s", "rotation", "handshake_4xx", "refused", 1.0, 0, breaker_open=False))
    observer(telemetry.Failed("s", "network", "reset", "closed 1006", 1.0, 1, breaker_open=False))
    observer(telemetry.Failed("s", "network", "dns", "no such host", 2.0, 2, breaker_open=False))
    assert _value(observer, "ccaas_rotation_failures_total", stream="s", cause="handshake_4xx") == 1
    assert _value(observer, "ccaas_network_failures_total", stream="s", cause="reset") == 1
    assert _value(observer, "ccaas_network_failures_total", stream="s", cause="dns") == 1


def test_a_stream_is_in_one_state(observer: Observer) -> None:
    """The gauge of the former state goes back to 0."""
    observer(telemetry.StreamState("s", "live", 1))
    observer(telemetry.StreamState("s", "breaker_open", 0))
    assert _value(observer, "ccaas_stream_state", stream="s", state="live") == 0
    assert _value(observer, "ccaas_stream_state", stream="s", state="breaker_open") == 1
    assert _value(observer, "ccaas_breaker_open", stream="s") == 1


def test_positions_in_gaps_are_counted(observer: Observer) -> None:
    """A gap of three positions counts as one gap and three positions."""
    observer(telemetry.GapRecorded("s", Gap(0, 3, 5, None, None, GapReason.RETENTION)))
    assert _value(observer, "ccaas_gaps_total", stream="s", reason="retention") == 1
    assert _value(observer, "ccaas_gap_positions_total", stream="s") == 3


def test_committed_positions_and_lag_are_shown(observer: Observer) -> None:
    """What a dashboard of lag needs comes from commits, not from reads."""
    observer(telemetry.Committed("s", Checkpoint("s", position=9, complete_until_ms=5000), 3, 100, 0.25))
    assert _value(observer, "ccaas_committed_position", stream="s") == 9
    assert _value(observer, "ccaas_lag_seconds", stream="s") == 0.25
    assert _value(observer, "ccaas_complete_until_timestamp_seconds", stream="s") == 5


_TOKEN_EVENTS: list[tuple[Any, str]] = [
    (TokenGranted("p", 1, 100.0, 60.0, 42.0, 142.0, 0.5, 0.1), "granted"),
    (TokenGranted("p", 1, 100.0, 60.0, 42.0, 142.0, 0.5, 0.1, shared=True), "shared"),
    (TokenUnchanged("p", 1, 1.0, 5.0, 0.1), "unchanged"),
    (TokenRequestFailed("p", 429, "slow down", 1.0, 5.0, 0.1), "http_429"),
    (TokenRequestFailed("p", None, "no route", 1.0, 5.0, 0.1), "unreachable"),
    (TokenRequestFailed("p", None, "another worker", 1.0, 5.0, 0.1, asked=False), "paused"),
    (TokenReportedDead("p", 1, 3.0, None, 0.0), "reported_dead"),
]


@pytest.mark.parametrize(("event", "outcome"), _TOKEN_EVENTS, ids=[outcome for _, outcome in _TOKEN_EVENTS])
def test_token_requests_are_counted_by_outcome(observer: Observer, event: Any, outcome: str) -> None:  # noqa: ANN401 - a union
    """The token endpoint's trouble has its own counter."""
    observer.token(event)
    assert _value(observer, "ccaas_token_requests_total", platform="p", outcome=outcome) == 1


def test_gauges_of_a_stream_that_left_are_gone(observer: Observer) -> None:
    """Another worker shows how it is; what was counted here stays, and other streams too."""
    for stream in ("s", "t"):
        observer(telemetry.StreamState(stream, "live", 1))
        observer(telemetry.Dialing(stream, 1, "start", 1, 7))
        observer(telemetry.Committed(stream, Checkpoint(stream, position=7), 1, 1, 0.5))
    observer(telemetry.StreamLeft("s"))
    assert _value(observer, "ccaas_lag_seconds", stream="s") is None
    assert _value(observer, "ccaas_stream_state", stream="s", state="live") is None
    assert _value(observer, "ccaas_connects_total", stream="s", why="start") == 1
    assert _value(observer, "ccaas_lag_seconds", stream="t") == 0.5
    observer(telemetry.StreamState("s", "dialing", 0))
    assert _value(observer, "ccaas_stream_state", stream="s", state="dialing") == 1
    observer(telemetry.Committed("s", Checkpoint("s", position=9), 1, 1, 0.25))
    assert _value(observer, "ccaas_lag_seconds", stream="s") == 0.25


def test_redis_shows_only_where_there_is_one(observer: Observer) -> None:
    """No sample without ``redis``: an alert on 0 must not ring for who has none."""
    assert _value(observer, "ccaas_redis_up", use="tokens") is None
    for up in (True, False):
        observer.redis_changed(up)
        assert _value(observer, "ccaas_redis_up", use="tokens") == up


def test_life_of_the_token_is_asked_at_every_scrape(observer: Observer) -> None:
    """It runs out without any event; a worker that does not use the token shows none, and alarms nobody."""
    left: list[float | None] = [30.0]
    observer.watch_token("p", lambda: left[0])
    assert _value(observer, "ccaas_token_left_seconds", platform="p") == 30.0
    left[0] = None
    assert math.isnan(_value(observer, "ccaas_token_left_seconds", platform="p") or 0.0)


def test_poison_alert_trips_once_an_episode(observer: Observer) -> None:
    """Whoever watches hears of it as of any other event; another stream's items don't count."""
    seen: list[telemetry.Event] = []
    observer = Observer(Metrics(), Board({}), seen.append)
    for number in range(1, 2 * ALERT_ITEMS):
        observer(telemetry.DeadLettered("s", number, "not_json"))
        observer(telemetry.DeadLettered(f"other {number % 3}", number, "not_json"))  # too few of each
    assert [event for event in seen if isinstance(event, telemetry.Poisoned)] == [
        telemetry.Poisoned("s", ALERT_ITEMS, "not_json")
    ]
    assert _value(observer, "ccaas_poison_alerts_total", stream="s") == 1
