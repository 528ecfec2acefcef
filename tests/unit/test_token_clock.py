"""The token clock by example: what answers mean, and when the next request is due."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING

import pytest

from connector.core.token_clock import Answer, Freshness, Grant, TokenClock, lifetime_s, read_claims, read_number

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH_S = 1_700_000_000.0


def jwt(claims: object) -> str:
    """A JWT with these claims and a signature of nothing."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJub25lIn0.{payload}.c2ln"


def highest(_low: float, high: float) -> float:
    """Jitter at its longest."""
    return high


def lowest(low: float, _high: float) -> float:
    """Jitter at its shortest."""
    return low


def clock_in_use(uniform: Callable[[float, float], float] = highest) -> TokenClock:
    """A token clock that somebody uses, with a buffer of 300 s."""
    clock = TokenClock(300.0, uniform)
    clock.in_use(used=True)
    return clock


def grant(value: str = "a", life_s: float | None = 3600.0, sent_at_s: float = 1000.0) -> Grant:
    """An opaque token with expires_in."""
    return Grant(value, sent_at_s, life_s)


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (3600, 3600.0),
        (0.5, 0.5),
        ("3600", 3600.0),
        (" 12.5 ", 12.5),
        (0, None),
        (-1, None),
        (True, None),
        (None, None),
        ("", None),
        ("1e3", None),
        ("-5", None),
        ("1_000", None),
        ("soon", None),
        (math.nan, None),
        (math.inf, None),
        (10**400, None),
        ("9" * 40, None),
        ([1], None),
    ],
)
def test_numbers_of_servers(raw: object, number: float | None) -> None:
    """Decimal numbers are read from numbers and strings; all else is no number and no error."""
    assert read_number(raw) == number


@pytest.mark.parametrize(
    ("token", "claims"),
    [
        (jwt({"exp": EPOCH_S + 5, "iat": EPOCH_S}), (EPOCH_S + 5, EPOCH_S)),
        (jwt({"exp": "1700000005"}), (EPOCH_S + 5, None)),
        (jwt({"exp": EPOCH_S * 1000, "iat": True}), (None, None)),
        (jwt({}), (None, None)),
        (jwt(["exp"]), (None, None)),
        (jwt(None), (None, None)),
        ("a.%%%.c", (None, None)),
        ("a.bm90IGpzb24.c", (None, None)),
        ("a.é.c", (None, None)),
        ("a.W1tb.c", (None, None)),
        ("opaque", (None, None)),
        ("", (None, None)),
        ("a." + base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".c", (None, None)),
    ],
)
def test_claims_are_read_or_the_token_is_opaque(token: str, claims: tuple[float | None, float | None]) -> None:
    """Nothing a token can hold is an error."""
    assert read_claims(token) == claims


@pytest.mark.parametrize(
    ("facts", "life_s"),
    [
        ({"exp_s": 3600.0, "iat_s": 10.0, "date_s": 20.0, "expires_in_s": 3599.0}, 3580.0),
        ({"exp_s": 3600.0, "iat_s": 100.0, "date_s": 20.0, "expires_in_s": 3599.0}, 3500.0),
        ({"exp_s": 3600.0, "iat_s": 100.0, "date_s": 20.0, "expires_in_s": 60.0}, 60.0),
        ({"exp_s": 100.0, "iat_s": 200.0, "expires_in_s": 60.0}, 60.0),
        ({"exp_s": 100.0, "iat_s": 200.0}, None),
        ({"exp_s": 100.0}, None),
        ({"iat_s": 100.0, "date_s": 100.0}, None),
        ({"expires_in_s": 1e12}, None),
        ({}, None),
    ],
)
def test_lifetime_is_the_smallest_positive(facts: dict[str, float], life_s: float | None) -> None:
    """Of exp - iat, exp - Date, expires_in: whichever is smallest and positive; no local clock comes into it."""
    assert lifetime_s(Grant("t", 0.0, **facts)) == life_s


@pytest.mark.parametrize(
    ("life_s", "refresh_after_s", "buffer_s"),
    [(3600.0, 3300.0, 300.0), (1000.0, 700.0, 300.0), (100.0, 70.0, 30.0), (5.0, 3.5, 1.5)],
)
def test_refresh_before_the_buffer(life_s: float, refresh_after_s: float, buffer_s: float) -> None:
    """The refresh instant counts from the sending, and the buffer is at most 0.3 of the life."""
    clock = clock_in_use()
    assert clock.granted(grant(life_s=life_s), 1000.4) is Answer.NEW
    assert clock.deadline() == pytest.approx(1000.0 + refresh_after_s)
    assert clock.token is not None
    assert clock.token.buffer_s == pytest.approx(buffer_s)
    assert clock.token.expires_at_s == 1000.0 + life_s


