"""The ledger by example: what becomes of each item, and what a position that does not follow means."""

from __future__ import annotations

import pytest

from connector.core.ledger import PATIENCE_S, Ledger
from connector.core.steps import Deliver, GapFound, HoleState, Unreadable, Verdict
from connector.core.unreadables import REMEMBERED
from connector.model import SOME_TIME, Checkpoint, DeadLetterId, Gap, GapReason

FRESH, DUPLICATE, DEFERRED = Verdict.FRESH, Verdict.DUPLICATE, Verdict.DEFERRED


class Desk:
    """A ledger whose items are told in words: ``5`` an event, ``5@70`` with a time, ``?x`` an unreadable item.

    Every event's time is ten times its position, but where it is told; its item is its word.
    """

    def __init__(
        self, checkpoint: Checkpoint | None = None, *, contiguous: bool = True, hold_limit: int = 5000, sockets: int = 1
    ) -> None:
        self.checkpoint = checkpoint or Checkpoint("s", position=0)
        self.ledger: Ledger[str] = Ledger(
            self.checkpoint, contiguous=contiguous, hold_limit=hold_limit, digest=lambda item: f"h{item}"
        )
        self.now = 100.0
        for socket in range(1, sockets + 1):
            self.ledger.opened(socket, self.ledger.high)

    def shows(self, words: str, socket: int = 1) -> list[str]:
        """A socket shows items; returns what became due, in words."""
        due = []
        for word in words.split():
            if word.startswith("?"):
                verdict = self.ledger.unreadable(socket, f"h{word}", word, self.now)
            else:
                position, _, time = word.partition("@")
                time_ms = None if time == "none" else int(time or int(position) * 10)
                verdict = self.ledger.admit(socket, int(position), time_ms, word, self.now)
            if verdict is FRESH:
                due.append(word)
            due += self.due()
        return due

    def due(self) -> list[str]:
        """What is due, in words: ``?x`` is covering nothing, ``?x=5`` stands for 5, ``gap 5-7 jump`` is a gap."""
        words = []
        for step in self.ledger.take():
            match step:
                case Deliver(_, _, item):
                    words.append(item)
                case Unreadable(_, _, covers, sha256, item):
                    assert sha256 == f"h{item}"
                    words.append(item if covers is None else f"{item}={covers}")
                case GapFound(gap):
                    words.append(f"gap {gap.first}-{gap.last} {gap.reason}")
        return words

    def waits(self, seconds: float = PATIENCE_S) -> list[str]:
        """Time passes."""
        self.now += seconds
        self.ledger.expire(self.now)
        return self.due()

    def proves(self) -> list[str]:
        """The first hole is a gap."""
        self.ledger.prove()
        return self.due()

    def opens(self, socket: int) -> None:
        """One more socket, from the newest position."""
        self.ledger.opened(socket, self.ledger.high)


# ---------------------------------------------------------------------- duplicates


def test_next_position_is_fresh() -> None:
    """The hot path: nothing is due but the item itself."""
    desk = Desk()
    assert [desk.ledger.admit(1, n, n, "", 0.0) for n in (1, 2, 3)] == [FRESH] * 3
    assert desk.ledger.take() == []
    assert (desk.ledger.high, desk.ledger.max_time_ms) == (3, 3)


def test_seen_position_is_a_duplicate() -> None:
    """From the same socket, or from the other one of an overlap."""
    desk = Desk(sockets=2)
    desk.shows("1 2 3")
    assert desk.ledger.admit(2, 2, 20, "", 0.0) is DUPLICATE
    assert desk.ledger.admit(1, 3, None, "", 0.0) is DUPLICATE
    assert desk.shows("3 4", socket=2) == ["4"]


@pytest.mark.parametrize("first", ["7 8", "8"])
def test_resuming_at_or_after_a_position_does_not_matter(first: str) -> None:
    """The platform may show the last position again, or not."""
    assert Desk(Checkpoint("s", position=7, event_time_ms=70)).shows(first) == ["8"]


def test_times_may_go_back_or_be_missing() -> None:
    """Only positions make the order."""
    desk = Desk()
    assert desk.shows("1@50 2@40 3@none 4@60") == ["1@50", "2@40", "3@none", "4@60"]
    assert desk.ledger.max_time_ms == 60


