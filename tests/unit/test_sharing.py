"""Shared tokens by example: what a look leads to, what a stored value means, how long anybody waits."""

from __future__ import annotations

import msgspec
import pytest

from connector.core.sharing import (
    JITTER_S,
    LOCK_S,
    PAUSE_S,
    PROBE_MAX_S,
    UNKNOWN_LIFE_S,
    Lock,
    Need,
    Seen,
    Step,
    adoptable,
    decide,
    fingerprint,
    jitter_s,
    pack,
    patience_s,
    pause_s,
    probe_in_s,
    request_s,
    unpack,
)
from connector.core.token_clock import RETRY_AFTER_MAX_S, Freshness, Grant
from connector.errors import TokenError
from connector.model import Token

BUFFER_S = 300.0
OURS = Token("ours", 7, 0.0, 3600.0, BUFFER_S)
START = Need(None, Freshness.INVALID, 0.0, BUFFER_S)
DEAD = Need(OURS, Freshness.INVALID, 0.0, BUFFER_S)
DUE = Need(OURS, Freshness.STALE, 300.0, BUFFER_S)


def highest(_low: float, high: float) -> float:
    """Chance at its longest."""
    return high


def seen(value: str | None, left_s: float = 3600.0, lock: Lock = Lock.FREE, life_s: float | None = 3600.0) -> Seen:
    """A look at a token with so much life left."""
    return Seen(None if value is None else Grant(value, 0.0, life_s), left_s, lock, 5.0)


@pytest.mark.parametrize(
    ("need", "look", "serves"),
    [
        pytest.param(START, seen(None), False, id="nothing-there"),
        pytest.param(START, seen("theirs"), True, id="start"),
        pytest.param(START, seen("theirs", left_s=100.0), True, id="start-inside-the-buffer"),
        pytest.param(START, seen("theirs", left_s=75.0), False, id="start-too-late"),
        pytest.param(START, seen("theirs", left_s=4.0, life_s=10.0), True, id="start-short-life"),
        pytest.param(START, seen("theirs", life_s=None), True, id="start-unknown-life"),
        pytest.param(DUE, seen("theirs"), True, id="due"),
        pytest.param(DUE, seen("ours"), False, id="due-and-it-is-ours"),
        pytest.param(DUE, seen("theirs", left_s=300.0), False, id="due-and-theirs-is-due-too"),
        pytest.param(Need(OURS, Freshness.STALE, 3600.0, BUFFER_S), seen("theirs"), True, id="superseded-at-once"),
        pytest.param(Need(OURS, Freshness.STALE, None, BUFFER_S), seen("theirs"), True, id="ours-is-of-unknown-life"),
        pytest.param(DEAD, seen("ours"), False, id="the-dead-one"),
        pytest.param(DEAD, seen("theirs"), True, id="somebody-was-quicker"),
        pytest.param(DEAD, seen("theirs", left_s=100.0), True, id="better-than-none"),
    ],
)
def test_what_is_adopted(need: Need, look: Seen, serves: bool) -> None:  # noqa: FBT001 - a column
    """Never the token at hand; to a worker with a live one only a better one is worth a hand-over."""
    assert adoptable(need, look) is serves
    assert (decide(need, look, 0.0) is Step.ADOPT) is serves


@pytest.mark.parametrize(
    ("lock", "waited_s", "step"),
    [
        (Lock.FREE, 0.0, Step.TAKE),
        (Lock.FREE, 100.0, Step.TAKE),
        (Lock.OURS, 0.0, Step.ASK),
        (Lock.OURS, 100.0, Step.ASK),
        (Lock.OTHERS, 0.0, Step.WAIT),
        (Lock.OTHERS, LOCK_S - 0.1, Step.WAIT),
        (Lock.OTHERS, LOCK_S, Step.ALONE),
        (Lock.PAUSED, 0.0, Step.OBEY),
        (Lock.PAUSED, 100.0, Step.OBEY),
    ],
)
@pytest.mark.parametrize("need", [START, DEAD, DUE], ids=["start", "dead", "due"])
def test_who_asks(need: Need, lock: Lock, waited_s: float, step: Step) -> None:
    """Whoever has the lock; waiting is bounded; a pause is obeyed even by who has waited."""
    assert decide(need, seen("ours", lock=lock), waited_s) is (
        Step.ADOPT if adoptable(need, seen("ours", lock=lock)) else step
    )


@pytest.mark.parametrize(("left_s", "patience"), [(300.0, LOCK_S), (10.0, 5.0), (0.5, 0.25), (None, LOCK_S)], ids=str)
def test_nobody_waits_while_the_token_dies(left_s: float | None, patience: float) -> None:
    """At most half of what the token has left."""
    assert patience_s(Need(OURS, Freshness.STALE, left_s, BUFFER_S)) == patience


