"""Whatever the endpoint and the platform do, the schedule keeps its promises."""

from __future__ import annotations

import math
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connector.core.token_clock import Answer, Freshness, Grant, TokenClock, lifetime_s, read_claims, read_number

EPOCH_S = 1_700_000_000.0
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
SECONDS = st.floats(0.0, 10_000.0)
OFFSETS = st.none() | st.floats(-4000.0, 8000.0)


@given(ANYTHING)
def test_every_value_is_a_positive_number_or_none(raw: object) -> None:
    """No JSON value is an error."""
    number = read_number(raw)
    assert number is None or (math.isfinite(number) and number > 0)


@given(st.text(max_size=200) | st.builds("{}.{}.{}".format, st.text(), st.text(), st.text()))
def test_every_text_is_a_token(text: str) -> None:
    """Whatever is no JWT is opaque."""
    assert read_claims(text) is not None


@given(OFFSETS, OFFSETS, OFFSETS, st.none() | SECONDS, st.floats(-1e9, 1e9))
def test_lifetime_does_not_depend_on_where_the_platforms_clock_stands(
    exp: float | None, iat: float | None, date: float | None, expires_in: float | None, skew: float
) -> None:
    """Shift all of the platform's instants by any skew: the same life."""

    def facts(shift: float) -> Grant:
        """The grant as a platform with this skew writes it; whole milliseconds, so that floats don't matter."""
        moved = [None if x is None else round(x) + EPOCH_S + round(shift) for x in (exp, iat, date)]
        return Grant("t", 0.0, expires_in, moved[2], moved[0], moved[1])

    assert lifetime_s(facts(0.0)) == lifetime_s(facts(skew))


class TokenClockMachine(RuleBasedStateMachine):
    """Any interleaving of answers, failures, deaths, leases and time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.made = 0
        self.reported: set[int] = set()
        self.generations = [0]
        self.last_end = -math.inf  # of the last request
        self.told_until = -math.inf

    @initialize(seed=st.integers(0, 2**32), buffer_s=st.floats(0.1, 600.0))
    def start(self, seed: int, buffer_s: float) -> None:
        """A clock with any buffer."""
        self.clock = TokenClock(buffer_s, Random(seed).uniform)

    @rule(step_s=st.sampled_from([0.01, 0.3, 1.0, 7.0, 60.0, 3600.0]))
    def time_passes(self, step_s: float) -> None:
        """Also by a suspended machine."""
        self.now += step_s

    @rule(used=st.booleans())
    def lease(self, used: bool) -> None:  # noqa: FBT001 - Hypothesis passes it by name
        """Somebody starts or stops to use tokens."""
        self.clock.in_use(used=used)

    def _ask(self) -> None:
        assert not self.clock.busy
        assert self.clock.used
        assert self.now >= self.told_until, "a Retry-After is obeyed"
        self.clock.requested()
        assert not self.clock.due(self.now), "single-flight"

    @precondition(lambda self: self.clock.due(self.now))
    @rule(
        latency_s=st.floats(0.0, 10.0),
        life_s=st.none() | st.floats(0.01, 8000.0),
        left_share=st.floats(-0.5, 1.0),
        kind=st.sampled_from(["opaque", "jwt", "opaque again", "jwt again"]),
        skew_s=st.floats(-7200.0, 7200.0),
    )
    def answered(self, latency_s: float, life_s: float | None, left_share: float, kind: str, skew_s: float) -> None:
        """A token comes: fresh, half-spent, dead, opaque, or the same again."""
        self._ask()
        sent_at_s = self.now
        self.now += latency_s
        before = self.clock.token
        self.made += 1
        value = before.value if "again" in kind and before is not None else f"t{self.made}"
        date = EPOCH_S + skew_s
        has_claims = "jwt" in kind and life_s is not None
        exp = date + (life_s or 0.0) * left_share if has_claims else None
        iat = None if exp is None else exp - (life_s or 0.0)
        grant = Grant(value, sent_at_s, life_s, date, exp, iat)
        was_fresh = self.clock.freshness(self.now)
        answer = self.clock.granted(grant, self.now)
        after = self.clock.token
        if answer is Answer.NEW:
            assert after is not None
            self.generations.append(after.generation)
            if after.expires_at_s is not None:
                assert after.buffer_s <= 0.3 * (after.expires_at_s - after.issued_at_s) + 1e-6
        else:
            assert after is before, "an answer that brings nothing new changes nothing"
            assert self.clock.freshness(self.now) is was_fresh
        self.told_until = -math.inf if answer is not Answer.EXPIRED else self.told_until
        self.last_end = self.now

    @precondition(lambda self: self.clock.due(self.now))
    @rule(latency_s=st.floats(0.0, 10.0), retry_after_s=st.none() | st.floats(0.0, 1e5))
    def refused(self, latency_s: float, retry_after_s: float | None) -> None:
        """The endpoint is in trouble: nothing that lives is hurt, and attempts go on in time."""
        self._ask()
        self.now += latency_s
        before, was = self.clock.token, self.clock.freshness(self.now)
        self.clock.failed(retry_after_s, self.now)
        assert (self.clock.token, self.clock.freshness(self.now)) == (before, was)
        left_s = self.clock.left_s(self.now)
        if retry_after_s is not None:
            self.told_until = self.now + min(retry_after_s, 300.0)
        elif left_s and self.told_until <= self.now:
            assert (self.clock.deadline() or self.now) <= self.now + max(0.2, left_s / 4) + 1e-6 or not self.clock.used
        self.last_end = self.now

    @precondition(lambda self: self.clock.due(self.now))
    @rule()
    def cancelled(self) -> None:
        """A cancelled request leaves no trace."""
        self._ask()
        self.clock.abandoned()
        assert self.clock.due(self.now)

    @rule(back=st.integers(-1, 2))
    def dies(self, back: int) -> None:
        """Any generation may be reported, any number of times; only the first report of the newest is news."""
        generation = self.generations[-1] - back
        newest = generation == self.generations[-1] and generation > 0
        news = self.clock.reported_dead(generation, self.now)
        assert news == (newest and generation not in self.reported)
        if news:
            self.reported.add(generation)
        if newest:
            assert self.clock.freshness(self.now) is Freshness.INVALID

    @invariant()
    def promises(self) -> None:
        """Generations count by one; nothing is asked for nobody; who needs a token is never forgotten."""
        if not hasattr(self, "clock"):
            return
        assert self.generations == list(range(len(self.generations)))
        deadline = self.clock.deadline()
        if not self.clock.used or self.clock.busy:
            assert deadline is None
        elif self.clock.freshness(self.now) is not Freshness.FRESH:
            assert deadline is not None
            assert deadline <= max(self.now, self.last_end) + 300.0
        if deadline is not None and self.generations[-1] not in self.reported:
            assert deadline >= self.last_end + 0.2 - 1e-6, "paced, but for an emergency"


TestTokenClock = TokenClockMachine.TestCase
TestTokenClock.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)