def test_latest_start_takes_the_first_event_wherever_it_is() -> None:
    """Nothing is known to be missing before it."""
    desk = Desk(Checkpoint("s"))
    assert desk.shows("?x 500 501") == ["?x", "500", "501"]
    assert desk.ledger.deadline() is None


def test_sparse_platform_has_no_holes() -> None:
    """Positions that are not contiguous only count up."""
    desk = Desk(contiguous=False)
    assert desk.shows("5 9 9 7 20") == ["5", "9", "20"]
    assert desk.ledger.hole() is HoleState.NONE


def test_caught_up_is_who_showed_the_highest_position() -> None:
    """Before which nothing is missing; a socket beyond a hole has not caught up."""
    desk = Desk(sockets=2)
    assert not desk.ledger.caught_up(2)
    desk.shows("1 2")
    desk.shows("1", socket=2)
    assert (desk.ledger.caught_up(1), desk.ledger.caught_up(2), desk.ledger.caught_up(3)) == (True, False, False)
    desk.shows("2 5", socket=2)
    assert (desk.ledger.caught_up(1), desk.ledger.caught_up(2)) == (True, False)


# ---------------------------------------------------------------------- holes


def test_hole_is_filled_by_the_other_socket() -> None:
    """No gap while it can still deliver; what came behind is held, and then due in order."""
    desk = Desk(sockets=2)
    desk.shows("1 2")
    assert desk.shows("5 6", socket=2) == []
    assert (desk.ledger.hole(), desk.ledger.held) == (HoleState.WAIT, 2)
    assert desk.shows("3 4") == ["3", "4", "5", "6"]
    assert desk.ledger.hole() is HoleState.NONE


def test_hole_on_a_lone_socket_is_asked_for_once() -> None:
    """The dial itself waits; a second socket that skips it too proves it; the gap is exact."""
    desk = Desk()
    assert desk.shows("1 4") == ["1"]
    assert desk.ledger.hole() is HoleState.PROBE
    desk.opens(2)
    assert desk.ledger.hole() is HoleState.WAIT
    assert desk.shows("4 5", socket=2) == []
    assert desk.ledger.hole() is HoleState.PROVEN
    assert desk.proves() == ["gap 2-3 jump", "4", "5"]
    assert desk.ledger.hole() is HoleState.NONE


def test_gap_tells_the_times_around_it() -> None:
    """Of the last event before it and of the first behind it."""
    desk = Desk()
    desk.shows("1 4")
    desk.ledger.prove()
    gap, _ = desk.ledger.take()
    assert isinstance(gap, GapFound)
    assert (gap.gap.epoch, gap.gap.first_time_ms, gap.gap.last_time_ms) == (0, 10, 40)


def test_silence_is_skipping() -> None:
    """A socket dialled since that lives and shows nothing proves the hole; one that was there before asks for it."""
    desk = Desk()
    desk.shows("1 4")
    desk.opens(2)
    desk.ledger.silent(2)
    assert desk.ledger.hole() is HoleState.PROVEN
    assert desk.proves() == ["gap 2-3 jump", "4"]
    assert desk.shows("5", socket=2) == ["5"]
    desk.shows("8")
    assert desk.ledger.hole() is HoleState.WAIT  # silent before, it may show these
    desk.ledger.silent(2)
    assert desk.ledger.hole() is HoleState.PROBE


def test_silent_socket_that_speaks_after_all() -> None:
    """What it shows is what counts."""
    desk = Desk()
    desk.shows("1 5")
    desk.opens(2)
    desk.ledger.opened(3, 1)
    desk.ledger.silent(2)
    assert desk.ledger.hole() is HoleState.WAIT
    assert desk.shows("2", socket=2) == ["2"]
    desk.ledger.silent(3)
    desk.ledger.silent(9)
    assert desk.ledger.hole() is HoleState.WAIT
    assert desk.shows("3 4", socket=2) == ["3", "4", "5"]


def test_two_sockets_that_skip_together_prove_nothing() -> None:
    """Both were dialled before it arose: a live feed's hiccup shows on both."""
    desk = Desk(sockets=2)
    for socket in (1, 2):
        desk.shows("1 4", socket=socket)
    assert desk.ledger.hole() is HoleState.PROBE


