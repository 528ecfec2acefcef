"""The floors: programs that do only what must be done for the same records in Kafka, each a process of its own.

``catch-up``: everything is in memory beforehand; begin, produce, flush, commit, transaction after transaction with the
sizes of the bridge's own. ``latency``: events come into being in the process itself at a rate; begin, produce what is
there, flush, checkpoint, flush, commit, and again as soon as that is done. Both use the bridge's producer properties.
The last line printed is the result, as JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time

from confluent_kafka import Producer

from connector.kafka.client import KafkaClient
from connector.model import TopicLimits
from tests.bench.rig import PARTITIONS
from tests.bench.topics import Judge, event_records
from tests.support.ledger import Headers

_REPORTS_S = 30.0
_CONVERSATIONS = 500


def _producer(bootstrap: str, name: str) -> Producer:
    producer = Producer(KafkaClient(bootstrap, name).producer(0, [TopicLimits(PARTITIONS)]))
    producer.init_transactions(30)
    return producer


def catch_up(bootstrap: str, source: str, target: str, transactions: list[int]) -> dict[str, object]:
    """Produce the records of ``source`` to ``target`` in transactions of these sizes.

    ``faults``: what is wrong with the source, whose records are read and judged on the way.
    """
    court = Judge()
    same: dict[tuple[str, str | bytes | None], tuple[str, str | bytes | None]] = {}
    records: list[tuple[int, bytes, bytes, Headers, int]] = []
    for record in event_records(bootstrap, source):
        court.take(record)
        headers = [same.setdefault(pair, pair) for pair in record.headers]
        records.append((record.position, record.key, record.value, headers, record.timestamp_ms))
    records.sort()
    producer = _producer(bootstrap, target)
    produce = producer.produce
    gc.collect()
    gc.freeze()
    at = 0
    started_s, started_cpu_s, started_python_s = time.monotonic(), time.process_time(), time.thread_time()
    for size in transactions:
        producer.begin_transaction()
        for _, key, value, headers, timestamp_ms in records[at : at + size]:
            produce(target, value, key, headers=headers, timestamp=timestamp_ms)
        producer.flush(_REPORTS_S)
        producer.commit_transaction(_REPORTS_S)
        at += size
    wall_s, cpu_s = time.monotonic() - started_s, time.process_time() - started_cpu_s
    python_cpu_s = time.thread_time() - started_python_s
    faults = court.faults([("events", len(records))])
    faults += [] if at == len(records) else [f"the transactions have {at} events, the topic {len(records)}"]
    return {"events": at, "wall_s": wall_s, "cpu_s": cpu_s, "python_cpu_s": python_cpu_s, "faults": faults}


def latency(bootstrap: str, target: str, rate: float, seconds: float, payload_bytes: int) -> dict[str, object]:
    """Produce events that come into being at ``rate`` a second; value and headers are like the bridge's."""
    producer = _producer(bootstrap, target)
    padding = "x" * payload_bytes
    origin_s = time.time() + 1.0
    total = int(rate * seconds)
    produced = transactions = 0
    started_cpu_s = time.process_time()
    while produced < total:
        due = min(total, int((time.time() - origin_s) * rate) + 1)
        if due <= produced:
            time.sleep(max(0.0, origin_s + produced / rate - time.time()))
            continue
        producer.begin_transaction()
        for position in range(produced + 1, due + 1):
            emitted_ms = round((origin_s + (position - 1) / rate) * 1000)
            head = f'{{"sequenceId":{position},"emittedAtMs":{emitted_ms},"padding":"'
            value = f'{head}{padding[len(head) + 2 :]}"}}'
            producer.produce(target, value, f"c{position % _CONVERSATIONS}", headers=_headers(position, emitted_ms))
        producer.flush(_REPORTS_S)
        producer.produce(f"{target}.checkpoints", str(due), "floor", partition=0)
        producer.flush(_REPORTS_S)
        producer.commit_transaction(_REPORTS_S)
        produced = due
        transactions += 1
    return {"events": produced, "transactions": transactions, "cpu_s": time.process_time() - started_cpu_s}


def _headers(position: int, emitted_ms: int) -> Headers:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", f"0/{position}"),
        ("ce_source", b"/ccaas/bench/sim/events"),
        ("ce_type", "conversation.update"),
        ("ce_sequence", f"{position:020d}"),
        ("ce_position", str(position)),
        ("content-type", b"application/json"),
        ("ce_time", f"2026-01-01T00:00:00.{emitted_ms % 1000:03d}Z"),
    ]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("floor", choices=("catch-up", "latency"))
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--source", default="")
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--payload-bytes", type=int, default=700)
    parser.add_argument("--transactions", default="[]", help="JSON: events in each transaction")
    options = parser.parse_args()
    if options.floor == "catch-up":
        transactions = json.loads(options.transactions)
        result = catch_up(options.bootstrap, options.source, options.target, transactions)
    else:
        result = latency(options.bootstrap, options.target, options.rate, options.seconds, options.payload_bytes)
    sys.stdout.write(f"{json.dumps(result)}\n")


if __name__ == "__main__":
    main()
