"""The connection's state machine by example: every row of its table, and the commands that go with them."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from connector.core.handover import Handover
from connector.core.reconnect import NetworkPolicy
from connector.core.states import (
    TRANSITIONS,
    Close,
    Dial,
    Ping,
    Policy,
    ReportDead,
    Rotated,
    Setback,
    State,
    Why,
)
from connector.core.steps import HoleState
from connector.errors import IllegalTransitionError
from connector.model import DialFailure, FailureKind, Token
from tests.support.story import POLICY, SEQUENTIAL, Story

ROWS = {
    "token": "awaiting_token token dialing",
    "token newer fails401 fails401 newer": "awaiting_token token backing_off",
    "token opened": "dialing opened live",
    "brief token opened": "dialing opened rotation_due",
    "token fails410": "dialing expired_position backing_off",
    "token second fails410": "dialing expired_position dialing",
    "brief minute fails410": "dialing expired_position awaiting_token",
    "token fails": "dialing failed backing_off",
    "token fails due fails due fails": "dialing failed breaker_open",
    "token fails401": "dialing unauthorized awaiting_token",
    "token newer fails401": "dialing unauthorized dialing",
    "token fails401 newer newer fails401": "dialing unauthorized backing_off",
    "token fails401 newer fails401": "dialing unauthorized refused",
    "token fails403": "dialing forbidden refused",
    "token opened newer": "live token rotation_due",
    "token opened suspected": "live suspected rotation_due",
    "token opened leaving": "live leaving rotation_due",
    "token opened expires": "live expired awaiting_token",
    "token fails403 due opened expires": "live expired refused",
    "token opened dropped": "live dropped backing_off",
    "token fails due fails due opened dropped": "live dropped breaker_open",
    "token opened newer due": "rotation_due due rotating",
    "token opened newer worn due": "rotation_due due live",
    "token opened suspected waiting due": "rotation_due resolved live",
    "token opened newer expires": "rotation_due expired dialing",
    "token opened suspected expires": "rotation_due expired awaiting_token",
    "brief token opened due fails expires": "rotation_due expired backing_off",
    "token fails401 newer opened suspected expires": "rotation_due expired refused",
    "token opened newer dropped": "rotation_due dropped backing_off",
    "token fails due fails due opened newer dropped": "rotation_due dropped breaker_open",
    "token opened newer due opened": "rotating opened overlap",
    "token opened newer due pause opened": "rotating opened live",
    "token opened newer due newer pause opened": "rotating opened rotation_due",
    "token opened newer due fails401": "rotating unauthorized live",
    "token opened newer due newer fails401": "rotating unauthorized rotation_due",
    "token opened newer due fails": "rotating failed rotation_due",
    "token opened newer due dropped": "rotating old_closed dialing",
    "token opened newer due opened caught_up": "overlap caught_up live",
    "token opened newer due opened newer caught_up": "overlap caught_up rotation_due",
    "token opened newer due opened due": "overlap quiet live",
    "token opened newer due opened newer due": "overlap quiet rotation_due",
    "token opened newer due opened event new_event due": "overlap time_up live",
    "token opened newer due opened event new_event newer due": "overlap time_up rotation_due",
    "token opened newer due opened pause": "overlap paused live",
    "token opened newer due opened newer pause": "overlap paused rotation_due",
    "token opened newer due opened dropped": "overlap old_closed live",
    "token opened newer due opened newer dropped": "overlap old_closed rotation_due",
    "token opened newer due opened new_expires": "overlap new_expired live",
    "token opened newer due opened newer new_expires": "overlap new_expired rotation_due",
    "token opened newer due opened new_dropped": "overlap new_closed rotation_due",
    "token opened newer due opened event due": "overlap new_silent rotation_due",
    "token fails due": "backing_off due dialing",
    "token fails hour due": "backing_off due awaiting_token",
    "token fails due fails due fails due": "breaker_open due dialing",
    "token fails due fails due fails hour due": "breaker_open due awaiting_token",
    "token fails403 due": "refused due dialing",
    "token fails403 hour due": "refused due awaiting_token",
}
SEQUENTIAL_ROWS = {
    "token opened suspected due": "rotation_due due dialing",
}
STORIES = [(POLICY, *row) for row in ROWS.items()] + [(SEQUENTIAL, *row) for row in SEQUENTIAL_ROWS.items()]


@pytest.mark.parametrize(("policy", "words", "row"), STORIES, ids=[words for _, words, _ in STORIES])
def test_row(policy: Policy, words: str, row: str) -> None:
    """The last word is the input that leads from one state to the other."""
    story = Story(words, policy)
    before, event, after = row.split()
    assert (story.before, story.state) == (before, after)
    assert after in TRANSITIONS[State(before)][event]


def test_every_row_is_told() -> None:
    """No row of the table is without its story, and no story without its row."""
    table = {f"{s} {event} {to}" for s, inputs in TRANSITIONS.items() for event, tos in inputs.items() for to in tos}
    assert table == set(ROWS.values()) | set(SEQUENTIAL_ROWS.values())


def test_first_dial() -> None:
    """The first token is dialled with at once."""
    story = Story("token")
    (dial,) = story.commands
    assert isinstance(dial, Dial)
    assert (dial.socket, dial.why, dial.not_before_s, dial.timeout_s) == (1, Why.START, story.now, 10.0)


def test_rotation_is_make_before_break() -> None:
    """The new socket opens first; the old one is closed once the new has caught up."""
    story = Story("token opened newer")
    (dial,) = story.tell("due")
    assert isinstance(dial, Dial)
    assert (dial.why, dial.token.generation, dial.timeout_s) == (Why.ROTATION, 2, 8.0)
    story.tell("opened")
    assert story.handover.open_sockets == 2
    story.tell("soon")
    close, rotated = story.tell("caught_up")
    assert close == Close(1, 1000, "token refresh")
    assert isinstance(rotated, Rotated)
    assert (rotated.generation, rotated.how, round(rotated.overlap_s, 6)) == (2, "caught_up", 0.3)
    assert story.handover.connected


def test_probe_is_no_rotation() -> None:
    """A hole asks once more with the same token; nothing was rotated."""
    story = Story("token opened suspected due opened")
    assert story.tell("caught_up") == [Close(1, 1000, "token refresh")]


@pytest.mark.parametrize("words", ["token opened expires", "token fails401"])
def test_expiry_is_an_emergency(words: str) -> None:
    """The generation is reported; the next token is dialled with at once; the network has not failed."""
    story = Story(words)
    assert [type(command) for command in story.commands] == [ReportDead]
    (dial,) = story.tell("newer")
    assert isinstance(dial, Dial)
    assert dial.why is Why.EMERGENCY
    assert story.handover.backoff.failures == 0


def test_any_close_past_the_expiry_is_an_emergency() -> None:
    """A network error at that hour is none."""
    story = Story("brief opened minute dropped")
    assert story.commands == [ReportDead(1, "closed 1006")]


def test_worn_token_is_reported_and_not_used() -> None:
    """A caching server hands out what is over."""
    story = Story("worn")
    assert story.commands == [ReportDead(1, "expired")]
    assert story.state is State.AWAITING_TOKEN
    assert Story("token opened worn").state is State.LIVE


def test_older_token_is_nothing_new() -> None:
    """Generations count up."""
    story = Story("token opened")
    assert story.handover.token_ready(Token("t", 1, 0.0, None, 300.0), story.now) == []


def test_old_socket_dying_in_a_rotation_is_no_emergency() -> None:
    """Even by 1008: a dial with a newer token is under way."""
    story = Story("token opened newer due expires")
    assert story.commands == []
    assert story.tell("opened") == [Rotated(2, "old_closed", 0.0, 0.0)]


def test_old_socket_dying_in_a_probe_with_its_own_token() -> None:
    """The token is reported, the dial tells the rest."""
    assert Story("token opened suspected due expires").commands == [ReportDead(1, "closed 1008")]
    assert Story("token opened suspected due dropped").commands == []


def test_fresh_token_refused_beside_a_living_socket() -> None:
    """The first time a replacement is tried at once, then with the back-off of a refusal; nothing is interrupted."""
    story = Story("token opened newer due fails401")
    assert [type(command) for command in story.commands] == [ReportDead]
    story.tell("newer")
    story.tell("due")
    _, setback = story.tell("fails401")
    assert isinstance(setback, Setback)
    assert setback.path == "auth"
    assert setback.next_at_s is not None
    story.tell("newer")
    assert story.handover.deadline() == max(setback.next_at_s, story.now)
    assert story.state is State.ROTATION_DUE


def test_silent_new_socket_is_dialled_again_with_a_pace() -> None:
    """At once after the jitter; twice in a row is as good as refused."""
    story = Story("token opened newer due opened event due")
    close, setback = story.commands
    assert close == Close(2, 1000, "silent")
    assert isinstance(setback, Setback)
    assert (setback.path, setback.next_at_s) == ("rotation", story.now)
    for word in ("due", "opened", "event", "due"):
        story.tell(word)
    (setback,) = [command for command in story.commands if isinstance(command, Setback)]
    assert setback.next_at_s == pytest.approx(story.now + 30.0)


def test_hole_keeps_the_old_socket() -> None:
    """Where a range waits for the old socket, the new one may be the one that skipped it."""
    story = Story("token opened newer due opened event new_event waiting due")
    assert story.commands[0] == Close(2, 1000, "silent")


def test_both_sockets_die() -> None:
    """Network recovery, once."""
    story = Story("token opened newer due opened dropped dropped")
    assert story.state is State.BACKING_OFF
    assert story.handover.backoff.failures == 1


def test_liveness() -> None:
    """A ping when it is quiet, and silence is an end."""
    story = Story("token opened")
    for _ in range(2):
        assert story.tell("due") == [Ping(1)]
    close, setback = story.tell("due")
    assert close == Close(1, 1000, "silent")
    assert isinstance(setback, Setback)
    assert (setback.path, setback.trouble.detail) == ("network", "closed 1006 silent")


def test_pong_is_life() -> None:
    """The deadline moves."""
    story = Story("token opened due due")
    story.handover.heard(1, story.now)
    story.handover.heard(9, story.now)
    assert story.tell("due") == [Ping(1)]


def test_paused_socket_is_not_watched() -> None:
    """Nobody hears a socket that isn't read; when it is read again, silence counts from then."""
    story = Story("token opened pause")
    assert story.handover.deadline() is None
    assert story.tell("hour") == []
    assert story.handover.tick(story.now) == []
    story.tell("resume")
    assert story.handover.deadline() == story.now + 20.0