def test_hole_waits_while_no_socket_is_open() -> None:
    """The next one may deliver it."""
    desk = Desk()
    desk.shows("1 4")
    desk.ledger.closed(1)
    assert desk.ledger.hole() is HoleState.WAIT
    desk.opens(2)
    assert desk.shows("2 3", socket=2) == ["2", "3", "4"]


def test_second_hole_is_a_suspicion_of_its_own() -> None:
    """A socket dialled before it arose does not prove it."""
    desk = Desk()
    desk.shows("1 4")
    desk.opens(2)
    desk.shows("4 7", socket=2)
    desk.shows("7")
    assert desk.proves() == ["gap 2-3 jump", "4"]
    assert desk.ledger.hole() is HoleState.PROBE
    assert desk.proves() == ["gap 5-6 jump", "7"]
    assert desk.proves() == []


@pytest.mark.parametrize(
    ("asked", "shown", "reason"),
    [(0, "3", GapReason.RETENTION), (None, "3", GapReason.NO_RESUME), (0, "1 3", GapReason.JUMP)],
)
def test_reason_of_a_gap(asked: int | None, shown: str, reason: GapReason) -> None:
    """A socket's first item that is later than asked: the platform no longer has the range."""
    desk = Desk(sockets=0)
    desk.ledger.opened(1, asked)
    desk.shows(shown)
    assert desk.proves()[0].split()[-1] == reason


def test_held_events_are_bounded() -> None:
    """The lowest are kept; what had to go comes again from a socket dialled later."""
    desk = Desk(hold_limit=2, sockets=2)
    desk.shows("1")
    desk.shows("1 5 6 7 8 ?x", socket=2)
    assert desk.ledger.held == 2
    desk.shows("3")
    assert desk.ledger.held == 2
    assert desk.shows("2") == ["2", "3"]
    assert desk.shows("4") == ["4", "5"]
    assert desk.shows("6 7 8 ?x 9") == ["6", "7", "8", "?x", "9"]


def test_unreadable_behind_what_had_to_go_comes_again() -> None:
    """It is not due twice."""
    desk = Desk(hold_limit=1, sockets=2)
    desk.shows("1")
    desk.shows("1 7 ?x", socket=2)
    desk.shows("5")
    assert desk.shows("2 3 4 6 7 ?x 8") == ["2", "3", "4", "5", "6", "7", "?x", "8"]


def test_hole_filled_out_of_order() -> None:
    """A platform that plays live events while it replays."""
    desk = Desk()
    assert desk.shows("1 5 2 3 4 6") == ["1", "2", "3", "4", "5", "6"]


# ---------------------------------------------------------------------- unreadable items


def test_unreadable_items_cover_the_positions_they_stand_for() -> None:
    """As many as positions are missing: no suspicion."""
    desk = Desk()
    assert desk.shows("1 ?a ?b 4") == ["1", "?a=2", "?b=3", "4"]


def test_noise_covers_nothing() -> None:
    """The next position follows."""
    assert Desk().shows("1 ?a 2") == ["1", "?a", "2"]


def test_unreadable_items_of_an_overlap_are_due_once() -> None:
    """The n-th with the same bytes after a position is the same on every socket."""
    desk = Desk(sockets=2)
    assert desk.shows("1 ?a ?a ?b") == ["1"]
    assert desk.shows("1 ?a ?a ?b", socket=2) == []
    assert desk.shows("5", socket=2) == ["?a=2", "?a=3", "?b=4", "5"]
    assert desk.shows("5 ?a 6") == ["?a", "6"]
    assert desk.shows("?a 6 ?a 7", socket=2) == ["?a", "7"]


def test_unreadable_item_of_a_socket_that_lags_is_a_duplicate() -> None:
    """The one ahead has shown what is there."""
    desk = Desk(sockets=2)
    desk.shows("1 2 3")
    assert desk.ledger.unreadable(2, "h", "?a", 0.0) is DUPLICATE


def test_unreadable_item_waits_for_what_explains_it() -> None:
    """Then it is due, covering nothing; its position is accounted for all the same."""
    desk = Desk()
    desk.shows("1 ?a")
    assert desk.ledger.deadline() == desk.now + PATIENCE_S
    assert desk.waits(1.0) == []
    assert desk.waits() == ["?a"]
    assert desk.ledger.deadline() is None
    assert desk.shows("3") == ["3"]