@pytest.mark.parametrize(
    ("need", "limit_s"),
    [
        (START, 10.0),
        (DEAD, 10.0),
        (DUE, 10.0),
        (Need(OURS, Freshness.STALE, 12.0, BUFFER_S), 6.0),
        (Need(OURS, Freshness.STALE, 1.5, BUFFER_S), 2.0),
        (Need(OURS, Freshness.STALE, None, BUFFER_S), 10.0),
    ],
)
def test_a_request_that_hangs_leaves_time_for_another(need: Need, limit_s: float) -> None:
    """Half of what the token has left, but never less than a slow endpoint needs."""
    assert request_s(need) == limit_s


@pytest.mark.parametrize(
    ("need", "alone", "longest_s"),
    [
        (DUE, False, JITTER_S),
        (DUE, True, 100.0),
        (Need(OURS, Freshness.STALE, None, BUFFER_S), False, JITTER_S / 4),
        (Need(OURS, Freshness.STALE, 1.0, BUFFER_S), False, 0.25),
        (DEAD, False, 0.0),
        (START, False, 0.0),
        (DEAD, True, JITTER_S),
        (START, True, JITTER_S),
    ],
)
def test_jitter(need: Need, alone: bool, longest_s: float) -> None:  # noqa: FBT001 - a column
    """Up to 2 s before a scheduled attempt, none in an emergency; more of both where no lock orders the workers."""
    assert jitter_s(need, highest, alone=alone) == longest_s


@pytest.mark.parametrize(("told_s", "pause"), [(None, PAUSE_S), (0.0, PAUSE_S), (20.0, 20.0), (1e9, RETRY_AFTER_MAX_S)])
def test_pause_of_all(told_s: float | None, pause: float) -> None:
    """Retry-After binds every worker, within reason."""
    assert pause_s(TokenError("no", retry_after_s=told_s)) == pause


def test_probes_of_a_store_that_is_away() -> None:
    """Soon at first, and every few seconds for ever."""
    assert [probe_in_s(failures, highest) for failures in (1, 2, 3, 4, 5, 500)] == [0.5, 1, 2, 4, 5, 5]
    assert probe_in_s(9, lambda low, _high: low) == PROBE_MAX_S / 2


def test_a_grant_comes_back_on_another_clock() -> None:
    """The same life, the same age, whatever the two clocks say; the answer's instant too."""
    facts = {"expires_in_s": 3600.0, "date_s": 1.7e9, "exp_s": 1.7e9 + 3600, "iat_s": 1.7e9}
    packed = pack(Grant("secret", 1000.0, **facts), 1002.0)
    assert packed is not None
    payload, left_s = packed
    assert left_s == 3598.0
    assert unpack(payload, left_s - 600.0, 50_000.0) == Grant(
        "secret", 50_000.0 - 602.0, **facts, answered_at_s=50_000.0 - 600.0
    )


def test_a_token_of_unknown_life_is_kept_for_a_while() -> None:
    """And stays of unknown life."""
    packed = pack(Grant("opaque", 1000.0), 1000.0)
    assert packed is not None
    assert packed[1] == UNKNOWN_LIFE_S
    found = unpack(packed[0], UNKNOWN_LIFE_S - 5.0, 100.0)
    assert found == Grant("opaque", 95.0, answered_at_s=95.0)


@pytest.mark.parametrize(
    "grant",
    [
        pytest.param(Grant("t", 0.0, 3600.0, date_s=100.0, exp_s=100.0), id="dead-by-its-own-date"),
        pytest.param(Grant("t", 0.0, 10.5), id="nearly-over"),
    ],
)
def test_what_is_not_worth_sharing(grant: Grant) -> None:
    """Each worker judges such a token for itself."""
    assert pack(grant, 10.0) is None


def _stored(**changes: object) -> bytes:
    return msgspec.json.encode({"token": "t", "life_s": 60.0, "answered_after_s": 0.0, **changes})


@pytest.mark.parametrize(
    ("payload", "left_s"),
    [
        (b"", 30.0),
        (b"not json", 30.0),
        (b"\xff\xfe", 30.0),
        (b"[]", 30.0),
        (b'{"token":"t"}', 30.0),
        (_stored(token=""), 30.0),
        (_stored(token=7), 30.0),
        (_stored(life_s="60"), 30.0),
        (_stored(life_s=1e400), 30.0),
        (_stored(), 0.0),
        (_stored(), -0.001),
        (_stored(), 62.0),
    ],
)
def test_a_foreign_value_is_nothing(payload: bytes, left_s: float) -> None:
    """Nor is a token without an end, or with more life than it ever had."""
    assert unpack(payload, left_s, 1000.0) is None


def test_later_versions_may_add_facts() -> None:
    """What this one does not know it leaves alone."""
    found = unpack(_stored(colour="red"), 30.0, 1000.0)
    assert found is not None
    assert found.sent_at_s == 970.0


def test_a_fingerprint_is_not_the_token() -> None:
    """64 hexadecimal digits."""
    assert int(fingerprint("secret"), 16) != int(fingerprint("other"), 16)
    assert len(fingerprint("secret")) == len(fingerprint("other")) == 64
