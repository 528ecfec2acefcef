"""How an overlap of two sockets ends, exit by exit (DESIGN.md, "The states of a stream")."""

from __future__ import annotations

from itertools import pairwise

import pytest

from connector.core.sockets import Socket, judge_overlap, overlap_deadline
from connector.core.states import Close, Ping, Policy, Rotated, Setback, Silent, State, Why
from connector.core.steps import HoleState
from connector.model import Token
from tests.support.story import Story

OPENED = 1000.0
OVERLAP = "token opened newer due opened "
NONE, WAIT, PROBE = HoleState.NONE, HoleState.WAIT, HoleState.PROBE


def pair(buffer_s: float, old_event: float | None, new_event: float | None) -> tuple[Socket, Socket]:
    """A new socket and an old one; events in seconds since the new one opened."""
    token = Token("t", 2, 0.0, None, buffer_s)
    new, old = Socket(2, token, Why.ROTATION), Socket(1, token, Why.START)
    old.opened(0.0, Policy())
    new.opened(OPENED, Policy())
    old.event_at = None if old_event is None else OPENED + old_event
    new.event_at = None if new_event is None else OPENED + new_event
    return new, old


@pytest.mark.parametrize(
    ("buffer_s", "old_event", "ends_s"),
    [
        (300.0, None, 1.0),  # quiet: min(1 s, buffer/8)
        (300.0, -0.1, 1.0),  # what came before the new one opened does not count
        (4.0, None, 0.5),
        (1.5, None, 0.1875),  # a token of 5 s
        (300.0, 0.0, 2.0),  # the old delivers: min(2 s, buffer/2)
        (300.0, 1.9, 2.0),
        (3.0, 0.1, 1.5),
        (1.5, 0.1, 0.75),
        (0.0, None, 0.0),
    ],
)
def test_latest_end(buffer_s: float, old_event: float | None, ends_s: float) -> None:
    """Counted from the opening of the new socket, never more than 2 s."""
    assert overlap_deadline(*pair(buffer_s, old_event, None)) == OPENED + ends_s


@pytest.mark.parametrize(
    ("old_event", "new_event", "hole", "after_s", "end"),
    [
        (None, None, NONE, 0.999, None),
        (None, None, NONE, 1.0, "quiet"),
        (-5.0, None, NONE, 1.0, "quiet"),
        (-5.0, 0.1, NONE, 1.0, "time_up"),  # the new one replays, the old one is quiet
        (0.1, 0.1, NONE, 1.999, None),
        (0.1, 0.1, NONE, 2.0, "time_up"),  # replay covers the rest
        (0.1, None, NONE, 1.999, None),
        (0.1, None, NONE, 2.0, "new_silent"),
        (0.1, 0.1, WAIT, 1.999, None),
        (0.1, 0.1, WAIT, 2.0, "new_silent"),  # the new one may be the one that skipped it
        (None, 0.1, WAIT, 1.0, "time_up"),  # the old one will not fill it
        (0.1, 0.1, PROBE, 2.0, "time_up"),  # both have skipped it
        (0.1, 0.1, NONE, 60.0, "time_up"),  # a timer that is late
    ],
)
def test_end(
    old_event: float | None, new_event: float | None, hole: HoleState, after_s: float, end: str | None
) -> None:
    """Each exit, and the instant before it."""
    assert judge_overlap(*pair(300.0, old_event, new_event), hole, OPENED + after_s) == end


def test_caught_up_ends_it_at_once() -> None:
    """Whatever else is known."""
    new, old = pair(300.0, 0.1, 0.1)
    new.caught_up = True
    assert judge_overlap(new, old, WAIT, OPENED) == "caught_up"


@pytest.mark.parametrize(
    ("script", "how", "overlap_s"),
    [
        ("0.3 new_event 0.2 caught_up", "caught_up", 0.5),
        ("1.0", "quiet", 1.0),
        ("event new_duplicate 2.0", "time_up", 2.0),
        ("pause", "paused", 0.0),
        ("0.4 dropped", "old_closed", 0.4),
        ("0.4 expires", "old_closed", 0.4),
    ],
)
def test_new_socket_takes_over(script: str, how: str, overlap_s: float) -> None:
    """The old one is closed with 1000 "token refresh", unless it is gone; the rotation is told once, no failure."""
    story = Story(OVERLAP + script)
    assert story.state is State.LIVE
    assert story.open == [2]
    (rotated,) = [command for _, command in story.log if isinstance(command, Rotated)]
    assert (rotated.generation, rotated.how, round(rotated.overlap_s, 6)) == (2, how, overlap_s)
    closes = [command for _, command in story.log if isinstance(command, Close)]
    assert closes == ([] if how == "old_closed" else [Close(1, 1000, "token refresh")])
    assert not [command for _, command in story.log if isinstance(command, Setback)]
    assert story.handover.backoff.failures == 0


def test_old_socket_may_go_on_delivering_to_the_limit() -> None:
    """Its events prolong a quiet overlap, but not beyond min(2 s, buffer/2)."""
    story = Story(OVERLAP + "0.9 event new_duplicate 0.9 event")
    assert story.state is State.OVERLAP
    assert story.tell("0.2")[0] == Close(1, 1000, "token refresh")