def test_unreadable_items_of_a_checkpoint_are_known() -> None:
    """A crash between them and the next event does not double them; their number goes on."""
    checkpoint = Checkpoint("s", position=1, dead_letters=(DeadLetterId(1, "h?a"), DeadLetterId(2, "h?a")))
    desk = Desk(checkpoint)
    assert desk.shows("1 ?a ?a ?b") == []
    desk.ledger.admit(1, 5, 50, "5", 0.0)
    letter, _ = desk.ledger.take()
    assert isinstance(letter, Unreadable)
    assert (letter.after, letter.ordinal, letter.covers) == (1, 3, 4)


@pytest.mark.parametrize(
    ("words", "due"),
    [
        ("4", ["4"]),
        ("1 ?a ?b 4", ["4"]),
        ("?a ?b ?c 5", ["?c=4", "5"]),
        ("2 3 4", ["4"]),
        ("2 ?b 4", ["4"]),
        ("2 ?b ?c 5", ["?c=4", "5"]),
        ("?a ?b ?noise 4", ["?noise", "4"]),
    ],
)
def test_positions_that_a_checkpoints_dead_letters_cover_are_accounted_for(words: str, due: list[str]) -> None:
    """They never come again, readable or not, and no gap is recorded over them."""
    letters = (DeadLetterId(1, "h?a", covers=True), DeadLetterId(2, "h?b", covers=True))
    desk = Desk(Checkpoint("s", position=1, dead_letters=letters))
    assert desk.shows(words) == due


@pytest.mark.parametrize(("words", "reason"), [("7", "retention"), ("1 ?a ?b 7", "jump")])
def test_gap_behind_positions_that_are_covered(words: str, reason: str) -> None:
    """It begins behind them."""
    letters = (DeadLetterId(1, "h?a", covers=True), DeadLetterId(2, "h?b", covers=True))
    desk = Desk(Checkpoint("s", position=1, dead_letters=letters))
    assert desk.shows(words) == []
    assert desk.ledger.hole() is HoleState.PROBE
    assert desk.proves() == [f"gap 4-6 {reason}", "7"]


def test_frame_too_large_behind_positions_that_are_covered() -> None:
    """It is the next one's."""
    desk = Desk(Checkpoint("s", position=1, dead_letters=(DeadLetterId(1, "h?a", covers=True),)))
    assert desk.shows("?a") == []
    assert desk.ledger.skip_oversize(1)
    assert desk.due() == ["gap 3-3 oversize"]
    assert desk.shows("4") == ["4"]


def test_more_unreadable_items_than_are_remembered() -> None:
    """The first of them are counted instead of compared."""
    letters = tuple(DeadLetterId(n, f"h?{n}") for n in range(3, REMEMBERED + 3))
    desk = Desk(Checkpoint("s", position=1, dead_letters=letters))
    assert desk.shows("?x ?y ?3 ?4 ?new") == []
    assert desk.waits() == ["?new"]


def test_more_unreadable_items_than_positions_are_a_suspicion() -> None:
    """Noise may hide a hole; a socket dialled since then decides."""
    desk = Desk()
    assert desk.shows("1 ?a ?noise 3") == ["1"]
    assert desk.ledger.hole() is HoleState.PROBE
    desk.opens(2)
    assert desk.shows("?a ?noise 3", socket=2) == ["?a=2", "?noise", "3"]


def test_noise_that_does_not_come_again_hid_a_hole() -> None:
    """The second socket delivers the event."""
    desk = Desk()
    desk.shows("1 ?n ?n 3")
    desk.opens(2)
    assert desk.shows("2", socket=2) == ["2", "?n", "?n", "3"]


def test_noise_alone_is_no_proof_of_a_loss() -> None:
    """A hole that must be closed while more items than positions stand there is no gap."""
    desk = Desk()
    desk.shows("1 ?a ?b 3")
    assert desk.proves() == ["?a=2", "?b", "3"]


def test_unreadable_items_do_not_wait_for_time_while_a_hole_is_open() -> None:
    """They may belong behind what fills it."""
    desk = Desk(sockets=2)
    desk.shows("1 ?a 4")
    assert desk.waits() == []
    assert desk.shows("1 2 ?a", socket=2) == ["2"]
    assert desk.shows("4", socket=2) == ["?a=3", "4"]


