"""A transaction that Kafka forgets to end, made on purpose.

Where a partition has no leader when a transaction ends, the coordinator takes the partition for deleted, skips its
marker and calls the transaction complete. It happens when a broker without a replica is killed and comes back. Here it
happens for certain: the coordinator's log is told that the transaction is complete, and the broker starts again.
"""

from __future__ import annotations

import struct
import time
from typing import Final

from confluent_kafka import KafkaError, Producer

from tests.support.ledger import read

_LOG: Final = "__transaction_state"
_COMPLETE_ABORT: Final = 5
_VALUE: Final = struct.Struct(">hqhibiqq")
"""Kafka's TransactionLogValue, version 0: version, producer id, epoch, time-out, status, no partitions, two times."""


def forget(bootstrap: str, transactional_id: str) -> None:
    """Have the coordinator's log say that the id's open transaction is over; it counts once the broker starts again."""
    key = struct.pack(">hh", 0, len(transactional_id)) + transactional_id.encode()
    last = next(r for r in reversed(read(bootstrap, [_LOG], committed=False)) if r.key == key)
    _, producer_id, epoch, timeout_ms, _ = struct.unpack_from(">hqhib", last.value)
    now_ms = time.time_ns() // 1_000_000
    value = _VALUE.pack(0, producer_id, epoch, timeout_ms, _COMPLETE_ABORT, 0, now_ms, now_ms)
    producer = Producer({"bootstrap.servers": bootstrap, "client.id": "__admin_client", "acks": "all"})
    answers: list[KafkaError | None] = []
    producer.produce(_LOG, value, key, partition=last.partition, on_delivery=lambda error, _: answers.append(error))
    producer.flush(10)
    if answers != [None]:
        raise RuntimeError(f"{_LOG} does not take the record: {answers}")