def test_a_tiny_life_is_no_hot_loop() -> None:
    """However short the life, the next request is half a second away."""
    clock = clock_in_use()
    clock.granted(grant(life_s=0.01), 1000.0)
    assert clock.deadline() == 1000.5


def test_a_request_is_due_at_once_and_one_at_a_time() -> None:
    """A first lease is due now; while a request is under way nothing is; cancelled, it is due again."""
    clock = TokenClock(300.0, highest)
    assert clock.deadline() is None
    assert not clock.due(1000.0)
    clock.in_use(used=True)
    assert clock.due(1000.0)
    clock.requested()
    assert clock.deadline() is None
    clock.abandoned()
    assert clock.due(1000.0)


def test_freshness_as_in_google_auth() -> None:
    """FRESH, then STALE inside the buffer, INVALID at the end and without a token."""
    clock = clock_in_use()
    assert (clock.freshness(1000.0), clock.left_s(1000.0)) == (Freshness.INVALID, 0.0)
    clock.granted(grant(life_s=10.0), 1000.0)
    assert clock.freshness(1006.9) is Freshness.FRESH
    assert clock.freshness(1007.0) is Freshness.STALE
    assert clock.left_s(1007.0) == pytest.approx(3.0)
    assert clock.freshness(1010.0) is Freshness.INVALID


def test_nobody_uses_tokens_no_refresh() -> None:
    """Without a lease there is no deadline; with one again, a fresh token waits and a stale one is due."""
    clock = clock_in_use()
    clock.granted(grant(life_s=10.0), 1000.0)
    clock.in_use(used=False)
    assert clock.deadline() is None
    clock.in_use(used=True)
    assert not clock.due(1005.0)
    assert clock.due(1008.0)


def test_back_off_while_the_old_token_lives() -> None:
    """1, 2, 4 … 30 s at most; never more than a quarter of what is left; never less than 0.2 s."""
    clock = clock_in_use()
    clock.granted(grant(), 1000.0)
    waits = []
    now = 4300.0
    for _ in range(8):
        clock.failed(None, now)
        waits.append(round((clock.deadline() or 0.0) - now, 3))
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    clock.failed(None, 4592.0)
    assert clock.deadline() == 4594.0
    clock.failed(None, 4599.9)
    assert clock.deadline() == pytest.approx(4600.1)


def test_back_off_without_a_live_token_is_a_second_or_more() -> None:
    """Full jitter, but no faster than once a second where no token lives."""
    clock = clock_in_use(lowest)
    for _ in range(3):
        clock.failed(None, 1000.0)
        assert clock.deadline() == 1001.0


@pytest.mark.parametrize(("retry_after_s", "wait_s"), [(0.0, 1.0), (20.0, 20.0), (1e6, 300.0)])
def test_retry_after_is_obeyed(retry_after_s: float, wait_s: float) -> None:
    """Also where the token dies meanwhile and is reported dead; capped; forgotten with the next success."""
    clock = clock_in_use()
    clock.granted(grant(life_s=100.0), 1000.0)
    clock.failed(retry_after_s, 1070.0)
    assert clock.deadline() == 1070.0 + wait_s
    clock.reported_dead(1, 1070.0)
    assert clock.deadline() == 1070.0 + min(300.0, retry_after_s)
    clock.granted(grant("b", 100.0, 1400.0), 1400.0)
    assert clock.deadline() == 1470.0


def test_emergency_is_immediate_and_once_a_generation() -> None:
    """However many report it; an older or unknown generation is no news; failures pace it from 1 s."""
    clock = clock_in_use()
    assert not clock.reported_dead(1, 1000.0)
    clock.granted(grant(), 1000.0)
    assert not clock.reported_dead(0, 1010.0)
    assert not clock.reported_dead(2, 1010.0)
    assert clock.reported_dead(1, 1010.0)
    assert not clock.reported_dead(1, 1010.0)
    assert clock.due(1010.0)
    assert clock.freshness(1010.0) is Freshness.INVALID
    clock.failed(None, 1011.0)
    clock.failed(None, 1012.0)
    assert clock.deadline() == 1014.0
    clock.granted(grant("b", 3600.0, 1014.0), 1014.0)
    assert not clock.reported_dead(1, 1015.0)
    assert clock.deadline() == 4314.0


def test_an_emergency_does_not_wait_out_the_back_off() -> None:
    """The back-off of a failing refresh ends when the token it protected is dead."""
    clock = clock_in_use()
    clock.granted(grant(), 1000.0)
    for _ in range(6):
        clock.failed(None, 4300.0)
    assert clock.deadline() == 4330.0
    clock.reported_dead(1, 4301.0)
    assert clock.due(4301.0)


