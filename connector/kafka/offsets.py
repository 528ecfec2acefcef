"""Where partitions end."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import TimeoutError as FutureTimeoutError

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

_REQUEST_S = 5.0


def end_offsets(
    admin: AdminClient, partitions: Iterable[tuple[str, int]], isolation: IsolationLevel
) -> dict[tuple[str, int], int]:
    """Topic and partition → its last stable offset (READ_COMMITTED) or high watermark (READ_UNCOMMITTED).

    Raises ``KafkaException`` where Kafka does not answer. ``admin`` had better be new: one that knew a partition before
    its leader moved gets FENCED_LEADER_EPOCH for half a minute. It must live until the answers are here, which else
    never come: this call sees to that.
    """
    latest = {TopicPartition(*at): OffsetSpec.latest() for at in partitions}
    if not latest:
        return {}
    asked = admin.list_offsets(latest, isolation_level=isolation, request_timeout=_REQUEST_S)
    try:
        return {(at.topic, at.partition): int(found.result(2 * _REQUEST_S).offset) for at, found in asked.items()}
    except FutureTimeoutError as error:
        late = f"no offsets within {2 * _REQUEST_S:g} s"
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, late)) from error  # noqa: SLF001 - librdkafka's public constant
