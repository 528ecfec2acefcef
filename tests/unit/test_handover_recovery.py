"""What follows when the only socket, or its dial, ends: emergencies, refusals, the network; how silence is noticed."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from connector.core.reconnect import NetworkPolicy
from connector.core.states import Close, Dial, Ping, Pong, ReportDead, Setback, State, Why
from tests.support.story import POLICY, START_S, Story

CALM = replace(POLICY, ping_s=1e6, silence_s=1e7)


def reports(story: Story) -> list[int]:
    """The generations reported dead."""
    return [command.generation for _, command in story.log if isinstance(command, ReportDead)]


def setbacks(story: Story) -> list[tuple[str, float]]:
    """The path of each, and how long it said it would wait."""
    return [
        (command.path, round(command.next_at_s - START_S - at, 6))
        for at, command in story.log
        if isinstance(command, Setback) and command.next_at_s is not None
    ]


# ------------------------------------------------------------------ emergencies


@pytest.mark.parametrize(
    ("script", "reported"),
    [
        ("token opened expires", [1]),
        ("token fails401", [1]),
        ("brief opened 20 dropped", [1]),  # any close at the expiry
        ("brief opened 20 leaves", [1]),
        ("brief opened 19.9 dropped", []),
        ("opaque opened 3600 dropped", []),
        ("token opened newer due fails401 expires", [2]),  # the later death says it all
        ("token opened newer expires", [1]),
    ],
)
def test_generation_is_reported_once(script: str, reported: list[int]) -> None:
    """A close by 1008, a 401, any close at or past the expiry; none of them is a failure of the network."""
    story = Story(script, CALM)
    assert reports(story) == reported
    assert (story.handover.backoff.failures == 0) == bool(reported)


@pytest.mark.parametrize("script", ["token opened 5 expires", "token fails401", "token opened 5 suspected expires"])
def test_replacement_is_dialled_with_at_once(script: str) -> None:
    """One refresh, no jitter, no back-off."""
    story = Story(script, replace(CALM, jitter_s=(7.0, 8.0)))
    assert story.state is State.AWAITING_TOKEN
    (dial,) = story.tell("newer")
    assert isinstance(dial, Dial)
    assert (dial.why, dial.not_before_s, dial.token.generation) == (Why.EMERGENCY, story.now, 2)


def test_staged_token_needs_no_refresh() -> None:
    """The old token ends before the rotation has begun."""
    story = Story("token opened 5 newer expires", replace(POLICY, jitter_s=(7.0, 8.0)))
    assert story.dials() == [(0.0, 1), (5.0, 2)]


def test_emergencies_have_a_burst_of_two() -> None:
    """The third dial within a second waits, with the newest token, and stays an emergency."""
    story = Story("token opened newer due opened caught_up expires newer")
    assert (story.state, story.handover.deadline()) == (State.BACKING_OFF, START_S + 1.0)
    story.tell("newer")
    (dial,) = story.tell("due")
    assert isinstance(dial, Dial)
    assert (dial.why, dial.token.generation) == (Why.EMERGENCY, 4)


def test_fresh_token_refused_again_has_a_back_off_of_its_own() -> None:
    """Half to whole of 1, 1, 2 … 30 s; every generation is reported once, the network never."""
    story = Story("token fails401 newer fails401", CALM)
    for _ in range(8):
        assert story.state is State.REFUSED
        story.tell("newer")
        assert story.dialled is None, "its own back-off, not the token's arrival, ends it"
        story.tell("due")
        story.tell("fails401")
    waits = [wait for path, wait in setbacks(story) if path == "auth"]
    caps = [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]
    assert [cap / 2 <= wait <= cap for wait, cap in zip(waits[1:], caps[1:], strict=True)] == [True] * 8
    assert reports(story) == list(range(1, 11))
    assert story.handover.backoff.failures == 0


def test_refused_without_a_token_waits_for_one() -> None:
    """The back-off is over and there is none: then its arrival ends it."""
    story = Story("token fails401 newer fails401 due")
    assert story.state is State.AWAITING_TOKEN
    assert isinstance(story.tell("newer")[0], Dial)


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("token opened expires newer opened expires", State.REFUSED),
        ("token opened expires newer opened event 2 event expires", State.AWAITING_TOKEN),
        ("token opened expires newer opened 10 expires", State.AWAITING_TOKEN),
        ("token opened expires newer opened 9 expires", State.REFUSED),
    ],
)
def test_healthy_time_forgets_refusals(script: str, state: State) -> None:
    """As the network's failures, and by nothing else."""
    assert Story(script, CALM).state is state