def test_rotation_of_a_paused_stream_closes_first() -> None:
    """Replay covers what is between."""
    close, dial = Story("token opened newer pause due").commands
    assert close == Close(1, 1000, "token refresh")
    assert isinstance(dial, Dial)


def test_probe_of_a_sequential_platform_closes_first() -> None:
    """And does not call it a rotation."""
    assert Story("token opened suspected due", SEQUENTIAL).commands[0] == Close(1, 1000, "asking again")


def test_sequential_rotation_waits_for_its_hour() -> None:
    """min(5 s, buffer / 4) before the token dies."""
    story = Story("token opened", SEQUENTIAL)
    assert story.handover.deadline() == 1020.0
    story.tell("newer")
    story.handover.heard(1, 4598.0)
    story.handover.resume(4590.0)
    assert story.handover.deadline() == 1000.0 + 3600.0 - 2.0


def test_sequential_rotation_of_an_immortal_token() -> None:
    """Without an expiry there is no hour to wait for."""
    machine = Handover(SEQUENTIAL, Random(1), 0.0)
    machine.token_ready(Token("t", 1, 0.0, None, 300.0), 0.0)
    machine.opened(1, 0.0)
    machine.token_ready(Token("t", 2, 0.0, None, 300.0), 0.0)
    assert machine.deadline() == 0.0


