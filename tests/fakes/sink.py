"""Lanes without Kafka: one that only remembers, and one that commits to a log in memory."""

from __future__ import annotations

from collections import Counter
from zlib import crc32

from connector.core.lane import Freed, InHand, Rewound
from connector.model import ANY_PARTITION, Batch, Checkpoint, Entry


class FakeSink:
    """Implements :class:`connector.ports.Sink`: remembers what it was given."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def submit(self, batch: Batch) -> None:
        """See :meth:`connector.ports.Sink.submit`."""
        self.batches.append(batch)

    @property
    def entries(self) -> list[Entry]:
        """All entries, in order."""
        return [entry for batch in self.batches for entry in batch.entries]


class FakeLog:
    """What Kafka has: the committed entries of all streams, in order, and each stream's last checkpoint."""

    def __init__(self, partitions: int = 2) -> None:
        self.partitions = partitions
        self.records: list[tuple[str, int, Entry]] = []
        self.checkpoints: dict[str, Checkpoint] = {}
        self._ends: Counter[tuple[str, int]] = Counter()

    def append(self, batches: list[Batch]) -> dict[str, dict[str, dict[int, int]]]:
        """Write entries; returns stream → topic → partition → offset of the last."""
        offsets: dict[str, dict[str, dict[int, int]]] = {}
        for batch in batches:
            for entry in batch.entries:
                partition = self.partition_of(entry)
                offsets.setdefault(batch.stream, {}).setdefault(entry.topic, {})[partition] = self._ends[
                    entry.topic, partition
                ]
                self._ends[entry.topic, partition] += 1
                self.records.append((batch.stream, batch.epoch, entry))
        return offsets

    def rewind(self, records: int, checkpoints: dict[str, Checkpoint]) -> None:
        """Kafka lost all but the first so many records."""
        for _, _, entry in self.records[records:]:
            self._ends[entry.topic, self.partition_of(entry)] -= 1
        del self.records[records:]
        self.checkpoints = dict(checkpoints)

    def partition_of(self, entry: Entry) -> int:
        """Where an entry goes."""
        key = entry.key.encode() if isinstance(entry.key, str) else entry.key
        return crc32(key) % self.partitions if entry.partition == ANY_PARTITION else entry.partition


class FakeLane:
    """Implements :class:`connector.ports.Sink`: a lane whose transactions the test carries out, one by one."""

    def __init__(self, log: FakeLog, hand: InHand | None = None) -> None:
        self.log = log
        self.hand = hand or InHand()
        self.hand.reconcile(log.checkpoints)

    def submit(self, batch: Batch) -> None:
        """See :meth:`connector.ports.Sink.submit`."""
        self.hand.arrive(batch)

    def fill(self, *limits: int) -> list[Batch]:
        """Take batches into the open transaction, one for each limit."""
        taken = (self.hand.take(limit) for limit in limits)
        return [batch for batch in taken if batch is not None]

    def commit(self, batches: list[Batch], *, told: bool = True) -> list[Freed]:
        """The open transaction, which has these batches, commits; not ``told``: and nobody hears of it."""
        written = self.hand.checkpoints(self.log.append(batches))
        self.log.checkpoints.update({checkpoint.stream: checkpoint for checkpoint in written})
        return [*self.hand.dropped(), *self.hand.committed()] if told else []

    def renew(self) -> list[Rewound]:
        """A doubt: a new producer, and the checkpoints are read again."""
        self.hand.roll_back()
        return self.hand.reconcile(self.log.checkpoints)
