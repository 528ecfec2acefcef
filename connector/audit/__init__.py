"""The independent ledger: reads a group's topics as any read_committed reader would, and judges its streams.

Shares no code with what writes the records; what it knows of them is CONTRACT.md. ``connector.core.evidence`` judges,
``reading`` reads, ``records`` understands. Nothing is committed, no group is joined.

The checkpoints are read first, then everything else, each to the high watermark at that moment: whatever a checkpoint
speaks of was written before the ends of the other topics were taken. A read_committed reader stops short of the high
watermark at a transaction that is still open; the audit waits for its end, for a bounded time, then tells where it
stopped and claims nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from connector.audit.reading import Partition, Progress, Reading, Unread, no_progress
from connector.audit.records import Records, Scope
from connector.core.verdict import StreamVerdict

__all__ = ["AuditReport", "Partition", "Scope", "Unread", "audit"]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The verdict over all streams that were found or asked for.

    ``foreign``: records of other sources and groups. ``expired``: partitions whose oldest records retention removed.
    """

    streams: tuple[StreamVerdict, ...]
    records: int
    foreign: int
    unread: tuple[Unread, ...]
    expired: tuple[Partition, ...] = ()

    @property
    def held(self) -> bool:
        """Whether everything was read, something was found, and every stream held."""
        return not self.unread and bool(self.streams) and all(stream.held for stream in self.streams)


def audit(
    client: Mapping[str, object],
    group: str,
    topics: Collection[str],
    scope: Scope,
    *,
    open_transaction_wait_s: float = 45.0,
    progress: Progress = no_progress,
) -> AuditReport:
    """Read the event topics and the group's internal ones from their beginning, and judge.

    ``client``: librdkafka properties that reach the cluster. ``topics``: event topics; those that the streams'
    checkpoints name are read as well. Topics that don't exist are read as empty. Blocks; raises KafkaException where
    the cluster cannot be read.
    """
    records = Records(group, scope)
    reading = Reading(client, records.take, open_transaction_wait_s, progress)
    reading.read([records.checkpoints])
    reading.read([records.gaps, records.dead_letters, *topics, *records.written_topics])
    verdicts = tuple(records.of_stream[name].verdict(reading.expired) for name in sorted(records.of_stream))
    expired = tuple(sorted(reading.expired))
    return AuditReport(verdicts, reading.records, records.foreign, tuple(reading.unread), expired)