def test_old_sockets_health_says_nothing_of_a_later_token() -> None:
    """It delivers while fresh tokens are refused beside it: that is not forgotten; but what was before them is."""
    story = Story("token opened 5 newer due fails401 event 3 event newer due fails401")
    assert setbacks(story)[-1][0] == "auth"
    assert Story("token fails401 newer opened 60 newer due fails401 dropped", CALM).state is State.BACKING_OFF
    assert Story("token fails401 newer opened 60 newer due fails401 expires", CALM).state is State.AWAITING_TOKEN


def test_permission_is_not_a_token() -> None:
    """403: nothing is reported; dialled again with the same token, with a back-off, a Retry-After obeyed."""
    story = Story("token fails403 due fails403 due fails403:44", CALM)
    assert story.state is State.REFUSED
    assert reports(story) == []
    waits = setbacks(story)
    assert [path for path, _ in waits] == ["auth"] * 3
    assert 0.5 <= waits[0][1] <= 1.0
    assert waits[2][1] == 44.0
    assert story.handover.backoff.failures == 0


def test_both_sockets_die_with_the_newest_token_staged() -> None:
    """The network's path, the newest token."""
    story = Story("token opened 5 newer due opened dropped newer dropped due")
    assert story.dials()[-1][1] == 3
    assert [path for path, _ in setbacks(story)] == ["network"]


def test_both_sockets_expire() -> None:
    """The old one's end was none of an emergency, the new one's is."""
    story = Story("token opened 5 newer due opened expires expires")
    assert (story.state, reports(story)) == (State.AWAITING_TOKEN, [2])


def test_old_socket_expires_beside_one_with_its_own_token() -> None:
    """A hole was asked for with the same token: its death is reported, the new socket kept until the next."""
    story = Story("token opened 5 suspected due opened expires")
    assert (story.state, story.open, reports(story)) == (State.LIVE, [2], [1])
    story.tell("newer")
    assert story.state is State.ROTATION_DUE


# ------------------------------------------------------------------ the network


def test_failures_open_the_breaker_and_it_closes_by_itself() -> None:
    """Half-open: one dial after its time; a failure opens it again, a healthy socket closes it."""
    policy = replace(CALM, network=NetworkPolicy())
    story = Story("token fails due fails due fails due fails due fails", policy)
    assert (story.state, setbacks(story)[-1]) == (State.BREAKER_OPEN, ("network", 30.0))
    story.tell("newer")
    assert story.state is State.BREAKER_OPEN, "a token does not close it"
    (dial,) = story.tell("due")
    assert isinstance(dial, Dial)
    assert (dial.why, dial.token.generation) == (Why.NETWORK, 2)
    story.tell("fails")
    assert (story.state, setbacks(story)[-1]) == (State.BREAKER_OPEN, ("network", 30.0))
    for word in ("due", "opened", "event", "2", "event", "dropped"):
        story.tell(word)
    assert (story.state, story.handover.backoff.failures) == (State.BACKING_OFF, 1)


def test_accept_then_close_is_paced() -> None:
    """A handshake proves nothing: failures add up to the breaker, and dials stay a second apart."""
    story = Story("token")
    for _ in range(12):
        for word in ("opened", "dropped", "due"):
            story.tell(word)
    instants = [at for at, _ in story.dials()]
    assert min(after - before for before, after in itertools.pairwise(instants)) >= 1.0
    assert story.handover.backoff.failures == 12
    assert instants[-1] > 250.0


def test_rotations_of_an_accept_then_close_platform_do_not_reset_it() -> None:
    """Neither a token nor a rotation's success forgets a failure."""
    story = Story("token opened dropped due opened newer due opened caught_up")
    assert story.handover.backoff.failures == 1
    story.tell("dropped")
    assert story.handover.backoff.failures == 2


