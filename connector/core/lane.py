"""What a lane has in hand: batches waiting, batches in the open transaction, and how far each stream has committed.

The writer's memory across producers (KAFKA.md 2): after any doubt the open transaction's batches go back in front,
the checkpoint is read again, and what is at or below it is dropped. Nothing is ever re-sent blindly, nothing is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from connector.core.checkpoint import Offsets, advance
from connector.model import Batch, Checkpoint, Entry, Mark, Move

Refuse = Callable[[str, Entry], Entry]
"""From a stream and an entry that Kafka refuses to the entry's dead letter."""


@dataclass(frozen=True, slots=True)
class Freed:
    """A stream's buffer got so much room, and this is how far it is committed."""

    checkpoint: Checkpoint
    entries: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Rewound:
    """A stream starts again from what Kafka has; its batches of before ``incarnation`` no longer count.

    ``lost``: Kafka has less than was committed. Otherwise another worker has written, and a snapshot is between.
    """

    checkpoint: Checkpoint
    incarnation: int
    lost: bool

    @property
    def why(self) -> str:
        """In words."""
        return "Kafka has less than was committed" if self.lost else "another worker wrote a snapshot of it"


@dataclass(frozen=True, slots=True)
class Renounced:
    """A stream's batches of before ``incarnation`` no longer count, and nothing of them is under way any more.

    ``checkpoint``: how far Kafka has the stream; None: it has not begun.
    """

    stream: str
    checkpoint: Checkpoint | None
    incarnation: int