def test_tokens_refused_as_soon_as_used_are_paced() -> None:
    """The first fresh token that is refused is replaced at once, the following after 1, 2, 4 … 30 s."""
    clock = clock_in_use()
    waits = []
    for number in range(1, 9):
        now = 1000.0 * number
        clock.granted(grant(str(number), sent_at_s=now), now)
        clock.reported_dead(number, now + 0.5)
        waits.append(max(0.0, (clock.deadline() or 0.0) - now - 0.5))
    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    clock.granted(grant("old", sent_at_s=9000.0), 9000.0)
    clock.reported_dead(9, 9010.0)
    assert clock.due(9010.0)


def test_token_that_lived_says_nothing_of_the_next() -> None:
    """A young death is paced behind another young death alone; two seconds are no longer young."""
    clock = clock_in_use()
    for number, age_s in enumerate((0.5, 2.0, 0.5), 1):
        now = 1000.0 * number
        clock.granted(grant(str(number), sent_at_s=now), now)
        clock.reported_dead(number, now + age_s)
        assert clock.deadline() == -math.inf


def test_the_same_token_again_does_not_live_longer() -> None:
    """The same generation and expiry; asked again at 0.3 of what is left, at least a second later."""
    clock = clock_in_use()
    clock.granted(grant(life_s=1000.0), 1000.0)
    clock.failed(None, 1700.0)
    assert clock.granted(grant(life_s=1000.0, sent_at_s=1700.0), 1700.0) is Answer.SAME
    assert clock.deadline() == 1790.0
    assert clock.token is not None
    assert (clock.token.generation, clock.token.expires_at_s) == (1, 2000.0)
    assert clock.granted(grant(life_s=1000.0, sent_at_s=1999.0), 1999.0) is Answer.SAME
    assert clock.deadline() == 2000.0


def test_the_dead_token_again_is_a_failure() -> None:
    """After its end, or reported dead: back-off, no life and no new generation."""
    clock = clock_in_use()
    clock.granted(grant(life_s=100.0), 1000.0)
    for wait_s in (1.0, 2.0, 4.0):
        assert clock.granted(grant(life_s=100.0, sent_at_s=1200.0), 1200.0) is Answer.SAME
        assert clock.deadline() == 1200.0 + wait_s
    assert clock.freshness(1200.0) is Freshness.INVALID


def test_half_spent_token_of_a_caching_server() -> None:
    """Its life is exp - Date."""
    clock = clock_in_use()
    half_spent = Grant("t", 1000.0, 3600.0, EPOCH_S + 1800.0, EPOCH_S + 3600.0, EPOCH_S)
    assert clock.granted(half_spent, 1000.0) is Answer.NEW
    assert clock.deadline() == 1000.0 + 1500.0


def expired(token: str, at_s: float) -> Grant:
    """A token of an hour that the platform calls an hour and a second old at this instant of ours."""
    return Grant(token, at_s, 3600.0, EPOCH_S + at_s, EPOCH_S + at_s - 1.0, EPOCH_S + at_s - 3601.0)


def test_dead_on_arrival_is_a_failure() -> None:
    """The old token is kept, with back-off; as often as it comes."""
    clock = clock_in_use()
    clock.granted(grant(life_s=100.0), 1000.0)
    for at_s in (1070.0, 1071.0):
        assert clock.granted(expired(str(at_s), at_s), at_s) is Answer.EXPIRED
        assert not clock.due(at_s)
    assert clock.token is not None
    assert (clock.token.value, clock.freshness(1071.0)) == ("a", Freshness.STALE)
    assert clock.granted(expired("dead", 1200.0), 1200.0) is Answer.NEW, "nothing left to lose, and minted on request"


def test_a_date_of_another_clock_does_not_lock_us_out() -> None:
    """Date an hour ahead of the issuer: the second token minted on request is believed, and those after it."""
    clock = clock_in_use()
    assert clock.granted(expired("a", 1000.0), 1000.0) is Answer.EXPIRED
    assert clock.granted(expired("a", 1001.0), 1001.0) is Answer.EXPIRED, "the same token: a cache"
    older = expired("b", 999.0)
    assert clock.granted(older, 1002.0) is Answer.EXPIRED, "another, no later: a cache as well"
    assert clock.granted(expired("c", 1003.0), 1003.0) is Answer.NEW
    assert clock.deadline() == 1003.0 + 3300.0
    assert clock.platform_s(1003.0) == EPOCH_S + 1003.0 - 3601.0, "the issuer's clock is the platform's"
    assert clock.granted(expired("d", 4303.0), 4303.0) is Answer.NEW
    assert clock.granted(Grant("e", 4400.0, None, EPOCH_S, EPOCH_S + 60.0), 4400.0) is Answer.NEW
    assert clock.granted(expired("f", 4450.0), 4450.0) is Answer.EXPIRED, "Date agrees again"


