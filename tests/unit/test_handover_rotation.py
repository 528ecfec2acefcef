"""Rotations that do not go well: dials that fail, platforms that refuse a second socket, holes, back-pressure."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from connector.core.states import Close, Dial, Ping, Policy, ReportDead, Rotated, Setback, State, Why
from connector.model import Token
from tests.support.story import POLICY, SEQUENTIAL, START_S, Story

ROTATING = "token opened 5 newer due "
BRIEF_ROTATING = "brief opened 5 newer due "
JITTER = replace(POLICY, jitter_s=(0.05, 0.1))
CALM = replace(POLICY, ping_s=1e6, silence_s=1e7)
"""The peer is there, however long a story takes."""


def since_start(story: Story) -> float | None:
    """The machine's deadline, in seconds of the story."""
    deadline = story.handover.deadline()
    return None if deadline is None else round(deadline - START_S, 6)


def until_cut(story: Story, *answers: str) -> Story:
    """Each further dial gets these answers, until the only socket is closed for it."""
    while story.state is not State.DIALING:
        story.tell("due")
        for answer in answers if story.state is State.ROTATING else ():
            story.tell(answer)
    return story


def test_rotation_waits_for_its_jitter_alone() -> None:
    """50 to 100 ms, no back-off, whatever the network has been through."""
    for _ in range(20):
        story = Story("token fails due fails due opened event newer", JITTER)
        assert story.handover.backoff.failures == 2
        deadline = story.handover.deadline()
        assert deadline is not None
        assert deadline - story.now <= 1.0  # the pace: two dials were within this second
    story = Story("token opened 5 newer", JITTER)
    deadline = since_start(story)
    assert deadline is not None
    assert 5.05 <= deadline <= 5.1


@pytest.mark.parametrize("failure", ["fails", "fails409", "fails429"])
def test_failed_dial_of_a_rotation_is_no_network_failure(failure: str) -> None:
    """The old socket lives: dialled again after the jitter, told as the rotation's setback."""
    story = Story(ROTATING + failure)
    (setback,) = story.commands
    assert isinstance(setback, Setback)
    assert (setback.path, setback.next_at_s) == ("rotation", story.now)
    assert (story.state, story.open, story.handover.backoff.failures) == (State.ROTATION_DUE, [1], 0)


def test_network_failures_in_a_rotation_are_paced() -> None:
    """After the jitter once, then once a second; no breaker."""
    story = Story(ROTATING + "fails due fails due fails due fails due fails")
    assert story.dials() == [(0.0, 1), (5.0, 2), (5.0, 2), (6.0, 2), (7.0, 2), (8.0, 2)]
    assert story.open == [1]
    assert story.handover.backoff.failures == 0


def test_success_starts_the_pace_anew() -> None:
    """The next rotation's first failure is dialled again after the jitter."""
    story = Story(ROTATING + "fails due fails due opened caught_up 5 newer due fails")
    assert story.handover.deadline() == story.now


def test_refused_second_socket_is_asked_for_less_and_less() -> None:
    """A buffer of 300 s is not 300 refusals; the last moment is not missed."""
    story = until_cut(Story("token opened 3300 newer due fails409", CALM), "fails409")
    assert len(story.dials()) < 50
    assert story.dials()[-1] == (3598.0, 2)  # min(5 s, buffer/4) before the old token's end
    assert story.tell("opened") == [Rotated(2, "sequential", 0.0, 298.0)]


@pytest.mark.parametrize("failure", ["fails409", "fails429"])
def test_cut_over_in_sequence(failure: str) -> None:
    """Closed, then opened: the platform does not take a second socket, and the old token is about to end."""
    story = until_cut(Story(BRIEF_ROTATING + failure, CALM), failure)
    assert since_start(story) is None
    assert story.dials()[-1] == (18.0, 2)
    close, dial = story.commands
    assert close == Close(1, 1000, "token refresh")
    assert isinstance(dial, Dial)
    assert (dial.why, dial.timeout_s) == (Why.ROTATION, 10.0)


def test_token_of_unknown_life_is_cut_over_too() -> None:
    """It has a buffer to live from the refresh on, as far as anybody knows."""
    story = until_cut(Story("opaque opened 5 opaque due fails409", CALM), "fails409")
    assert story.dials()[-1] == (5.0 + 8.0 - 2.0, 2)


def test_network_failure_does_not_make_a_refusal_forgotten() -> None:
    """The cut comes all the same; a second socket that was tolerated lets it be forgotten."""
    story = until_cut(Story(BRIEF_ROTATING + "fails409", CALM), "fails")
    assert story.dials()[-1] == (18.0, 2)
    story = Story("token opened 5 brief due fails409 due opened caught_up newer due", CALM)
    for _ in range(12):
        story.tell("fails")
        story.tell("due")
    assert (story.open, story.now > START_S + 15.0) == ([3], True)


def test_second_socket_closed_by_the_peer_is_refused() -> None:
    """Accept-then-close: by its close code no network's doing, and no reason to miss the last moment."""
    story = until_cut(Story(BRIEF_ROTATING + "opened new_leaves", CALM), "opened", "new_leaves")
    assert story.dials()[-1] == (18.0, 2)