class InHand:
    """Batches of one lane between arrival and commit. One thread owns it."""

    def __init__(self) -> None:
        self._pending: deque[Batch] = deque()
        self._open: list[Batch] = []
        self._aside: dict[str, deque[Batch]] = {}
        self._known: dict[str, Checkpoint] = {}
        self._incarnation: dict[str, int] = {}
        self._attempt: dict[str, Checkpoint] = {}
        self._doubted: dict[str, Checkpoint] = {}
        self._dropped: list[tuple[str, int, int]] = []
        self._renouncing: list[str] = []
        self._taken: dict[str, Mark] = {}

    # ------------------------------------------------------------------ in

    def arrive(self, batch: Batch) -> None:
        """A batch came from its stream."""
        aside = self._aside.get(batch.stream)
        (self._pending if aside is None else aside).append(batch)

    def renounce(self, stream: str) -> None:
        """A stream starts again: what it handed over before does not count, but for what is in the open transaction."""
        self._incarnation[stream] = self._incarnation.get(stream, 0) + 1
        self._pending = deque(batch for batch in self._pending if batch.stream != stream)
        if stream in self._aside:
            self._aside[stream].clear()
        if stream not in self._renouncing:
            self._renouncing.append(stream)

    def renounced(self) -> list[Renounced]:
        """Streams that may start again. Not to be asked while nobody knows whether a transaction committed."""
        free = [stream for stream in self._renouncing if stream not in self.streams()]
        self._renouncing = [stream for stream in self._renouncing if stream not in free]
        return [Renounced(stream, self._known.get(stream), self._incarnation[stream]) for stream in free]

    def waiting(self) -> bool:
        """Whether there is anything for a transaction."""
        return bool(self._pending)

    def take(self, limit: int) -> Batch | None:
        """Move the next batch, cut to at most ``limit`` entries, into the open transaction; None when none is left."""
        while self._pending:
            batch = self._current(self._pending.popleft())
            if batch is None:
                continue
            if len(batch.entries) > limit:
                batch, rest = _split(batch, limit, self._snapshot_before(batch.stream))
                self._pending.appendleft(rest)
            self._open.append(batch)
            if batch.entries:
                self._taken[batch.stream] = batch.entries[-1].mark(batch.epoch)
            return batch
        return None

    # ------------------------------------------------------------------ a transaction's ends

    @property
    def records(self) -> int:
        """Entries in the open transaction."""
        return sum(len(batch.entries) for batch in self._open)

    def streams(self) -> list[str]:
        """Streams in the open transaction."""
        return list(dict.fromkeys(batch.stream for batch in self._open))

    def writes(self) -> set[tuple[str, str]]:
        """Streams of the open transaction, each with the topics that its entries go to."""
        return {(batch.stream, entry.topic) for batch in self._open for entry in batch.entries}

    def checkpoints(self, offsets: Mapping[str, Offsets]) -> list[Checkpoint]:
        """The checkpoints of the open transaction; ``offsets``: stream → topic → partition → offset."""
        self._attempt = {
            stream: advance(
                self._known.get(stream, Checkpoint(stream)),
                [batch for batch in self._open if batch.stream == stream],
                offsets.get(stream, {}),
            )
            for stream in self.streams()
        }
        return list(self._attempt.values())

    def committed(self) -> list[Freed]:
        """The open transaction committed."""
        freed = [self._freed(checkpoint) for checkpoint in self._attempt.values()]
        self._known.update(self._attempt)
        self._attempt = {}
        self._doubted.clear()
        self._open = []
        self._taken.clear()
        return freed

    def roll_back(self) -> None:
        """The open transaction did not commit, or nobody knows: everything goes back in front."""
        self._pending.extendleft(reversed(self._open))
        self._open = []
        self._doubted.update(self._attempt)
        self._attempt = {}
        self._taken.clear()

    def replace_first(self, refuse: Refuse) -> Entry | None:
        """Put the dead letter of the first entry in hand in its place; None where there is no entry."""
        for i, batch in enumerate(self._pending):
            if batch.entries:
                first = refuse(batch.stream, batch.entries[0])
                self._pending[i] = replace(batch, entries=[first, *batch.entries[1:]])
                return first
        return None

    def replace_where(self, unfit: Callable[[Entry], bool], refuse: Refuse) -> int:
        """Put dead letters in the place of all unfit entries in hand; returns how many there were."""
        replaced = 0
        for i, batch in enumerate(self._pending):
            found = sum(map(unfit, batch.entries))
            if found:
                replaced += found
                entries = [refuse(batch.stream, entry) if unfit(entry) else entry for entry in batch.entries]
                self._pending[i] = replace(batch, entries=entries)
        return replaced

    # ------------------------------------------------------------------ what Kafka says

    def reconcile(self, read: Mapping[str, Checkpoint]) -> list[Rewound]:
        """The checkpoints as read after an init: what is at or below them will be dropped from what is in hand."""
        rewound = []
        for stream, checkpoint in read.items():
            known = self._known.get(stream)
            lost = known is not None and checkpoint.mark < known.mark
            if lost or self._crosses_a_snapshot(checkpoint):
                incarnation = self._incarnation.get(stream, 0) + 1
                self._incarnation[stream] = incarnation
                rewound.append(Rewound(checkpoint, incarnation, lost))
            self._known[stream] = checkpoint
        self._doubted.clear()
        return rewound

    def _crosses_a_snapshot(self, read: Checkpoint) -> bool:
        """Whether another worker wrote, and its snapshot or ours is unfinished: the two would mix in one.

        Of events and dead letters it does not matter who wrote them: their marks say which are there.
        """
        known, doubted = self._known.get(read.stream), self._doubted.get(read.stream)
        batches = [*self._pending, *self._aside.get(read.stream, ())]
        in_hand = [batch for batch in batches if batch.stream == read.stream and batch.entries]
        own = [checkpoint for checkpoint in (known, doubted) if checkpoint is not None]
        if any(_same(checkpoint, read) for checkpoint in own) or not (own or in_hand):
            return False
        theirs = read.snapshot_id is not None or read.snapshot_records > 0
        return theirs or any(checkpoint.snapshot_id for checkpoint in own) or any(map(_has_snapshot, in_hand))

    def dropped(self) -> list[Freed]:
        """What was found committed already since the last call."""
        dropped, self._dropped = self._dropped, []
        return [Freed(self._known.get(stream, Checkpoint(stream)), *room) for stream, *room in dropped]

    # ------------------------------------------------------------------ suspension

    @property
    def suspended(self) -> set[str]:
        """Streams set aside because a topic of theirs cannot be written."""
        return set(self._aside)

    def suspend(self, stream: str) -> None:
        """Set a stream's batches aside; the lane goes on with the others."""
        aside = self._aside.setdefault(stream, deque())
        aside.extend(batch for batch in self._pending if batch.stream == stream)
        self._pending = deque(batch for batch in self._pending if batch.stream != stream)

    def restore(self, stream: str) -> None:
        """Take a stream's batches up again."""
        self._pending.extend(self._aside.pop(stream, ()))

    # ------------------------------------------------------------------ inside

    def _current(self, batch: Batch) -> Batch | None:
        """The part of a batch that is neither committed nor in the open transaction."""
        if batch.incarnation < self._incarnation.get(batch.stream, 0):
            return None  # its stream has forgotten it already
        known = self._known.get(batch.stream)
        if known is not None and batch.start is not None and not known.anew:
            self._drop(batch, 0, 0)  # the stream has begun already, and waits to hear so
            return None
        if batch.move is not None:
            return self._moving(batch, batch.move, known)
        taken = self._taken.get(batch.stream)
        marks = [mark for mark in (taken, None if known is None else known.mark) if mark is not None]
        if not batch.entries or not marks:
            return batch
        floor = max(marks)
        if batch.entries[0].mark(batch.epoch) > floor:
            return batch
        fresh = [e for e in batch.entries if e.mark(batch.epoch) > floor]
        size = sum(len(e.value) for e in fresh)
        self._drop(batch, len(batch.entries) - len(fresh), batch.size_bytes - size)
        return replace(batch, entries=fresh, size_bytes=size) if fresh else None

    def _moving(self, batch: Batch, move: Move, known: Checkpoint | None) -> Batch | None:
        """A change of position counts once, and only on the checkpoint that it was decided on."""
        base, done = (None, False) if known is None else (known.mark, known.command_id == move.to.command_id)
        if done or move.base != base or batch.stream in self.streams():
            self._drop(batch, 0, 0)
            return None
        return batch

    def _snapshot_before(self, stream: str) -> str | None:
        """The snapshot that was due or begun before the stream's next batch."""
        for batch in reversed(self._open):
            if batch.stream == stream and batch.entries:
                return batch.snapshot_id
        known = self._known.get(stream)
        return None if known is None else known.snapshot_id

    def _drop(self, batch: Batch, entries: int, size_bytes: int) -> None:
        self._dropped.append((batch.stream, entries, size_bytes))

    def _freed(self, checkpoint: Checkpoint) -> Freed:
        batches = [batch for batch in self._open if batch.stream == checkpoint.stream]
        return Freed(checkpoint, sum(len(b.entries) for b in batches), sum(b.size_bytes for b in batches))


def _same(one: Checkpoint, other: Checkpoint) -> bool:
    return one.mark == other.mark and one.snapshot_id == other.snapshot_id


def _has_snapshot(batch: Batch) -> bool:
    return batch.snapshot_id is not None or any(entry.snapshot_records for entry in batch.entries)


def _split(batch: Batch, limit: int, snapshot_before: str | None) -> tuple[Batch, Batch]:
    """A snapshot is due from the first record of a batch that says so, and until the last of one that doesn't."""
    head, tail = batch.entries[:limit], batch.entries[limit:]
    size = sum(len(e.value) for e in head)
    snapshot_id = batch.snapshot_id or snapshot_before
    first = replace(batch, entries=head, size_bytes=size, complete_until_ms=None, snapshot_id=snapshot_id)
    return first, replace(batch, entries=tail, size_bytes=batch.size_bytes - size, start=None)
