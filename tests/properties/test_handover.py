"""Whatever happens to a stream's sockets and tokens, the state machine keeps its promises and comes back to life."""

from __future__ import annotations

import math
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connector.core.handover import Handover
from connector.core.reconnect import NetworkPolicy
from connector.core.states import (
    Close,
    Command,
    Dial,
    Ping,
    Policy,
    Pong,
    ReportDead,
    Rotated,
    Setback,
    Silent,
    State,
    Why,
)
from connector.core.steps import HoleState
from connector.model import DialFailure, FailureKind, Token

CODES = [1000, 1001, 1006, 1008, 1011, 4001]
KINDS = list(FailureKind)
NO_NETWORK = {FailureKind.UNAUTHORIZED, FailureKind.FORBIDDEN, FailureKind.EXPIRED_POSITION}
HOLES = list(HoleState)
GOALS = [State.LIVE, State.ROTATION_DUE, State.ROTATING, State.ROTATING, State.OVERLAP, State.OVERLAP]
WAITING = {State.ROTATION_DUE, State.BACKING_OFF, State.BREAKER_OPEN, State.REFUSED}
INSTANT = 1e-6  # a float's worth of tolerance


class HandoverMachine(RuleBasedStateMachine):
    """Any interleaving of facts, also of ones about sockets that are gone, and of time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.tokens: list[Token] = []
        self.dead: set[int] = set()
        self.dialling: dict[int, Dial] = {}
        self.open: dict[int, tuple[float, Token]] = {}
        self.advanced: set[int] = set()
        self.gone: list[int] = [0]
        self.dials: list[float] = []
        self.told_until = 0.0
        self.stopped = self.late = False

    @initialize(
        seed=st.integers(0, 2**32),
        overlap=st.booleans(),
        revokes=st.booleans(),
        retention_s=st.sampled_from([None, 4.0, 120.0]),
        breaker=st.integers(1, 5),
        keepalive_s=st.sampled_from([None, None, 2.0, 5.0]),
    )
    def begin(
        self,
        *,
        seed: int,
        overlap: bool,
        revokes: bool,
        retention_s: float | None,
        breaker: int,
        keepalive_s: float | None,
    ) -> None:
        """A stream of any platform."""
        network = NetworkPolicy(breaker_failures=breaker, retention_s=retention_s)
        self.policy = Policy(
            network, overlap=overlap, reissue_revokes=revokes, ping_s=3.0, silence_s=8.0, keepalive_s=keepalive_s
        )
        self.handover = Handover(self.policy, Random(seed), self.now)

    # ------------------------------------------------------------------ what the caller does

    def execute(self, commands: list[Command]) -> None:
        """Carry out commands, each judged."""
        for command in commands:
            assert not self.stopped or isinstance(command, Close), "after stop nothing but Close"
            match command:
                case Dial():
                    self.dial(command)
                case Close(socket):
                    assert socket in self.open or socket in self.dialling or socket == self.refused_socket
                    self.gone.append(socket)
                    self.open.pop(socket, None)
                    self.dialling.pop(socket, None)
                case Pong(socket):
                    assert socket in self.open
                    assert self.policy.keepalive_s is not None
                case Silent(socket):
                    assert socket in self.open
                    assert self.handover._hole is HoleState.WAIT  # noqa: SLF001 - what it was told last
                    assert self.now >= self.open[socket][0] + 1.0
                case Ping(socket):
                    assert socket in self.open
                    assert not self.handover.paused
                case ReportDead(generation):
                    assert generation not in self.dead
                    self.dead.add(generation)
                case Rotated(generation, _, overlap_s):
                    assert generation <= self.tokens[-1].generation
                    assert overlap_s <= 2.0 + INSTANT or self.late
                case Setback(_, _, next_at_s):
                    assert next_at_s is None or next_at_s >= self.now
        assert self.handover.open_sockets == len(self.open)

    def dial(self, dial: Dial) -> None:
        """At most one at a time, paced, with the newest living token."""
        assert not self.dialling
        assert len(self.open) <= 1
        assert dial.token is self.tokens[-1]
        assert dial.token.generation not in self.dead
        assert dial.token.expires_at_s is None or dial.token.expires_at_s > self.now
        assert dial.not_before_s == self.now
        assert self.now >= self.told_until - INSTANT, "a Retry-After is obeyed"
        if dial.why in {Why.NETWORK, Why.PROBE}:
            assert self.now >= max(self.dials, default=-math.inf) + 1 - INSTANT
        assert len([at for at in self.dials if at > self.now - 1 + INSTANT]) < 2
        self.dials.append(self.now)
        self.dialling[dial.socket] = dial

    refused_socket: int | None = None

    def check_failures(self, before: int, *, feeds: bool) -> None:
        """The network's failures: fed by its own path alone, forgotten by healthy time alone."""
        after = self.handover.backoff.failures
        assert after <= before or feeds, "neither a rotation nor a token feeds the network's failures"
        if after < before - (1 if feeds else 0):
            was = [(self.now - at, s in self.advanced) for s, (at, _) in self.was_open.items()]
            assert [1 for age, advanced in was if age >= 10.0 or (advanced and age >= 2.0)], "only healthy time forgets"

    def fact(self, commands: list[Command], before: int, *, feeds: bool = False) -> None:
        """After a fact: execute, and judge the failures."""
        self.check_failures(before, feeds=feeds)
        self.execute(commands)
        self.was_open = dict(self.open)

    was_open: dict[int, tuple[float, Token]] = {}  # noqa: RUF012 - replaced, never changed

    # ------------------------------------------------------------------ facts

    def make_token(self, life_s: float | None, buffer_s: float) -> Token:
        """The next generation."""
        generation = len(self.tokens) + 1
        expires_at_s = None if life_s is None else self.now + life_s
        token = Token("t", generation, self.now, expires_at_s, buffer_s)
        self.tokens.append(token)
        return token

    @rule(
        life_s=st.sampled_from([None, -1.0, 0.0, 0.5, 5.0, 60.0, 3600.0]),
        buffer_s=st.sampled_from([0.2, 1.5, 18.0, 300.0]),
    )
    def token_comes(self, life_s: float | None, buffer_s: float) -> None:
        """A replacement is staged; it may be worn out."""
        self.offer(self.make_token(life_s, buffer_s))

    def offer(self, token: Token) -> None:
        """Tell the machine."""
        before = self.handover.backoff.failures
        self.fact(self.handover.token_ready(token, self.now), before)

    @precondition(lambda self: not self.stopped)
    @rule(goal=st.sampled_from(GOALS), buffer_s=st.sampled_from([0.4, 1.5, 18.0, 300.0]))
    def all_goes_well(self, goal: State, buffer_s: float) -> None:
        """For a while, so that what follows finds the machine in every state often."""
        for _ in range(12):
            state = self.handover.state
            if state is goal:
                return
            if self.dialling:
                self.dial_succeeds()
            elif state is State.OVERLAP or state in WAITING:
                self.time_passes(max(0.0, (self.handover.deadline() or 0.0) - self.now))
            else:
                self.offer(self.make_token(3600.0, buffer_s))

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def token_comes_again(self, data: st.DataObject) -> None:
        """An old one is nothing new."""
        state = self.handover.state
        assert self.handover.token_ready(data.draw(st.sampled_from(self.tokens)), self.now) == []
        assert self.handover.state is state

    @precondition(lambda self: self.dialling)
    @rule()
    def dial_succeeds(self) -> None:
        """The handshake is done."""
        socket, dial = self.dialling.popitem()
        self.open[socket] = (self.now, dial.token)
        self.was_open = dict(self.open)
        before = self.handover.backoff.failures
        self.fact(self.handover.opened(socket, self.now), before)

    @precondition(lambda self: self.dialling)
    @rule(kind=st.sampled_from(KINDS), retry_after_s=st.sampled_from([None, None, None, 0.0, 3.0, 45.0]))
    def dial_fails(self, kind: FailureKind, retry_after_s: float | None) -> None:
        """The handshake is refused, or the network fails."""
        socket, _ = self.dialling.popitem()
        self.gone.append(socket)
        if retry_after_s is not None:
            self.told_until = max(self.told_until, self.now + retry_after_s)
        alone = not self.handover.connected and kind not in NO_NETWORK
        before = self.handover.backoff.failures
        commands = self.handover.dial_failed(socket, DialFailure(kind, "", None, retry_after_s), self.now)
        assert (self.handover.backoff.failures == before + 1) == alone
        self.fact(commands, before, feeds=alone)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), code=st.sampled_from(CODES))
    def socket_ends(self, data: st.DataObject, code: int) -> None:
        """The peer closes, or the connection breaks."""
        socket = data.draw(st.sampled_from(sorted(self.open)))
        self.was_open = dict(self.open)
        _, token = self.open.pop(socket)
        self.gone.append(socket)
        expired = code in self.policy.expired_codes or (token.expires_at_s or math.inf) <= self.now
        feeds = not self.open and not self.dialling and not expired
        before = self.handover.backoff.failures
        self.fact(self.handover.closed(socket, code, self.now), before, feeds=feeds)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), fresh=st.booleans(), caught_up=st.booleans(), hole=st.sampled_from(HOLES))
    def items_arrive(self, data: st.DataObject, fresh: bool, caught_up: bool, hole: HoleState) -> None:  # noqa: FBT001 - Hypothesis names it
        """Whatever the ledger makes of them."""
        socket = data.draw(st.sampled_from(sorted(self.open)))
        if fresh:
            self.advanced.add(socket)
        before = self.handover.backoff.failures
        self.was_open = dict(self.open)
        told = self.handover.progressed(socket, self.now, fresh=fresh, caught_up=caught_up, hole=hole)
        self.fact(told, before)

    @rule(hole=st.sampled_from(HOLES))
    def hole_changes(self, hole: HoleState) -> None:
        """The ledger changed its mind without an arrival."""
        before = self.handover.backoff.failures
        self.was_open = dict(self.open)
        self.fact(self.handover.hole_changed(hole, self.now), before)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def pong(self, data: st.DataObject) -> None:
        """The peer lives."""
        before = self.handover.backoff.failures
        self.was_open = dict(self.open)
        self.fact(self.handover.heard(data.draw(st.sampled_from(sorted(self.open))), self.now), before)

    @precondition(lambda self: not self.handover.paused)
    @rule()
    def buffer_full(self) -> None:
        """Back-pressure."""
        before = self.handover.backoff.failures
        self.was_open = dict(self.open)
        self.fact(self.handover.pause(self.now), before)

    @precondition(lambda self: self.handover.paused)
    @rule()
    def buffer_free(self) -> None:
        """No back-pressure."""
        self.handover.resume(self.now)

    @rule(data=st.data(), code=st.sampled_from(CODES))
    def stale_facts(self, data: st.DataObject, code: int) -> None:
        """What was on its way when the machine let go of a socket changes nothing."""
        socket = data.draw(st.sampled_from(self.gone))
        state = self.handover.state
        assert self.handover.dial_failed(socket, DialFailure(FailureKind.UNAUTHORIZED, ""), self.now) == []
        assert self.handover.closed(socket, code, self.now) == []
        assert self.handover.heard(socket, self.now) == []
        told = self.handover.progressed(socket, self.now, fresh=True, caught_up=True, hole=HoleState.PROBE)
        assert told == []
        assert self.handover.opened(socket, self.now) == [Close(socket, 1000, "not needed")]
        assert self.handover.state is state

    # ------------------------------------------------------------------ time

    @rule(step_s=st.sampled_from([0.0, 0.01, 0.07, 0.5, 1.0, 2.0, 9.0, 31.0]))
    def time_passes(self, step_s: float) -> None:
        """The timer fires when it was set for; between two deadlines a tick changes nothing."""
        until = self.now + step_s
        for _ in range(400):
            deadline = self.handover.deadline()
            if deadline is None or deadline > until:
                break
            self.now = max(self.now, deadline)
            self.tick()
        else:
            raise AssertionError("a busy loop")
        self.now = until
        state = self.handover.state
        assert self.handover.tick(self.now) == []
        assert self.handover.state is state

    @precondition(lambda self: self.handover.deadline() is not None)
    @rule(late_s=st.sampled_from([0.0, 3.0, 40.0]))
    def timer_is_late(self, late_s: float) -> None:
        """A stalled loop, a suspended machine."""
        self.now = max(self.now, self.handover.deadline() or 0.0) + late_s
        self.late = late_s > 0
        for _ in range(8):
            self.tick()
            if (self.handover.deadline() or math.inf) > self.now:
                self.late = False
                return
        raise AssertionError("a busy loop")

    def tick(self) -> None:
        """Time has passed."""
        alone = len(self.open) - (1 if self.dialling else 0) <= 1
        before = self.handover.backoff.failures
        self.was_open = dict(self.open)
        silent = [s for s in self.open if s]
        self.fact(self.handover.tick(self.now), before, feeds=bool(alone and silent) or len(self.open) == 2)
        if len(self.open) == 2:
            opened_at, token = self.open[max(self.open)]
            assert self.now < opened_at + min(2.0, token.buffer_s / 2) + INSTANT

    @precondition(lambda self: self.now > 1300.0 and not self.stopped)
    @rule()
    def stops(self) -> None:
        """For good."""
        self.execute(self.handover.stop("enough"))
        assert not self.open
        assert not self.dialling
        self.stopped = True

    @invariant()
    def at_most_two(self) -> None:
        """Sockets and dials together."""
        assert len(self.open) + len(self.dialling) <= 2

    @invariant()
    def signs_of_life(self) -> None:
        """Of the active socket, and never of the future."""
        if hasattr(self, "handover") and self.handover.heard_at_s is not None:
            assert self.handover.connected
            assert self.handover.heard_at_s <= self.now

    # ------------------------------------------------------------------ liveness

    def teardown(self) -> None:
        """With tokens that come and dials that succeed, the stream lives again, with the newest token."""
        if self.stopped or not hasattr(self, "handover"):
            return
        self.handover.resume(self.now)
        started = self.now
        while self.now < started + 200.0:
            self.benign_turn()
            if self.lives():
                return
        raise AssertionError(f"still {self.handover.state}")

    def benign_turn(self) -> None:
        """A tenth of a second in which nothing goes wrong."""
        newest = self.tokens[-1] if self.tokens else None
        if newest is None or newest.generation in self.dead or (newest.expires_at_s or math.inf) <= self.now:
            self.offer(self.make_token(3600.0, 300.0))
        if self.dialling:
            self.dial_succeeds()
        self.fact(self.handover.hole_changed(HoleState.NONE, self.now), self.handover.backoff.failures)
        for socket in sorted(self.open):
            if socket in self.open:
                told = self.handover.progressed(socket, self.now, fresh=True, caught_up=True, hole=HoleState.NONE)
                self.advanced.add(socket)
                self.was_open = dict(self.open)
                self.fact(told, self.handover.backoff.failures)
        self.time_passes(0.1)

    def lives(self) -> bool:
        """Whether the newest token is in use; where two sockets are refused, it may wait for its hour."""
        if len(self.open) != 1 or self.dialling:
            return False
        ((_, token),) = self.open.values()
        if self.handover.state is State.ROTATION_DUE:
            return not self.policy.overlap and token is not self.tokens[-1]
        return self.handover.state is State.LIVE and token is self.tokens[-1]


TestHandover = HandoverMachine.TestCase
TestHandover.settings = settings(
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