def test_unreadable_items_behind_held_events_keep_their_place() -> None:
    """And cover what is behind them, once the hole is filled."""
    desk = Desk(sockets=2)
    desk.shows("1 4 ?a 6")
    assert desk.shows("1 2 3", socket=2) == ["2", "3", "4", "?a=5", "6"]
    assert desk.shows("4 ?a 6 7", socket=2) == ["7"]


def test_held_event_learns_from_a_second_socket_what_covers_it() -> None:
    """The first that showed it had resumed in the middle."""
    desk = Desk(sockets=2)
    desk.shows("1")
    desk.shows("6", socket=2)
    desk.shows("4 ?a 6")
    assert desk.shows("1 2 3", socket=2) == ["2", "3", "4", "?a=5", "6"]


def test_gap_before_unreadable_items() -> None:
    """They are due before it, in their place."""
    desk = Desk()
    desk.shows("1 ?a 9")
    assert desk.proves() == ["?a", "gap 2-8 jump", "9"]


def test_held_event_hides_no_position() -> None:
    """Unreadable items cover nothing that a socket has shown as an event: here they are noise."""
    desk = Desk(sockets=2)
    desk.shows("1")
    desk.shows("1 3", socket=2)
    assert desk.shows("?a ?b 4") == []
    assert desk.shows("2", socket=2) == ["2", "?a", "?b", "3", "4"]


# ---------------------------------------------------------------------- resets and lies


def test_reset() -> None:
    """A step back with a later time, confirmed by the next: a new epoch, and what was before its first is a gap."""
    desk = Desk()
    desk.shows("1 2 3 4 5 6")
    assert desk.shows("3@900") == []
    assert desk.ledger.hole() is HoleState.NONE
    assert desk.shows("4@910 5@920") == ["gap 1-2 position_reset", "3@900", "4@910", "5@920"]
    assert (desk.ledger.epoch, desk.ledger.high) == (1, 5)


def test_each_reset_is_another_epoch_and_tells_the_times_around_it() -> None:
    """Of the last event of the former sequence and of the first of the new one."""
    desk = Desk()
    desk.shows("1 2 3 4 5 6")
    for epoch, words in enumerate(("3@900 4@910", "2@920 3@930"), 1):
        former_ms = desk.ledger.max_time_ms
        for word in words.split():
            position, _, time = word.partition("@")
            desk.ledger.admit(1, int(position), int(time), word, desk.now)
        gap, first, *_ = desk.ledger.take()
        assert isinstance(gap, GapFound)
        assert isinstance(first, Deliver)
        assert gap.gap == Gap(epoch, 1, first.position - 1, former_ms, first.time_ms, GapReason.POSITION_RESET)


def test_reset_to_the_beginning_has_no_positions_to_miss() -> None:
    """The gap record marks it all the same."""
    desk = Desk()
    assert desk.shows("1 2 3 1@900 2@901")[3:] == ["gap None-None position_reset", "1@900", "2@901"]


def test_reset_on_a_quiet_stream() -> None:
    """Nobody confirms it: time does."""
    desk = Desk()
    desk.shows("1 2 3 2@900")
    assert desk.ledger.deadline() == desk.now + PATIENCE_S
    assert desk.waits() == ["gap 1-1 position_reset", "2@900"]


@pytest.mark.parametrize("words", ["2@20", "2@none", "2@30"])
def test_step_back_without_a_later_time_is_a_duplicate(words: str) -> None:
    """Dropped, and counted by the caller."""
    desk = Desk()
    desk.shows("1 2 3")
    assert desk.shows(words) == []
    assert desk.ledger.deadline() is None


def test_lie_is_refuted_by_the_old_sequence() -> None:
    """One item with a wrong position: unreadable, in its place, covering what it stands for."""
    desk = Desk()
    desk.shows("1 2 3")
    assert desk.shows("2@900 5@901") == ["2@900=4", "5@901"]
    assert desk.ledger.epoch == 0