def test_unknown_lifetime_is_learned_from_a_death() -> None:
    """No schedule at first; after a death at age A the successors are refreshed as if they lived A."""
    clock = clock_in_use()
    clock.granted(grant("a", None, 1000.0), 1000.0)
    assert clock.deadline() is None
    assert (clock.freshness(1e6), clock.left_s(1e6)) == (Freshness.FRESH, None)
    clock.reported_dead(1, 4600.0)
    clock.granted(grant("b", None, 4600.0), 4600.0)
    assert clock.deadline() == 4600.0 + 3300.0
    assert clock.token is not None
    assert clock.token.expires_at_s is None, "an assumption holds no token dead"
    assert clock.freshness(8200.0) is Freshness.STALE
    clock.failed(None, 8201.0)
    assert clock.deadline() == 8202.0, "past the assumed end it may still live: plain back-off"


def test_one_early_death_is_a_revocation_two_are_a_lifetime() -> None:
    """A first death at 5 s is taken for 30; the second for 5; a refusal under 2 s teaches nothing."""
    clock = clock_in_use()
    expected = [(0.5, None), (5.0, 21.0), (5.0, 3.5), (1.0, 3.5), (600.0, 420.0), (5.0, 420.0)]
    for number, (age_s, refresh_s) in enumerate(expected, start=1):
        now = 10_000.0 * number
        clock.granted(grant(str(number), None, now), now)
        assert clock.token is not None
        clock.reported_dead(clock.token.generation, now + age_s)
        clock.granted(grant("next", None, now + 1000.0), now + 1000.0)
        deadline = clock.deadline()
        assert (None if deadline is None else deadline - now - 1000.0) == pytest.approx(refresh_s)


def test_the_platforms_clock() -> None:
    """The later of Date and iat, plus the time since the answer; unknown until an answer told a time."""
    clock = clock_in_use()
    clock.granted(grant(), 1000.0)
    assert clock.platform_s(1000.0) is None
    clock.granted(Grant("b", 1000.0, 60.0, EPOCH_S, None, EPOCH_S + 0.5), 1001.0)
    clock.granted(grant("c", sent_at_s=1002.0), 1002.0)
    assert clock.platform_s(1011.0) == EPOCH_S + 10.5


def test_platforms_clock_of_an_answer_to_another_worker() -> None:
    """It counts from when that worker heard it."""
    clock = clock_in_use()
    clock.granted(Grant("a", 990.0, 60.0, EPOCH_S, answered_at_s=995.0), 1000.0)
    assert clock.platform_s(1000.0) == EPOCH_S + 5.0


def test_request_is_due_at_its_instant() -> None:
    """Not only after it."""
    clock = clock_in_use()
    clock.granted(grant(), 1000.0)
    assert (clock.due(4299.9), clock.due(4300.0)) == (False, True)


def test_jitter_of_a_back_off_begins_at_nothing() -> None:
    """Full jitter: while the old token lives only the floor holds."""
    clock = clock_in_use(lowest)
    clock.granted(grant(), 1000.0)
    clock.failed(None, 4300.0)
    assert clock.deadline() == 4300.0 + 0.2


@pytest.mark.parametrize("name", ["", "x", "xy", "xyz"])
def test_claims_of_any_length_are_read(name: str) -> None:
    """Base64 without padding, whatever is missing of it; an ``iat`` beyond all dates is none."""
    assert read_claims(jwt({"exp": EPOCH_S, "iat": EPOCH_S - 1, "n": name})) == (EPOCH_S, EPOCH_S - 1)
    assert read_claims(jwt({"exp": EPOCH_S, "iat": 2e11, "n": name})) == (EPOCH_S, None)


def test_no_token_in_a_repr() -> None:
    """Neither a grant nor a token shows its value."""
    clock = clock_in_use()
    clock.granted(grant("top-secret"), 1000.0)
    assert "top-secret" not in repr(grant("top-secret")) + repr(clock.token)


def test_another_token_that_ends_no_later_proves_no_other_clock() -> None:
    """A server that hands out old tokens in turn does not mint on request."""
    clock = clock_in_use()
    for value in ("a", "b"):
        answer = clock.granted(Grant(value, 1000.0, 60.0, EPOCH_S, EPOCH_S - 5.0), 1000.0)
        assert answer is Answer.EXPIRED


def test_superseded_token_is_replaced_at_once_whatever_its_life() -> None:
    """Another worker got a later one; an earlier instant that was due already stays."""
    clock = clock_in_use()
    clock.granted(grant(life_s=None), 1000.0)
    assert clock.deadline() is None
    clock.superseded(1010.0)
    assert clock.deadline() == 1010.0
    clock.granted(grant("b", 3600.0, 1011.0), 1011.0)
    clock.superseded(1020.0)
    assert clock.deadline() == 1020.0
    clock.superseded(1030.0)
    assert clock.deadline() == 1020.0