def test_reissue_that_revokes_rotates_at_once() -> None:
    """No jitter, no waiting, also where two sockets are refused."""
    revokes = replace(SEQUENTIAL, reissue_revokes=True, jitter_s=(0.5, 0.9))
    story = Story("token opened newer", revokes)
    assert story.handover.deadline() == story.now


def test_second_socket_refused_until_the_token_dies() -> None:
    """The hand-over becomes sequential shortly before the expiry."""
    story = Story("brief opened newer due fails429")
    while story.state is State.ROTATION_DUE and story.handover.connected:
        commands = story.tell("due")
        if isinstance(commands[0], Close):
            break
        story.tell("fails429")
    assert story.now == 1018.0
    assert isinstance(commands[1], Dial)
    assert story.tell("opened") == [Rotated(2, "sequential", 0.0, 18.0)]


def test_retry_after_is_obeyed() -> None:
    """By a rotation, and by an emergency that comes meanwhile."""
    story = Story("token opened newer due")
    failure = DialFailure(FailureKind.THROTTLED, "busy", 429, 7.0)
    (setback,) = story.handover.dial_failed(2, failure, story.now)
    assert isinstance(setback, Setback)
    assert setback.next_at_s == story.now + 7.0
    assert "429" in setback.trouble.detail
    story.tell("expires")
    assert story.state is State.BACKING_OFF
    assert story.handover.deadline() == story.now + 7.0


