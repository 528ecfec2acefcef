"""What pipelines are told: which events, once, as CloudEvents."""

from __future__ import annotations

import orjson
import pytest

from connector import telemetry
from connector.core.notification import Notification, Notifier
from connector.core.states import State
from connector.model import Gap, GapReason
from tests.validation import validate

NOW_MS = 1_700_000_000_000
GAP = Gap(2, 8, 10, 1_700_000_000_000, None, GapReason.RETENTION)


class Told:
    """A notifier and what it told."""

    def __init__(self) -> None:
        self._notifier = Notifier("wfm-bridge", "w1", {"wfm": "genesys"})

    def of(self, *events: telemetry.Event) -> list[Notification]:
        """What these events are worth."""
        found = [self._notifier.notification(event, NOW_MS) for event in events]
        return [each for each in found if each is not None]


def kinds(*told: Notification) -> list[str]:
    """Their types."""
    return [str(dict(each.headers)["ce_type"]) for each in told]


def state(name: State) -> telemetry.StreamState:
    """``wfm`` in a state."""
    return telemetry.StreamState("wfm", name, 0)


def test_a_gap_tells_its_interval() -> None:
    """Binary CloudEvents, keyed by the stream: what the gap record will say, for whoever must compute anew."""
    (told,) = Told().of(telemetry.GapRecorded("wfm", GAP))
    assert told.stream == "wfm"
    assert dict(told.headers) == {
        "ce_specversion": "1.0",
        "ce_id": "w1/1",
        "ce_source": "/ccaas/wfm-bridge/genesys/wfm",
        "ce_type": "ccaas.bridge.gap",
        "ce_time": "2023-11-14T22:13:20.000Z",
        "content-type": "application/json",
    }
    validate("notification", told.value)
    assert orjson.loads(told.value) == {
        "v": 1,
        "stream": "wfm",
        "worker": "w1",
        "epoch": 2,
        "from": 8,
        "to": 10,
        "from_time": "2023-11-14T22:13:20.000Z",
        "to_time": None,
        "reason": "retention",
    }


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [(State.BREAKER_OPEN, "ccaas.bridge.breaker_open"), (State.REFUSED, "ccaas.bridge.credential_refused")],
)
def test_a_trouble_is_told_once_until_the_stream_is_live(trouble: State, kind: str) -> None:
    """However often it is tried in between; with the last failure's words."""
    told = Told()
    failed = telemetry.Failed("wfm", "network", "connect", "no route", 1.0, 5, breaker_open=True)
    (first,) = told.of(failed, state(trouble), state(State.DIALING), state(trouble))
    assert kinds(first) == [kind]
    assert orjson.loads(first.value)["detail"] == "no route"
    validate("notification", first.value)
    (again,) = told.of(state(State.LIVE), state(trouble))
    assert orjson.loads(again.value)["detail"] == ""
    assert dict(again.headers)["ce_id"] != dict(first.headers)["ce_id"]


def test_a_lost_lane_is_told_for_each_of_its_streams() -> None:
    """With the lane's number."""
    (told,) = Told().of(telemetry.LaneLost("wfm", 3))
    validate("notification", told.value)
    assert kinds(told) == ["ccaas.bridge.lane_lost"]
    assert orjson.loads(told.value)["lane"] == 3


def test_what_is_not_worth_telling() -> None:
    """Rotations, commits and passing failures are not."""
    quiet = [
        telemetry.RotationDone("wfm", 2, "caught_up", 0.1, 0.2),
        telemetry.BatchRead("wfm", 1, 1, 0, 0, 0, 0),
        telemetry.Failed("wfm", "network", "dns", "x", 1.0, 1, breaker_open=False),
        state(State.BACKING_OFF),
        state(State.LIVE),
    ]
    assert Told().of(*quiet) == []