def test_lie_of_an_overlap_is_due_once() -> None:
    """The other socket shows it too, before and after it was refuted."""
    desk = Desk(sockets=2)
    desk.shows("1 2 3")
    desk.shows("3", socket=2)
    desk.shows("2@900")
    desk.shows("2@900 ?x", socket=2)
    assert desk.shows("?x 6@901") == ["2@900=4", "?x=5", "6@901"]
    assert desk.shows("6@901 7", socket=2) == ["7"]
    desk.shows("2@990 8")
    assert desk.shows("7 2@990 8 9", socket=2) == ["9"]


def test_lies_are_forgotten_with_the_sockets_that_knew_them() -> None:
    """A socket opened later resumes behind them."""
    desk = Desk()
    desk.shows("1 2 3 2@900 4")
    desk.opens(2)
    desk.ledger.closed(1)
    assert desk.shows("2@900 3@901", socket=2)[0] == "gap 1-1 position_reset"


def test_second_step_back_further_back() -> None:
    """The first was a lie, told by the same socket; or the other socket shows more of the new sequence."""
    desk = Desk(sockets=2)
    desk.shows("1 2 3 4")
    assert desk.shows("3@900 1@901 2@902") == ["3@900", "gap None-None position_reset", "1@901", "2@902"]
    other = Desk(sockets=2)
    other.shows("1 2 3 4")
    other.shows("2@902", socket=2)
    assert other.shows("1@901 2@902") == ["gap None-None position_reset", "1@901", "2@902"]


def test_step_back_is_forgotten_with_its_socket() -> None:
    """It comes again from the next."""
    desk = Desk(sockets=2)
    desk.shows("1 2 3 1@900")
    desk.ledger.closed(1)
    assert desk.ledger.deadline() is None
    assert desk.shows("3 4", socket=2) == ["4"]


def test_unreadable_items_behind_a_step_back_wait_with_it() -> None:
    """Their place is in the new sequence, or where the lie was."""
    reset = Desk()
    reset.shows("1 2 3")
    assert reset.shows("1@900 ?x 3@902") == ["gap None-None position_reset", "1@900", "?x=2", "3@902"]
    lie = Desk()
    lie.shows("1 2 3")
    assert lie.shows("1@900 ?x 6@902") == ["1@900=4", "?x=5", "6@902"]


def test_reset_behind_a_hole() -> None:
    """What is missing of the former epoch is a gap, what was held of it is due."""
    desk = Desk()
    desk.shows("1 2 5 6")
    assert desk.shows("5@900 6@901") == [
        "gap 3-4 jump",
        "5",
        "6",
        "gap 1-4 position_reset",
        "5@900",
        "6@901",
    ]


def test_other_socket_still_shows_the_former_sequence() -> None:
    """Duplicates until it arrives in the new one too; what it has that is new has no place any more."""
    desk = Desk(sockets=2)
    desk.shows("1 2 3 4 5")
    desk.shows("3", socket=2)
    desk.shows("1@900 2@901")
    assert not desk.ledger.caught_up(2)
    assert desk.shows("4 5 ?x", socket=2) == []
    assert desk.shows("6 7", socket=2) == []
    assert desk.shows("1@900 2@901 3@902", socket=2) == ["6", "7", "3@902"]


def test_socket_two_resets_behind() -> None:
    """It must step back twice."""
    desk = Desk(sockets=2)
    desk.shows("1 2 3 4 5")
    desk.shows("5", socket=2)
    desk.shows("1@900 2@901 1@910 2@911")
    assert desk.shows("1@900 2@901 1@910 2@911 3@912", socket=2) == ["3@912"]


@pytest.mark.parametrize(
    ("present", "late"),
    [("1@900 2@950", "1@900 2@950 3@920"), ("1@900 2@901 1@910 2@950", "1@900 2@901 1@910 2@950 3@920")],
)
def test_socket_that_steps_back_as_often_as_it_is_behind_shows_the_present(present: str, late: str) -> None:
    """Although nothing that it shows is later than all that was seen."""
    desk = Desk(sockets=2)
    desk.shows("1 2 3 4 5")
    desk.shows("5", socket=2)
    desk.shows(present)
    assert desk.shows(late, socket=2) == ["3@920"]


def test_socket_of_a_former_epoch_shows_something_later_than_all() -> None:
    """A node that was left behind goes on by itself: no longer ignored."""
    desk = Desk(sockets=2)
    desk.shows("1 2 3")
    desk.shows("3", socket=2)
    desk.shows("1@900 2@901")
    desk.ledger.closed(1)
    assert desk.shows("4@950", socket=2) == []
    assert desk.ledger.hole() is HoleState.PROBE