def test_throttled_dial_obeys_retry_after() -> None:
    """Also by the emergency of a token that comes meanwhile, and by the breaker's half-open dial."""
    story = Story("token fails429:45 newer")
    assert (story.state, setbacks(story)) == (State.BACKING_OFF, [("network", 45.0)])
    story.tell("due")
    assert story.dials() == [(0.0, 1), (45.0, 2)]


def test_expired_position_is_no_failure() -> None:
    """Dialled again in a second, for ever if need be; the breaker stays closed; a Retry-After is obeyed."""
    story = Story("token fails410 due fails410 due fails410 due fails410 due fails410:9 due", CALM)
    assert [at for at, _ in story.dials()] == [0.0, 1.0, 2.0, 3.0, 4.0, 13.0]
    assert story.handover.backoff.failures == 0
    assert setbacks(story) == []


@pytest.mark.parametrize(
    ("script", "wait_s"),
    [
        ("token opened event 8 dropped", 12.0),  # complete until 8 s ago; a quarter of 80 is 20
        ("token opened event 19 pong dropped", 20.0),  # quiet, not stale
        ("token opened event 19 dropped", 10.0),
        ("token opened event 19 waiting pong dropped", 10.0),  # with a hole nothing is complete
        ("token opened 5 waiting event 15 pong dropped", 10.0),
        ("token opened event 19 pause resume dropped", 10.0),  # read again, and heard nothing yet
    ],
)
def test_risk_counts_from_when_the_stream_was_last_complete(script: str, wait_s: float) -> None:
    """Retention 80 s: at risk after 20, then asked for every 10."""
    network = NetworkPolicy(backoff_s=1.0, breaker_failures=1, breaker_s=500.0, retention_s=80.0)
    assert setbacks(Story(script, replace(CALM, network=network))) == [("network", wait_s)]


def test_handshakes_do_not_make_a_stream_complete() -> None:
    """Accept-then-close: what was at risk stays so."""
    network = NetworkPolicy(breaker_failures=1, breaker_s=500.0, retention_s=80.0)
    story = Story("token opened event 5 dropped due opened dropped due opened dropped", replace(CALM, network=network))
    assert [wait for _, wait in setbacks(story)] == [15.0, 10.0, 10.0]


def test_token_that_ends_while_the_network_is_away() -> None:
    """Nobody dials with it: it is reported, and the next one is dialled with at once."""
    story = Story("brief fails due fails minute due")
    assert (story.state, reports(story)) == (State.AWAITING_TOKEN, [1])
    assert isinstance(story.tell("newer")[0], Dial)


# ------------------------------------------------------------------ liveness


def test_any_sign_of_life_counts() -> None:
    """An event, a pong; our own ping every 20 s; a minute of silence is the end, as the network's failure."""
    story = Story("token opened 50 pong 50 event 59.9")
    assert story.state is State.LIVE
    pings = [at for at, command in story.log if isinstance(command, Ping)]
    assert pings == [20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 140.0]
    story.tell("0.2")
    assert (story.commands[0], story.state) == (Close(1, 1000, "silent"), State.BACKING_OFF)


def test_silence_of_both_sockets_is_one_failure() -> None:
    """An overlap that a stalled loop left behind."""
    story = Story("token opened newer due opened minute")
    story.tell("due")
    assert story.state is State.BACKING_OFF
    assert [path for path, _ in setbacks(story)] == ["network"]
    assert story.open == []


def test_silence_while_a_rotation_is_dialling() -> None:
    """The dial goes on alone."""
    story = Story("token opened 59 newer due 1.5")
    assert (story.state, story.open) == (State.DIALING, [])
    assert story.handover.backoff.failures == 0


def test_heard_at() -> None:
    """A handshake is no sign of life, being read again is none; what arrives is, on the active socket alone."""
    story = Story("")
    assert story.handover.heard_at_s is None
    seen: list[float | None] = []
    script = "token opened 3 pong 2 event 1 pause resume 1 newer due opened new_event caught_up dropped"
    for word in script.split():
        story.tell(word)
        heard = story.handover.heard_at_s
        seen.append(None if heard is None else round(heard - START_S, 6))
    assert seen == [None, None, None, 3, 3, 5, 5, 5, 5, 5, 5, 5, 5, 5, 7, None]