def test_second_socket_expired_at_once() -> None:
    """Once it may be the token. Twice in a row it is the socket: no further token is burnt."""
    story = Story(ROTATING + "opened new_expires")
    assert story.commands == [ReportDead(2, "closed 1008")]
    story = Story(ROTATING + "opened new_expires 1 newer due opened new_expires")
    (setback,) = story.commands
    assert isinstance(setback, Setback)
    assert (setback.path, story.open) == ("rotation", [1])


def test_forbidden_second_socket_has_a_back_off() -> None:
    """403: no new token helps; the old socket is kept, also when its token is about to end."""
    story = Story(BRIEF_ROTATING + "fails403")
    asked = 1
    while story.open == [1] and story.now < START_S + 19.9:
        story.tell("due")
        if story.state is State.ROTATING:
            asked += 1
            story.tell("fails403")
    assert asked <= 7
    assert not [command for _, command in story.log if isinstance(command, ReportDead)]


@pytest.mark.parametrize(("retry_after", "due_s"), [("0", 5.0), ("7", 12.0)])
def test_retry_after_of_a_second_socket(retry_after: str, due_s: float) -> None:
    """Obeyed, also where the last moment comes before."""
    assert since_start(Story(BRIEF_ROTATING + f"fails429:{retry_after}")) == due_s
    assert since_start(Story(BRIEF_ROTATING + "fails429:14")) == 19.0


def test_expired_position_in_a_rotation() -> None:
    """The old socket is kept and the new one dialled again in a second: no failure of anything."""
    story = Story(ROTATING + "fails410")
    assert (story.state, story.open, since_start(story)) == (State.ROTATION_DUE, [1], 6.0)
    assert story.handover.backoff.failures == 0


@pytest.mark.parametrize(
    ("script", "generation"),
    [("newer", 2), ("newer newer", 3), ("newer due opened newer caught_up due", 3), ("newer due newer fails due", 3)],
)
def test_newest_token_is_used(script: str, generation: int) -> None:
    """Tokens may come in every state."""
    story = Story("token opened 5 " + script)
    if story.dialled is None:
        story.tell("due")
    assert story.dials()[-1][1] == generation


def test_worn_token_meanwhile_ends_a_rotation() -> None:
    """A staged token that is reported dead, or whose life is over: the old socket is kept, unharmed."""
    for sequential in (False, True):
        policy = replace(CALM, overlap=not sequential)
        story = Story("token opened newer worn due", policy)
        assert (story.state, story.open) == (State.LIVE, [1])
        story = Story("token opened brief hour due", policy)
        assert ReportDead(2, "expired") in story.commands
        assert (story.state, story.open) == (State.LIVE, [1])


# ------------------------------------------------------------------ sequential platforms


def test_sequential_cut_waits_for_the_pace_with_the_socket_open() -> None:
    """No moment without a socket is spent on waiting."""
    at_once = replace(SEQUENTIAL, reissue_revokes=True)
    story = Story("token opened newer due opened newer", at_once)
    assert story.open == [2]
    assert since_start(story) == 1.0
    close, dial = story.tell("due")
    assert close == Close(2, 1000, "token refresh")
    assert isinstance(dial, Dial)
    assert dial.not_before_s == story.now


def test_sequential_rotation_that_fails_is_the_networks() -> None:
    """Nothing is open: what was healthy has forgotten what failed before it."""
    story = Story("token fails due fails due opened 15 newer 3600", replace(CALM, overlap=False))
    assert story.state is State.DIALING
    story.tell("fails")
    assert (story.state, story.handover.backoff.failures) == (State.BACKING_OFF, 1)


# ------------------------------------------------------------------ holes


def test_hole_is_asked_for_once() -> None:
    """With the same token, one dial a second at most; told as no rotation."""
    story = Story("token opened suspected")
    assert since_start(story) == 1.0
    (dial,) = story.tell("due")
    assert isinstance(dial, Dial)
    assert (dial.why, dial.token.generation) == (Why.PROBE, 1)
    story.tell("opened")
    story.tell("waiting")
    story.tell("whole")
    story.tell("caught_up")
    assert (story.state, story.open) == (State.LIVE, [2])
    assert not [command for _, command in story.log if isinstance(command, Rotated)]


@pytest.mark.parametrize("script", ["whole due", "waiting due"])
def test_hole_that_is_filled_meanwhile_is_not_asked_for(script: str) -> None:
    """The socket stays, and nothing is dialled."""
    story = Story("token opened suspected " + script)
    assert (story.state, story.dials()) == (State.LIVE, [(0.0, 1)])
    assert set(story.commands) <= {Ping(1)}


def test_rotation_asks_for_a_hole_as_well() -> None:
    """A sequential rotation that waits for its hour does not let the stream wait for it."""
    story = Story("token opened 5 newer suspected", SEQUENTIAL)
    assert story.handover.deadline() == story.now
    close, dial = story.tell("due")
    assert close == Close(1, 1000, "token refresh")
    assert isinstance(dial, Dial)
    assert (dial.why, dial.token.generation) == (Why.ROTATION, 2)