def test_paused_old_socket_is_replaced_when_the_new_one_opens() -> None:
    """Nobody reads either of them: there is nothing to wait for."""
    story = Story("token opened newer due pause opened")
    assert (story.state, story.open) == (State.LIVE, [2])


def test_pause_that_ends_before_the_new_one_opens() -> None:
    """An overlap like any other."""
    assert Story("token opened newer due pause resume opened").state is State.OVERLAP


def test_overlap_of_a_short_life() -> None:
    """A token of 5 s still rotates by overlap: at most 0.75 s."""
    story = Story("")
    for generation in (1, 2):
        token = Token("t", generation, story.now, story.now + 5.0, 1.5)
        story.execute(story.handover.token_ready(token, story.now))
        story.tell("due" if generation == 2 else "opened")
    for word in ("opened", "event", "new_event", "0.74"):
        story.tell(word)
    assert story.state is State.OVERLAP
    assert story.tell("0.01")[0] == Close(1, 1000, "token refresh")


def answered(story: Story, pauses_s: list[float]) -> list[bool]:
    """A sign of life after each pause; returns after which of them the socket counts as silent."""
    told = []
    for pause_s in pauses_s:
        story.tell(str(pause_s))
        told.append(story.tell("pong") == [Silent(story.open[-1])])
    return told


ASKED = "token opened suspected due opened due waiting "


def test_probe_that_lives_and_shows_nothing() -> None:
    """Asked once a second for a sign of life; ten seconds of silence with an answer each are proof."""
    story = Story(ASKED)
    pings = [at for at, command in story.log if command == Ping(2)]
    assert answered(story, [1.0] * 9) == [False] * 8 + [True]  # a second had passed before the old one was closed
    later = [at for at, command in story.log if command == Ping(2) and at not in pings]
    assert [round(b - a, 6) for a, b in pairwise(later)] == [1.0] * 8


@pytest.mark.parametrize(
    ("words", "pauses_s", "told"),
    [
        ("", [30.0, 1.0, 1.0, 1.0], [False] * 4),  # frozen for long: no more than two seconds of it count
        ("", [2.0, 2.0, 2.0, 2.0, 2.0], [False] * 4 + [True]),
        ("5 pong new_event waiting", [2.0, 2.0, 2.0, 2.0], [False] * 4),  # it brings something: from the beginning
        ("5 pong pause 3 resume", [2.0, 2.0, 2.0, 2.0], [False] * 4),  # nobody read it
        ("5 pong whole waiting", [2.0, 2.0, 2.0, 2.0], [False] * 4),  # another hole
        ("whole", [2.0, 2.0, 2.0, 2.0, 2.0, 2.0], [False] * 6),  # nothing is missing
    ],
)
def test_silence_that_is_none(words: str, pauses_s: list[float], told: list[bool]) -> None:
    """Only a peer that answers, is read, and brings nothing while something is missing is silent."""
    assert answered(Story(ASKED + words), pauses_s) == told


def test_silence_of_short_lived_tokens() -> None:
    """No socket gets as old as ten seconds: two buffers are enough, which every socket lives to see."""
    token = Token("t", 1, 0.0, None, 1.5)
    socket = Socket(1, token, Why.PROBE)
    socket.opened(OPENED, Policy())
    for tenth in range(1, 11):
        assert not socket.fell_silent
        socket.lives(OPENED + tenth * 0.3)
    assert socket.fell_silent


NO_REPLAY = Policy(jitter_s=(0.0, 0.0), resumes=False)


def test_without_replay_two_sockets_stay_together_for_a_moment() -> None:
    """The old one may still bring what the new one, which subscribed later, never will."""
    assert Story(f"{OVERLAP}event caught_up", NO_REPLAY).state is State.OVERLAP
    assert Story(f"{OVERLAP}event caught_up second caught_up", NO_REPLAY).state is State.LIVE


def test_without_replay_an_unread_socket_is_kept() -> None:
    """What stands unread in the old one is nowhere else; silence counts from the moment both are read again."""
    story = Story(f"{OVERLAP}pause hour", NO_REPLAY)
    assert story.state is State.OVERLAP
    assert story.handover.deadline() is None
    read_again = f"{OVERLAP}pause hour resume event new_event"
    assert Story(read_again, NO_REPLAY).state is State.OVERLAP
    assert Story(f"{read_again} due", NO_REPLAY).state is State.LIVE


def test_without_replay_a_paused_stream_rotates_by_overlap() -> None:
    """The old socket is not closed before the dial, nor when the new one opens."""
    assert Story("token opened newer pause due", NO_REPLAY).state is State.ROTATING
    assert Story("token opened newer pause due opened", NO_REPLAY).state is State.OVERLAP


def test_socket_that_the_platform_will_close_is_replaced_before() -> None:
    """With the same token; a failed dial is repeated, and the next socket is not taken for one that leaves."""
    assert Story("token opened leaving due").state is State.ROTATING
    story = Story("token opened leaving due fails due opened caught_up")
    assert (story.state, len(story.open)) == (State.LIVE, 1)
    assert Story("token opened newer leaving due opened caught_up").state is State.LIVE


def test_replacement_that_is_refused_is_tried_again() -> None:
    """A leaving socket has no future, whatever the token endpoint does."""
    story = Story("token opened leaving due fails401")
    assert story.state is State.ROTATION_DUE
