"""Reading event topics for what a lost checkpoint said."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import cast

import orjson
from confluent_kafka import Message

from connector.audit.reading import Progress, Reading
from connector.core.envelope import StreamIdentity
from connector.core.instants import read_time
from connector.core.recovery import StreamRecovery
from connector.errors import PrerequisiteError
from connector.kafka.client import KafkaClient
from connector.model import Checkpoint, DeadLetterId
from connector.settings import StreamSettings

_OPEN_TRANSACTION_S = 45.0


def recover(
    client: KafkaClient, streams: Collection[StreamSettings], topics: Collection[str], progress: Progress
) -> list[Checkpoint]:
    """The checkpoints that the records of these streams speak for. ``topics``: event topics beside the configuration's.

    Raises KafkaException, and ``PrerequisiteError`` where a transaction stays open: nothing is known then.
    """
    records = _Records(client, streams)
    reading = Reading(client.common(), records.take, _OPEN_TRANSACTION_S, progress)
    reading.read([client.gaps_topic, client.dead_letter_topic, *(t for s in streams for t in s.topics()), *topics])
    if reading.unread:
        at = reading.unread[0]
        raise PrerequisiteError(
            f"{at.topic}, partition {at.partition}: a transaction is open from offset {at.position} on"
        )
    return [found for each in records.of_stream.values() if (found := each.checkpoint()) is not None]


class _Records:
    """Hands each record to its stream."""

    def __init__(self, client: KafkaClient, streams: Collection[StreamSettings]) -> None:
        self.of_stream = {stream.name: StreamRecovery(stream.name) for stream in streams}
        self._of_source = {
            StreamIdentity(client.group, stream.platform, stream.name).source.encode(): self.of_stream[stream.name]
            for stream in streams
        }
        self._gaps, self._dead_letters = client.gaps_topic, client.dead_letter_topic

    def take(self, message: Message) -> None:
        topic = message.topic() or ""
        if topic == self._gaps:
            self._gap(message)
        elif topic == self._dead_letters:
            self._dead_letter(message)
        else:
            self._event(topic, message)

    def _event(self, topic: str, message: Message) -> None:
        headers = _headers(message)
        stream = self._of_source.get(headers.get("ce_source", b""))
        if stream is None:
            return
        stream.written(topic, message.partition() or 0, message.offset() or 0)
        epoch, _, position = headers.get("ce_id", b"").partition(b"/")
        if "ce_snapshotid" not in headers and epoch.isdigit() and position.isdigit():
            moment = read_time(headers.get("ce_time", b"").decode(errors="replace"))
            stream.event((int(epoch), int(position)), None if moment is None else moment[0])

    def _gap(self, message: Message) -> None:
        stream = self.of_stream.get((message.key() or b"").decode(errors="replace"))
        if stream is None:
            return
        with suppress(ValueError, TypeError, KeyError):  # a record that the bridge did not write
            record = orjson.loads(message.value() or b"{}")
            stream.accounted((record["epoch"], int(record["to"])))

    def _dead_letter(self, message: Message) -> None:
        headers = _headers(message)
        stream = self.of_stream.get(headers.get("stream", b"").decode(errors="replace"))
        if stream is None or "ce_snapshotid" in headers:
            return
        with suppress(ValueError, KeyError):  # a record that the bridge did not write
            epoch = int(headers["epoch"])
            if "position" in headers:
                stream.accounted((epoch, int(headers["position"])))
            else:
                letter = DeadLetterId(int(headers["ordinal"]), headers["sha256"].decode(), "covers" in headers)
                stream.dead_letter((epoch, int(headers["after_position"])), letter)


def _headers(message: Message) -> dict[str, bytes]:
    pairs = cast("list[tuple[str, str | bytes | None]]", message.headers() or [])
    return {name: value.encode() if isinstance(value, str) else value for name, value in pairs if value is not None}
