"""Who keeps to the plan, and which conversations are going on: a consumer of the bridge's events, whole and small.

    python wfm_adherence.py --kafka HOST:PORT --topic ccaas.events --state wfm.db
    python wfm_adherence.py --state wfm.db --report

What it knows and how far it has read are one SQLite file, changed in one transaction for each batch: killed at any
instant it goes on where the file says, and counts nothing twice. A gap in the stream does not leave it with calls that
ended long ago: the snapshot behind the gap replaces what it knew of conversations, and agents are *unknown*, neither
adherent nor not, until they are heard of again. Needs confluent-kafka.
"""

from __future__ import annotations

import argparse
import json
import signal
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

PLAN = {"alerting", "interacting", "on_queue", "connected"}
"""Routing states in which an agent does what the plan wants; a real plan has one per agent and quarter of an hour."""

_TABLES = """
CREATE TABLE IF NOT EXISTS progress (topic, partition, next_offset, PRIMARY KEY (topic, partition));
CREATE TABLE IF NOT EXISTS agents (
    place, agent, state, since_s REAL, adherent_s REAL DEFAULT 0, observed_s REAL DEFAULT 0,
    PRIMARY KEY (place, agent));
CREATE TABLE IF NOT EXISTS conversations (place, conversation, state, PRIMARY KEY (place, conversation));
CREATE TABLE IF NOT EXISTS snapshots (place PRIMARY KEY, snapshot);
CREATE TABLE IF NOT EXISTS staged (place, conversation, state, PRIMARY KEY (place, conversation));
"""


class Adherence:
    """The state of the floor. A *place* is a stream in a partition: all of a key's records are in one, in order."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(_TABLES)

    def apply(self, place: str, headers: Mapping[str, str], value: bytes) -> None:
        """Take in one record."""
        kind = headers["ce_type"]
        if kind.endswith(".snapshot.begin"):
            self._begin(place, headers["ce_snapshotid"])
        elif kind.endswith(".snapshot.end"):
            self._end(place, headers["ce_snapshotid"])
        elif kind.endswith(".snapshot"):
            self._stage(place, json.loads(value))
        elif kind == "agent.state":
            self._agent(place, json.loads(value), _seconds(headers["ce_time"]))
        elif kind.startswith("conversation."):
            self._conversation(place, kind, json.loads(value))

    def _begin(self, place: str, snapshot: str) -> None:
        """A snapshot begins; whatever an older one without an end has brought is void."""
        self._db.execute("DELETE FROM staged WHERE place = ?", (place,))
        self._db.execute("REPLACE INTO snapshots VALUES (?, ?)", (place, snapshot))

    def _stage(self, place: str, conversation: dict[str, Any]) -> None:
        row = (place, conversation["conversationId"], conversation.get("state"))
        self._db.execute("REPLACE INTO staged VALUES (?, ?, ?)", row)

    def _end(self, place: str, snapshot: str) -> None:
        """The snapshot is whole: it is the truth now, and what is absent from it has ended."""
        if self._db.execute("DELETE FROM snapshots WHERE (place, snapshot) = (?, ?)", (place, snapshot)).rowcount == 0:
            return
        self._db.execute("DELETE FROM conversations WHERE place = ?", (place,))
        self._db.execute("INSERT INTO conversations SELECT * FROM staged WHERE place = ?", (place,))
        self._db.execute("DELETE FROM staged WHERE place = ?", (place,))
        self._db.execute("UPDATE agents SET state = NULL WHERE place = ?", (place,))

    def _agent(self, place: str, event: dict[str, Any], at_s: float) -> None:
        """Count the time in the former state, unless it is unknown; then the new one holds."""
        agent = event["agentId"]
        row = self._db.execute(
            "SELECT state, since_s FROM agents WHERE (place, agent) = (?, ?)", (place, agent)
        ).fetchone()
        if row is None:
            self._db.execute("INSERT INTO agents (place, agent) VALUES (?, ?)", (place, agent))
        elif row[0] is not None:
            observed_s = max(0.0, at_s - row[1])
            self._db.execute(
                "UPDATE agents SET adherent_s = adherent_s + ?, observed_s = observed_s + ? "
                "WHERE (place, agent) = (?, ?)",
                (observed_s if row[0] in PLAN else 0.0, observed_s, place, agent),
            )
        self._db.execute(
            "UPDATE agents SET state = ?, since_s = ? WHERE (place, agent) = (?, ?)",
            (event["routingStatus"], at_s, place, agent),
        )

    def _conversation(self, place: str, kind: str, event: dict[str, Any]) -> None:
        key = (place, event["conversationId"])
        if kind == "conversation.end":
            self._db.execute("DELETE FROM conversations WHERE (place, conversation) = (?, ?)", key)
        else:
            self._db.execute("REPLACE INTO conversations VALUES (?, ?, ?)", (*key, event.get("state")))

    def report(self) -> dict[str, Any]:
        """Adherence by agent in percent, and the conversations that are going on."""
        agents = self._db.execute(
            "SELECT agent, round(100 * adherent_s / observed_s, 1) FROM agents WHERE observed_s > 0 ORDER BY agent"
        )
        conversations = self._db.execute("SELECT conversation FROM conversations ORDER BY conversation")
        return {"adherence_percent": dict(agents), "conversations": [row[0] for row in conversations]}


def follow(kafka: str, topic: str, db: sqlite3.Connection) -> None:
    """Read on from where the file says, for ever; a batch and its offsets are one transaction of the file."""
    adherence = Adherence(db)
    config: dict[str, Any] = {
        "bootstrap.servers": kafka,
        "group.id": "wfm-adherence",  # not joined: the file says where to go on, not Kafka
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    }
    with closing(Consumer(config)) as consumer:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        known = dict(db.execute("SELECT partition, next_offset FROM progress WHERE topic = ?", (topic,)))
        consumer.assign([TopicPartition(topic, number, known.get(number, 0)) for number in partitions])
        while True:
            batch = consumer.consume(500, timeout=1.0)
            with db:
                for message in _records(batch):
                    headers = _headers(message)
                    adherence.apply(f"{headers['ce_source']}#{message.partition()}", headers, message.value() or b"")
                    row = (topic, message.partition(), (message.offset() or 0) + 1)
                    db.execute("REPLACE INTO progress VALUES (?, ?, ?)", row)


def _records(batch: list[Message]) -> Iterator[Message]:
    for message in batch:
        error = message.error()
        if error is None:
            yield message
        elif error.fatal() or error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED):
            raise KafkaException(error)  # anything else the client mends by itself


def _headers(message: Message) -> dict[str, str]:
    pairs = cast("list[tuple[str, bytes]]", message.headers() or [])
    return {name: value.decode() for name, value in pairs}


def _seconds(rfc3339: str) -> float:
    return datetime.fromisoformat(rfc3339).timestamp()


def main() -> None:
    """Read the command line; follow the topic, or report."""
    parser = argparse.ArgumentParser(description="Adherence to plan from contact-centre events.")
    parser.add_argument("--state", required=True, metavar="FILE", help="the SQLite file")
    parser.add_argument("--kafka", default="127.0.0.1:9092", metavar="HOST:PORT")
    parser.add_argument("--topic", default="ccaas.events")
    parser.add_argument("--report", action="store_true", help="print what the file knows, as JSON")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with closing(sqlite3.connect(arguments.state)) as db:
        if arguments.report:
            print(json.dumps(Adherence(db).report(), indent=1))  # noqa: T201  # its output
            return
        try:
            follow(arguments.kafka, arguments.topic, db)
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
