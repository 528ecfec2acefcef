"""The ledger of a platform without positions. An event is written ``key:name@time``; what becomes due likewise."""

from __future__ import annotations

from connector.core.recent import PATIENCE_S, WINDOW_EVENTS, WINDOW_S, Recent
from connector.core.steps import Deliver, GapFound, HoleState, Unreadable, Verdict
from connector.model import Checkpoint, DeadLetterId, Lapse


class Desk:
    """A ledger and its sockets, the first of which leads."""

    def __init__(self, sockets: int = 1, checkpoint: Checkpoint | None = None, hold_limit: int = 100) -> None:
        self.now = 100.0
        self.ledger = Recent[str](
            checkpoint or Checkpoint("s", position=0),
            identity=lambda item: item.partition("@")[0],
            key=lambda item: item.partition(":")[0],
            hold_limit=hold_limit,
        )
        for socket in range(1, sockets + 1):
            self.ledger.opened(socket, None)

    def shows(self, words: str, socket: int = 1) -> list[str]:
        """What a socket brings; returns what became due."""
        for word in words.split():
            if word.startswith("?"):
                self.ledger.unreadable(socket, word, word, self.now)
            else:
                _, _, time = word.partition("@")
                self.ledger.admit(socket, 0, int(time) if time else None, word, self.now)
        return self.due()

    def due(self) -> list[str]:
        """The steps in words: ordinal and item."""
        words = []
        for step in self.ledger.take():
            match step:
                case Deliver(position, _, item):
                    words.append(f"{position}={item}")
                case Unreadable(after, ordinal, _, _, item):
                    words.append(f"{after}/{ordinal}={item}")
                case GapFound(gap):
                    words.append(f"gap {gap.epoch} {gap.first_time_ms}-{gap.last_time_ms}")
        return words


def test_fresh_events_are_numbered() -> None:
    """Ordinals go on from the checkpoint's, and a second delivery is dropped."""
    desk = Desk(checkpoint=Checkpoint("s", position=7))
    assert desk.shows("a:1 a:2 a:1 b:1") == ["8=a:1", "9=a:2", "10=b:1"]
    assert desk.ledger.admit(1, 0, None, "a:2@5", desk.now) is Verdict.DUPLICATE
    assert desk.ledger.high == 10


def test_second_socket_waits_for_the_first() -> None:
    """What the new socket shows first is held: the old one may bring what belongs before."""
    desk = Desk(sockets=2)
    assert desk.shows("a:2", socket=2) == []
    assert desk.ledger.held == 1
    assert desk.shows("a:1 a:2 a:3") == ["1=a:1", "2=a:2", "3=a:3"]
    assert desk.shows("a:3", socket=2) == []
    assert desk.ledger.held == 0


def test_what_the_first_skips_goes_before_its_successor() -> None:
    """The order of the second socket, or the time, tells what the first one has skipped."""
    desk = Desk(sockets=2)
    assert desk.shows("a:1 b:1 a:2", socket=2) == []
    assert desk.shows("a:2") == ["1=a:1", "2=a:2"]
    desk.shows("c:1@10 c:9@90 d:1", socket=2)
    assert desk.shows("c:2@20") == ["3=c:1@10", "4=c:2@20"]
    assert desk.shows("d:2") == ["5=d:2"]  # without times nobody can tell


def test_end_of_the_first_releases() -> None:
    """Once the old socket is closed the new one leads, and what it has shown is due in its order."""
    desk = Desk(sockets=2)
    desk.shows("a:1")
    desk.shows("a:1 a:2 ?x a:3", socket=2)
    desk.ledger.closed(1)
    assert desk.due() == ["2=a:2", "2/1=?x", "3=a:3"]
    assert desk.shows("a:4", socket=2) == ["4=a:4"]


def test_end_of_the_second_loses_nothing() -> None:
    """What only the new socket had shown is due when it is given up."""
    desk = Desk(sockets=2)
    desk.shows("a:1", socket=2)
    desk.ledger.closed(2)
    assert desk.due() == ["1=a:1"]


def test_patience_ends() -> None:
    """An event that the leading socket never shows waits for a moment only."""
    desk = Desk(sockets=2)
    assert desk.ledger.deadline() is None
    desk.shows("a:1", socket=2)
    desk.now += PATIENCE_S / 2
    desk.shows("a:2", socket=2)
    assert desk.ledger.deadline() == 100 + PATIENCE_S
    desk.ledger.expire(100 + PATIENCE_S)
    assert desk.due() == ["1=a:1"]
    assert desk.shows("a:1 a:2") == ["2=a:2"]


def test_hold_limit() -> None:
    """Memory is bounded: beyond the limit the oldest goes without waiting."""
    desk = Desk(sockets=2, hold_limit=2)
    assert desk.shows("a:1 a:2 a:3", socket=2) == ["1=a:1"]


def test_caught_up_is_having_shown_the_newest() -> None:
    """Either first or second; and a later event of another socket undoes it."""
    desk = Desk(sockets=2)
    desk.shows("a:1", socket=2)
    assert not desk.ledger.caught_up(2)
    desk.shows("a:1")
    assert desk.ledger.caught_up(1)
    assert desk.ledger.caught_up(2)
    desk.shows("a:2")
    assert not desk.ledger.caught_up(2)
    desk.shows("a:2", socket=2)
    assert desk.ledger.caught_up(2)


def test_window_is_bounded_by_time() -> None:
    """What was seen long ago is forgotten once something newer comes."""
    desk = Desk()
    desk.shows("a:1")
    desk.now += WINDOW_S + 1
    assert desk.shows("a:2 a:1") == ["2=a:2", "3=a:1"]


def test_window_is_bounded_by_count() -> None:
    """Memory is bounded under a flood."""
    desk = Desk()
    desk.shows(" ".join(f"a:{n}" for n in range(WINDOW_EVENTS + 1)))
    assert desk.shows(f"a:1 a:{WINDOW_EVENTS}") == []
    assert desk.shows("a:0") == [f"{WINDOW_EVENTS + 2}=a:0"]


def test_lost_track_begins_an_epoch() -> None:
    """What was missed has a time; ordinals begin again, what was seen is still known."""
    desk = Desk()
    desk.shows("a:1@5 ?x")
    assert desk.ledger.max_time_ms == 5
    desk.ledger.lost_track(Lapse(3, 9))
    assert desk.due() == ["gap 1 3-9"]
    assert desk.shows("a:1@5 ?y a:2@4") == ["0/1=?y", "1=a:2@4"]
    assert (desk.ledger.epoch, desk.ledger.high, desk.ledger.max_time_ms) == (1, 1, 5)


def test_unreadable_items_are_numbered_since_the_last_event() -> None:
    """Also over a restart."""
    desk = Desk(checkpoint=Checkpoint("s", position=3, dead_letters=(DeadLetterId(2, "00"),)))
    assert desk.shows("?x ?x ?y a:1 ?z") == ["3/3=?x", "3/4=?y", "4=a:1", "4/1=?z"]


def test_no_holes() -> None:
    """Nothing that belongs to positions is asked of it in vain."""
    desk = Desk()
    desk.ledger.prove()
    desk.ledger.silent(1)
    assert desk.ledger.hole() is HoleState.NONE
    assert not desk.ledger.skip_oversize(1)