def test_hole_is_not_asked_for_with_a_dead_token() -> None:
    """A new one is on its way."""
    story = Story("token opened newer due fails401 suspected")
    assert story.commands == []
    assert story.state is State.LIVE


def test_hole_is_not_asked_for_without_a_socket() -> None:
    """The next dial asks anyway."""
    story = Story("token fails suspected")
    assert story.commands == []
    assert story.state is State.BACKING_OFF


def test_duplicates_are_life_but_no_progress() -> None:
    """They make no socket healthy."""
    story = Story("token fails due opened later")
    story.handover.progressed(2, story.now, fresh=False, caught_up=False, hole=HoleState.NONE)
    assert story.handover.backoff.failures == 1
    assert story.handover.deadline() == story.now + 17.0


def test_quiet_is_not_stale() -> None:
    """A healthy quiet stream is complete until it was heard last; one with a hole is not."""
    retention = replace(POLICY, network=NetworkPolicy(backoff_s=30.0, backoff_max_s=3000.0, retention_s=40.0))
    waits = []
    for hole in ("whole", "waiting"):
        story = Story("token opened", retention)
        for _ in range(3):
            story.tell("minute")
            story.handover.heard(1, story.now)
        story.tell(hole)
        (setback,) = story.tell("dropped")
        assert isinstance(setback, Setback)
        assert setback.next_at_s is not None
        waits.append(setback.next_at_s - story.now)
    assert waits[0] <= 10.0
    assert waits[1] <= 5.0


def test_healthy_time_forgets_failures() -> None:
    """Two seconds with progress, ten without; a handshake alone does not."""
    assert Story("token fails due opened event").handover.backoff.failures == 1
    assert Story("token fails due opened event later event").handover.backoff.failures == 0
    assert Story("token fails due opened later dropped").handover.backoff.failures == 2


def test_stop_closes_everything() -> None:
    """And nothing comes after it."""
    story = Story("token opened newer due")
    assert story.handover.stop("bye") == [Close(1, 1000, "bye"), Close(2, 1000, "bye")]
    assert story.handover.opened(2, story.now) == [Close(2, 1000, "not needed")]
    assert story.handover.dial_failed(2, DialFailure(FailureKind.NETWORK, ""), story.now) == []
    assert story.handover.closed(1, 1006, story.now) == []
    assert story.tell("newer") == []
    assert story.handover.progressed(1, story.now, fresh=True, caught_up=True, hole=HoleState.PROBE) == []
    assert story.handover.tick(story.now + 1e6) == []
    assert story.handover.deadline() is None
    assert Story("").handover.stop("bye") == []


def test_illegal_input_is_refused() -> None:
    """A row that is not in the table is a bug, named, and changes nothing."""
    story = Story("token")
    with pytest.raises(IllegalTransitionError, match="does not lead to"):
        story.handover._go("opened", State.OVERLAP)  # noqa: SLF001 - no fact leads there
    with pytest.raises(IllegalTransitionError, match="without a socket"):
        story.handover._only()  # noqa: SLF001 - no fact leads there
    with pytest.raises(IllegalTransitionError, match="without two sockets"):
        story.handover._pair()  # noqa: SLF001 - no fact leads there
    assert story.state is State.DIALING