def test_hole_where_a_second_socket_is_refused() -> None:
    """Everything behind it is held back: the only socket is given up for it, but not against a Retry-After."""
    story = Story("token opened 5 suspected due fails429:7")
    assert since_start(story) == 12.0
    close, dial = story.tell("due")
    assert close == Close(1, 1000, "asking again")
    assert isinstance(dial, Dial)
    assert dial.why is Why.PROBE


def test_hole_where_a_second_socket_is_starved() -> None:
    """It shows nothing although the first delivers; the second time, the only socket that does is given up for it."""
    story = Story("token opened 5 suspected")
    for _ in range(2):
        for word in ("due", "opened", "event", "waiting"):
            story.tell(word)
        while story.state is State.OVERLAP:
            story.tell("due")
        story.tell("suspected")
        assert (story.state, story.open) == (State.ROTATION_DUE, [1])
    close, dial = story.tell("due")
    assert close == Close(1, 1000, "asking again")
    assert isinstance(dial, Dial)
    assert (dial.why, len(story.dials())) == (Why.PROBE, 4)


def test_rotation_whose_second_socket_is_starved() -> None:
    """As one that is refused: asked for less and less, and the last moment is not missed."""
    story = Story("token opened 3300 newer", CALM)
    story.tell("due")
    while story.state is not State.DIALING and len(story.dials()) < 100:
        for word in ("opened", "event", "due", "due"):
            story.tell(word)
    assert len(story.dials()) < 50
    assert 3598.0 <= story.dials()[-1][0] < 3600.0


def test_refused_second_socket_is_asked_for_again_within_half_a_minute() -> None:
    """However long the old token lives: what was starved twice may have been a moment's trouble."""
    story = Story("token opened 5 newer due")
    for _ in range(5):
        for word in ("opened", "event", "due", "due"):
            story.tell(word)
    times = [at for at, _ in story.dials()]
    assert max(later - earlier for earlier, later in pairwise(times[1:])) <= 35.0
    assert story.open == [1]


def test_hole_with_a_dead_token_waits_for_the_next() -> None:
    """However often it is told: nothing is dialled, and nothing flaps."""
    story = Story("token opened 5 suspected due fails401")
    for _ in range(3):
        assert story.tell("suspected") == []
        assert story.tell("event") == []
        assert story.state is State.LIVE
    story.tell("newer")
    (dial,) = story.tell("due")
    assert isinstance(dial, Dial)
    assert dial.token.generation == 2


def test_token_that_comes_while_a_hole_is_asked_for() -> None:
    """The dial is a rotation then, and told as one."""
    story = Story("token opened 5 suspected newer due opened caught_up")
    (rotated,) = [command for _, command in story.log if isinstance(command, Rotated)]
    assert rotated.generation == 2


def test_hole_under_back_pressure() -> None:
    """Closed, then opened, unread."""
    close, dial = Story("token opened 5 pause suspected due").commands
    assert close == Close(1, 1000, "asking again")
    assert isinstance(dial, Dial)


# ------------------------------------------------------------------ back-pressure


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("pause token", State.DIALING),
        ("token pause opened", State.LIVE),
        ("token opened pause newer", State.ROTATION_DUE),
        ("token opened pause newer due opened", State.LIVE),
        ("token fails pause due", State.DIALING),
        ("token fails403 pause due", State.DIALING),
        ("token opened pause dropped", State.BACKING_OFF),
        ("token opened pause expires", State.AWAITING_TOKEN),
        ("token opened newer due opened pause", State.LIVE),
    ],
)
def test_pause_in_every_state(script: str, state: State) -> None:
    """Tokens are rotated and sockets recovered while nobody reads; never two sockets, never a ping."""
    story = Story(script, Policy(POLICY.network, jitter_s=(0.0, 0.0)))
    assert story.state is state
    assert len(story.open) <= 1
    if state is State.LIVE:
        assert story.handover.deadline() is None


def test_first_redial_waits_for_the_jitter() -> None:
    """As the rotation itself did."""
    story = Story("token opened 3500 newer 8 fails", replace(CALM, jitter_s=(7.0, 8.0)))
    assert 7.0 <= (story.handover.deadline() or 0.0) - story.now <= 8.0


def test_refusal_is_forgotten_once_a_second_socket_is_taken() -> None:
    """What fails in the next rotation is dialled again once a second, not at an eighth of what is left."""
    story = Story("token opened 5 newer due fails409 due opened caught_up 5 newer due fails due fails", CALM)
    assert story.handover.deadline() == story.now + 1.0


def test_dial_of_a_rotation_with_a_tiny_buffer_has_a_second() -> None:
    """Less would be none."""
    story = Story("token opened 5", CALM)
    token = Token("t", 2, story.now, story.now + 1.0, 0.3)
    story.execute(story.handover.token_ready(token, story.now))
    (dial,) = story.tell("due")
    assert isinstance(dial, Dial)
    assert dial.timeout_s == 1.0
