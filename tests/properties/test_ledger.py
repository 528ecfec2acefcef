"""Whatever the platform does and whenever the process dies, the ledger accounts for each position once, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connector.core.checkpoint import advance, decode, encode
from connector.core.evidence import StreamEvidence
from connector.core.ledger import Ledger
from connector.core.steps import Deliver, GapFound, HoleState, Unreadable, Verdict
from connector.core.verdict import DeadLetter, GapRecord
from connector.model import Batch, Checkpoint, Entry, GapReason

Step = Deliver[str] | Unreadable[str] | GapFound


class LogItem(NamedTuple):
    """What a platform sends at one place: an event, or an unreadable item, which may stand for a position.

    ``claims``: the position it pretends to have, where that is a lie.
    """

    epoch: int
    position: int
    name: str
    time_ms: int | None
    readable: bool = True
    stands: bool = True
    claims: int | None = None


@dataclass
class Socket:
    """A socket of the platform: what it will still deliver."""

    number: int
    ahead: list[LogItem]


@dataclass
class Platform:
    """One log; sockets deliver what is retained from a position on, then what is new."""

    at: bool = False
    forgiving: bool = False
    log: list[LogItem] = field(default_factory=list)
    epoch: int = 0
    head: int = 0
    made: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    sockets: dict[int, Socket] = field(default_factory=dict)

    def append(self, item: LogItem) -> None:
        """Something happens at the platform."""
        self.log.append(item)
        self.head = max(self.head, item.position)
        if not item.readable:
            self.unreadable[digest(item.name)] += 1
        for socket in self.sockets.values():
            socket.ahead.append(item)

    def open(self, number: int, asked: int | None) -> None:
        """A socket that resumes at or after a position; beyond the head: at the head."""
        present = [item for item in self.log if item.epoch == self.epoch]
        beyond = 0 if self.forgiving else self.head
        wanted = self.head if asked is None else beyond if asked > self.head else asked
        ahead = [i for i in present if i.position > wanted or (i.position == wanted and not (i.readable or i.stands))]
        if wanted != (asked or 0):
            ahead = from_an_event(ahead)
        if self.at:
            ahead = [i for i in present if i.position == wanted and i.readable] + ahead
        self.sockets[number] = Socket(number, ahead)


def digest(name: str) -> str:
    """Unreadable items of one kind have the same bytes."""
    return f"h:{name}" if name.startswith(("e", "l")) else f"h:{name.partition('-')[0]}"


def from_an_event(items: list[LogItem]) -> list[LogItem]:
    """Without the unreadable items at the beginning: nobody could tell where they belong."""
    while items and not items[0].readable:
        items = items[1:]
    return items


def entry(step: Step) -> tuple[int, Entry]:
    """A step as the pipeline writes it, with its epoch where the step says one."""
    match step:
        case Deliver(position, time_ms, name):
            return -1, Entry(position, 0, "t", "k", name.encode(), [], time_ms or 0, time_ms)
        case Unreadable(after, ordinal, covers, sha256, name):
            return -1, Entry(after, ordinal, "d", "k", name.encode(), [], 0, None, sha256, covers=covers is not None)
        case GapFound(gap):
            return gap.epoch, Entry(gap.last or 0, 0, "g", "k", b"", [], 0, None)


def checkpoint_after(start: Checkpoint, steps: Sequence[Step]) -> Checkpoint:
    """The checkpoint once these steps are written, cut into batches of at most three entries, and read again."""
    epoch, entries = start.epoch, []
    for step in steps:
        of, written = entry(step)
        epoch = max(epoch, of)
        entries.append((epoch, written))
    known = start
    for number, of_epoch in groupby(entries, key=lambda pair: pair[0]):
        written_in = [pair[1] for pair in of_epoch]
        for i in range(0, len(written_in), 3):
            known = advance(known, [Batch("s", 0, number, written_in[i : i + 3])], {})
    return decode(encode(known, "w", 0))


class LedgerMachine(RuleBasedStateMachine):
    """Any interleaving of what a platform, its sockets and a crash can do."""

    def __init__(self) -> None:
        super().__init__()
        self.platform = Platform()
        self.now = 0.0
        self.time_ms = 1_700_000_000_000
        self.opens = 0
        self.expired = self.crashed = False
        self.committed: list[Step] = []
        self.pending: list[Step] = []

    @initialize(
        at=st.booleans(),
        world=st.sampled_from(["noise", "loss", "lies", "sparse"]),
        hold=st.sampled_from([3, 5000]),
        start=st.sampled_from([0, 0, None]),
    )
    def begin(self, at: bool, world: str, hold: int, start: int | None) -> None:  # noqa: FBT001 - Hypothesis names it
        """A platform, and a stream that is new."""
        self.platform.at = at
        self.platform.forgiving = world != "loss"
        self.start = start
        self.world = world
        self.hold = hold if world == "loss" else 5000
        self.saved = Checkpoint("s", position=start)
        self.ledger = self.rebuilt()

    def rebuilt(self) -> Ledger[str]:
        """A ledger as a new process makes it."""
        return Ledger(self.saved, contiguous=self.world != "sparse", hold_limit=self.hold, digest=digest)

    # ------------------------------------------------------------------ the platform

    def behind(self) -> bool:
        """Whether the ledger must still find out about a reset: the new sequence stays short of it until then."""
        return self.ledger.epoch < self.platform.epoch

    @rule(
        kinds=st.lists(
            st.sampled_from(["event", "event", "event", "timeless", "poison", "poison2", "noise", "lie"]),
            min_size=1,
            max_size=6,
        ),
        jitter=st.integers(0, 30),
        claims=st.integers(1, 40),
    )
    def happens(self, kinds: list[str], jitter: int, claims: int) -> None:
        """Events, and items nobody can read, which stand for a position or don't."""
        platform = self.platform
        if self.behind() and not all(socket.ahead for socket in platform.sockets.values()):
            kinds = ["event"]  # before the first event of a new sequence nobody could tell where anything belongs
        if self.saved.position is None:
            kinds = ["event"]  # nor at a beginning without a position
        for kind in [*kinds, "event"] if "lie" in kinds else kinds:
            self.time_ms += 40
            platform.made += 1
            step = 1 + (platform.made * 7 % 3 if self.world == "sparse" else 0)
            position, name, epoch = platform.head + step, f"{kind}-{platform.made}", platform.epoch
            if self.behind() and position >= (self.ledger.high or 0) - 1:
                return
            if kind in {"event", "timeless"} or (kind == "noise" and self.world in {"loss", "lies"}):
                time_ms = None if kind == "timeless" and self.world == "sparse" else self.time_ms - jitter
                platform.append(LogItem(epoch, position, f"e{platform.made}", time_ms))
            elif kind == "noise" or self.world == "sparse":
                platform.append(LogItem(epoch, platform.head, name, None, readable=False, stands=False))
            elif kind == "lie":
                if self.world == "lies" and platform.head > 1 and platform.log:
                    known = [item.position for item in platform.log if item.readable]
                    back = known[claims % len(known)] if claims % 2 and known else None
                    ahead = platform.head + 1000 * platform.made + claims
                    lie = LogItem(
                        epoch,
                        position if back else platform.head,
                        f"l{platform.made}",
                        self.time_ms,
                        readable=False,
                        stands=back is not None,
                        claims=back or ahead,
                    )
                    platform.append(lie)
            else:
                platform.append(LogItem(epoch, position, name, None, readable=False))

    @precondition(lambda self: self.world == "loss")
    @rule(keep=st.integers(0, 8))
    def forgets(self, keep: int) -> None:
        """The retention passes: what is older can't be had any more by new sockets."""
        log = self.platform.log
        self.platform.log = from_an_event(log[max(0, len(log) - keep) :]) or log

    @precondition(lambda self: self.world in {"loss", "noise"} and self.platform.head > 8 and not self.behind())
    @precondition(lambda self: (self.ledger.high or 0) > 8)
    @rule(first=st.sampled_from([1, 1, 3]))
    def starts_anew(self, first: int) -> None:
        """The platform's own failover: positions begin again; open sockets deliver what they had, then the new."""
        self.platform.epoch += 1
        self.platform.head = first - 1
        self.happens(kinds=["event"], jitter=0, claims=1)

    # ------------------------------------------------------------------ sockets

    @precondition(lambda self: len(self.platform.sockets) < 2)
    @rule(fails=st.sampled_from([False, False, False, True]))
    def opens_socket(self, fails: bool) -> None:  # noqa: FBT001 - Hypothesis names it
        """A dial from the newest position."""
        self.opens += 1
        self.ledger.opened(self.opens, self.ledger.high)
        if fails:
            self.ledger.closed(self.opens)
        else:
            self.platform.open(self.opens, self.ledger.high)
        self.settle()

    @precondition(lambda self: self.platform.sockets)
    @rule(data=st.data())
    def closes_socket(self, data: st.DataObject) -> None:
        """A socket ends."""
        self.closes(data.draw(st.sampled_from(sorted(self.platform.sockets))))

    @precondition(lambda self: self.world in {"loss", "noise"})
    @precondition(lambda self: not all(socket.ahead for socket in self.platform.sockets.values()))
    @rule(data=st.data())
    def falls_silent(self, data: st.DataObject) -> None:
        """A socket has shown all there is, and lives."""
        silent = [number for number, socket in sorted(self.platform.sockets.items()) if not socket.ahead]
        self.ledger.silent(data.draw(st.sampled_from(silent)))
        self.settle()

    @precondition(lambda self: self.world == "loss" and self.platform.sockets)
    @rule(data=st.data(), items=st.integers(1, 4))
    def skips(self, data: st.DataObject, items: int) -> None:
        """A fault of one socket: it leaves something out."""
        socket = self.platform.sockets[data.draw(st.sampled_from(sorted(self.platform.sockets)))]
        if not self.behind() and {item.epoch for item in socket.ahead} == {self.platform.epoch}:
            socket.ahead = from_an_event(socket.ahead[items:]) or socket.ahead

    @precondition(lambda self: self.platform.sockets)
    @rule(data=st.data(), items=st.integers(1, 12))
    def delivers(self, data: st.DataObject, items: int) -> None:
        """A socket delivers; a lie comes with what follows it, as on a busy stream."""
        number = data.draw(st.sampled_from(sorted(self.platform.sockets)))
        self.deliver(number, items)
        self.settle()

    def deliver(self, number: int, items: int) -> None:
        """The next items of a socket."""
        socket = self.platform.sockets[number]
        lying = False
        while socket.ahead and (items > 0 or lying):
            item = socket.ahead.pop(0)
            items -= 1
            lying = item.claims is not None or (lying and not item.readable)
            if item.readable or item.claims is not None:
                position = item.position if item.claims is None else item.claims
                verdict = self.ledger.admit(number, position, item.time_ms, item.name, self.now)
                if verdict is Verdict.FRESH:
                    self.record([Deliver(position, item.time_ms, item.name)])
            else:
                verdict = self.ledger.unreadable(number, digest(item.name), item.name, self.now)
            if verdict is not Verdict.FRESH:
                self.record(self.ledger.take())

    # ------------------------------------------------------------------ time, crash, end

    @precondition(lambda self: self.world != "lies")
    @rule(seconds=st.sampled_from([0.01, 1.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        """Time passes; the ledger stops waiting where it said so."""
        self.now += seconds
        self.expire()

    def expire(self) -> None:
        """Call the ledger when it wants to be called."""
        deadline = self.ledger.deadline()
        if deadline is not None and deadline <= self.now:
            self.expired = True
            self.ledger.expire(self.now)
            self.record(self.ledger.take())
            later = self.ledger.deadline()
            assert later is None or later > self.now
        self.settle()

    @rule(share=st.floats(0.0, 1.0))
    def commits(self, share: float) -> None:
        """A prefix of what was emitted is committed."""
        count = round(share * len(self.pending))
        self.saved = checkpoint_after(self.saved, self.pending[:count])
        self.committed += self.pending[:count]
        del self.pending[:count]

    @precondition(
        lambda self: self.saved.epoch == self.platform.epoch or (self.saved.position or 0) > self.platform.head
    )
    @rule()
    def crashes(self) -> None:
        """Whatever is not committed is gone."""
        self.crashed = True
        self.pending.clear()
        self.platform.sockets.clear()
        self.ledger = self.rebuilt()

    def settle(self) -> None:
        """What the pipeline does after each turn: proven holes become gaps."""
        while self.ledger.hole() is HoleState.PROVEN:
            self.ledger.prove()
            self.record(self.ledger.take())
        assert self.ledger.take() == []
        assert self.ledger.held <= self.hold

    def record(self, steps: Sequence[Step]) -> None:
        """Take steps in, each judged at once where the moment matters."""
        for step in steps:
            if isinstance(step, GapFound) and step.gap.reason is not GapReason.POSITION_RESET:
                assert self.world == "loss", "nothing is lost in this world"
                self.check_gap(step)
            self.pending.append(step)

    def check_gap(self, step: GapFound) -> None:
        """No gap is recorded for what an open socket will still deliver."""
        first, last = step.gap.first, step.gap.last
        assert first is not None
        assert last is not None
        assert first <= last
        if step.gap.epoch < self.platform.epoch:
            return  # a new sequence has begun: what an old socket still delivers comes too late
        for socket in self.platform.sockets.values():
            assert not [
                i for i in socket.ahead if i.epoch == step.gap.epoch and first <= i.position <= last and i.readable
            ]

    @invariant()
    def in_order(self) -> None:
        """Each position once and in order, by event, covering dead letter or gap; ordinals count up."""
        if not hasattr(self, "ledger"):
            return
        epoch, high, letters, covers = 0, self.start, 0, 0
        for step in [*self.committed, *self.pending]:
            match step:
                case Unreadable(after, ordinal, covered, _, _):
                    letters += 1
                    covers += covered is not None
                    assert (after, ordinal) == (high or 0, letters)
                    assert covered is None or covered == after + ordinal
                case GapFound(gap) if gap.reason is GapReason.POSITION_RESET:
                    epoch += 1
                    assert gap.epoch == epoch
                    assert (gap.first, gap.last) != (1, 0)
                    high, letters, covers = gap.last or 0, 0, 0
                case GapFound(gap):
                    assert high is not None
                    assert gap.epoch == epoch
                    assert gap.first == high + covers + 1
                    high, letters, covers = gap.last, 0, 0
                case Deliver(position, _, _):
                    missing = position - high - 1 if high is not None and self.world != "sparse" else 0
                    assert missing == covers or (self.expired and missing <= letters)
                    assert high is None or position > high
                    high, letters, covers = position, 0, 0
        assert (self.ledger.epoch, self.ledger.high or 0) == (epoch, high or 0)

    @invariant()
    def once(self) -> None:
        """No event and no unreadable item twice."""
        steps = [*self.committed, *self.pending]
        assert max(Counter(s.item for s in steps if isinstance(s, Deliver)).values(), default=0) <= 1
        letters = Counter(s.sha256 for s in steps if isinstance(s, Unreadable))
        assert all(count <= self.platform.unreadable[name] for name, count in letters.items() if name[2] != "e")
        belated = Counter(s.item for s in steps if not isinstance(s, GapFound) and s.item.startswith("e"))
        assert max(belated.values(), default=0) <= 1, "an event is delivered, or comes too late for its epoch"

    def teardown(self) -> None:
        """In the end, with a healthy platform, all of it is accounted for."""
        if not hasattr(self, "ledger") or not [i for i in self.platform.log if i.epoch == self.platform.epoch]:
            return
        self.heal()
        self.in_order()
        self.once()
        self.judged()
        present = [item for item in self.platform.log if item.epoch == self.platform.epoch]
        events = [item.position for item in present if item.readable]
        if self.start is None or not events or self.behind():
            return
        assert (self.ledger.epoch, self.ledger.high, self.ledger.held) == (self.platform.epoch, events[-1], 0)
        steps = [*self.committed, *self.pending]
        if self.world != "loss":
            delivered = {step.item for step in steps if isinstance(step, Deliver)}
            assert {item.name for item in present if item.readable} <= delivered
        if self.world == "sparse" or (self.world == "lies" and not self.crashed):  # a crash forgets a doubted item
            assert Counter(s.sha256 for s in steps if isinstance(s, Unreadable)) == self.platform.unreadable

    def judged(self) -> None:
        """Who judges by the records alone agrees: nothing missing, nothing twice, no gap over what was delivered."""
        evidence, epoch = StreamEvidence("s", contiguous=self.world != "sparse"), 0
        for step in [*self.committed, *self.pending]:
            match step:
                case Deliver(position, _, _):
                    evidence.event("t", 0, b"k", epoch, position)
                case Unreadable(after, ordinal, covers, sha256, _):
                    evidence.dead_letter(DeadLetter(epoch, covers, after, ordinal, sha256))
                case GapFound(gap):
                    epoch = gap.epoch
                    evidence.gap(GapRecord(gap.epoch, gap.first, gap.last, gap.reason))
        verdict = evidence.verdict()
        assert verdict.missing == verdict.duplicated == verdict.out_of_order == verdict.malformed == 0
        assert verdict.false_gaps == 0

    def heal(self) -> None:
        """Dial until there is nothing more to come."""
        for number in list(self.platform.sockets):
            self.deliver(number, 1000)
        self.wait()
        for number in list(self.platform.sockets):
            self.closes(number)
        for _ in range(6):
            self.opens_socket(fails=False)
            if self.behind():
                self.happens(kinds=["event"], jitter=0, claims=1)
            self.deliver(self.opens, 1000)
            self.settle()
            self.wait()
            if self.ledger.hole() is not HoleState.PROBE:
                self.closes(self.opens)
            for number in sorted(self.platform.sockets)[:-1]:
                self.closes(number)

    def wait(self) -> None:
        """Longer than the ledger has patience."""
        self.now += 6.0
        self.expire()

    def closes(self, number: int) -> None:
        """End a socket."""
        del self.platform.sockets[number]
        self.ledger.closed(number)
        self.settle()


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