def test_late_facts_of_sockets_let_go_change_nothing() -> None:
    """Another socket's news is never taken for the present one's."""
    story = Story("token opened 5 newer due opened caught_up")
    machine = story.handover
    before = (story.state, machine.deadline(), machine.heard_at_s)
    machine.heard(1, story.now + 1.0)
    assert machine.closed(1, 1008, story.now) == []
    assert machine.opened(1, story.now) == [Close(1, 1000, "not needed")]
    assert (story.state, machine.deadline(), machine.heard_at_s) == before
    assert machine.closed(3, 1006, story.now) == []


def test_end_of_a_socket_that_is_being_dialled_is_the_dials_to_tell() -> None:
    """The caller reports a failed dial once, as such."""
    story = Story("token opened newer due")
    assert story.handover.closed(2, 1006, story.now) == []
    assert story.handover.progressed(2, story.now, fresh=True, caught_up=True, hole=story.handover._hole) == []  # noqa: SLF001 - what it was told last
    assert story.state is State.ROTATING


@pytest.mark.parametrize(
    ("words", "at"),
    [
        ("25", [4.0, 8.0, 14.0, 18.0, 24.0]),  # a ping every ten seconds counts as something sent
        ("pause 13", [4.0, 8.0, 12.0]),  # unread, it sends no pings; for others it is idle all the same
    ],
)
def test_keepalive(words: str, at: list[float]) -> None:
    """An unsolicited pong wherever nothing was sent for so long."""
    policy = replace(POLICY, ping_s=10.0, silence_s=100.0, keepalive_s=4.0)
    story = Story("token opened " + words, policy)
    assert [when for when, command in story.log if command == Pong(1)] == at


def test_machine_that_was_suspended() -> None:
    """Hours later the first tick finds a socket that was silent all the while, and lets go of it at once."""
    story = Story("token opened event hour")
    commands = story.tell("due")
    assert any(isinstance(command, Close) for command in commands)
    story.tell("newer")
    story.tell("due")
    assert story.dials()[-1][1] == 2


@pytest.mark.parametrize(
    ("script", "path", "detail"),
    [
        ("token fails", "network", "network: fails"),
        ("token opened dropped", "network", "closed 1006"),
        ("token fails403", "auth", "forbidden: fails403"),
        ("token fails401 newer fails401", "auth", "unauthorized: fails401"),
        ("token opened expires newer opened expires", "auth", "closed 1008"),
        ("token opened 5 newer due fails", "rotation", "network: fails"),
        ("token opened 5 newer due opened new_leaves", "rotation", "closed 1001"),
        ("token opened 5 newer due opened event 2", "rotation", "the new socket delivers nothing"),
        ("token opened 5 newer due fails401 newer due fails401", "auth", "unauthorized: fails401"),
    ],
)
def test_setback_says_what_happened(script: str, path: str, detail: str) -> None:
    """Whoever reads the log need not guess."""
    told = [command for _, command in Story(script, CALM).log if isinstance(command, Setback)][-1]
    assert told.path == path
    assert told.trouble.detail.startswith(detail)


def test_missing_permission_is_asked_for_less_and_less() -> None:
    """Half to whole of 1, 1, 2, 4 … s."""
    story = Story("token fails403", CALM)
    for _ in range(4):
        story.tell("due")
        story.tell("fails403")
    waits = [wait for _, wait in setbacks(story)]
    assert [cap / 2 <= wait <= cap for wait, cap in zip(waits, (1.0, 1.0, 2.0, 4.0, 8.0), strict=True)] == [True] * 5


def test_same_token_again_is_nothing_new() -> None:
    """Whoever leases anew is told of the token again: nothing is rotated for it."""
    story = Story("token opened 5", CALM)
    (dial,) = [command for _, command in story.log if isinstance(command, Dial)]
    assert story.handover.token_ready(dial.token, story.now) == []
    assert story.state is State.LIVE