def test_lie_far_ahead() -> None:
    """Its own socket goes on before it: held for a while, then unreadable; nothing is a gap."""
    desk = Desk()
    assert desk.shows("1 900 2 3") == ["1", "2", "3"]
    assert desk.ledger.hole() is HoleState.WAIT
    assert desk.ledger.caught_up(1)
    assert desk.ledger.deadline() == desk.now + PATIENCE_S
    assert desk.waits() == []
    assert desk.shows("4") == ["900", "4"]
    assert desk.ledger.deadline() is None


def test_lies_far_ahead_with_unreadable_items_between() -> None:
    """Those stand before the lies, and cover what they stand for."""
    desk = Desk(sockets=2)
    words = "1 900 ?a 990 3"
    assert desk.shows(words) == ["1", "?a=2", "3"]
    assert desk.shows(words, socket=2) == []
    assert desk.waits() == []
    assert desk.shows("4") == ["900", "990", "4"]


def test_unreadable_item_behind_a_lie_whose_socket_ended() -> None:
    """It goes where the lie goes."""
    desk = Desk(sockets=2)
    desk.shows("1 900 1@10")
    desk.shows("1 900 ?a", socket=2)
    assert desk.waits() == []
    assert desk.shows("2") == ["900", "?a", "2"]


def test_repeated_leap() -> None:
    """A chunk that comes twice is no contradiction."""
    desk = Desk()
    assert desk.shows("1 5 6 5@50 6 7") == ["1"]
    assert desk.ledger.held == 3
    assert desk.shows("2 3 4") == ["2", "3", "4", "5", "6", "7"]


def test_bridged_leap_is_no_lie() -> None:
    """Once the other socket has filled what was before it, going back is a replay."""
    desk = Desk(sockets=2)
    desk.shows("1 4 9")
    desk.shows("1 2 3", socket=2)
    assert desk.shows("3") == []
    assert desk.shows("4 5 6 7 8", socket=2) == ["5", "6", "7", "8", "9"]


def test_lost_track() -> None:
    """Without resume a break cannot be named: what is held is due, and a new epoch begins anywhere."""
    desk = Desk()
    desk.shows("1 ?a 4")
    desk.ledger.closed(1)
    desk.ledger.lost_track(SOME_TIME)
    assert desk.due() == ["?a", "gap 2-3 jump", "4", "gap None-None no_resume"]
    assert (desk.ledger.epoch, desk.ledger.high) == (1, None)
    desk.ledger.opened(2, None)
    assert desk.shows("77", socket=2) == ["77"]


def test_step_back_stays_while_a_socket_that_showed_it_is_open() -> None:
    """The end of the other one means nothing."""
    desk = Desk(sockets=2)
    desk.shows("1 2 3 1@900")
    desk.ledger.closed(2)
    assert desk.shows("2@901") == ["gap None-None position_reset", "1@900", "2@901"]


def test_events_without_a_time() -> None:
    """Wherever they are: the first of all, behind a hole, covered."""
    desk = Desk(Checkpoint("s"))
    assert desk.shows("5@none 7@none 7@none 6@none") == ["5@none", "6@none", "7@none"]
    assert desk.ledger.max_time_ms is None


def test_item_too_large_twice_is_a_gap_of_one_position() -> None:
    """The socket stands at the highest position: the next one cannot be read, and the stream goes on behind it."""
    desk = Desk(Checkpoint("s", position=3, event_time_ms=30))
    assert desk.ledger.skip_oversize(1)
    assert desk.ledger.take() == [GapFound(Gap(0, 4, 4, 30, None, GapReason.OVERSIZE))]
    assert desk.ledger.high == 4
    assert desk.shows("5") == ["5"]


def test_item_too_large_elsewhere_is_no_gap() -> None:
    """A socket that replays, or is gone, does not tell which position its item has."""
    desk = Desk(Checkpoint("s", position=3, event_time_ms=30))
    desk.shows("4 5")
    desk.ledger.opened(2, 3)
    assert not desk.ledger.skip_oversize(2)
    assert not desk.ledger.skip_oversize(9)
    assert desk.ledger.take() == []
