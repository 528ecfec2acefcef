"""``kafka.client``: any librdkafka property, but those that the delivery protocol owns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import BeforeValidator, SecretStr

from connector.settings.fields import Document
from connector.settings.secret_files import Fault

PropertyValue = str | int | float | bool | SecretStr

_SECRET = re.compile(r"password|secret|passphrase|\.pem$|oauthbearer\.config|private\.key\.pem")

_INCOMPLETE = "Failed to create admin client: "  # each property is known, but they don't fit together
_EXACTLY_ONCE = "exactly-once delivery depends on it"
_OFFSETS = "positions are committed in the transaction with their events"
_MEMBERSHIP = "set by membership and by the worker's deadlines"
_BATCH = "derived from the topics' limits, so that no batch is refused"
_OWNED = {
    "bootstrap.servers": "set by kafka.bootstrap_servers",
    "metadata.broker.list": "set by kafka.bootstrap_servers",
    "transactional.id": "each lane has its own; it fences the lane's former owner",
    "transaction.timeout.ms": "readers wait that long for a dead worker's transaction",
    "enable.idempotence": _EXACTLY_ONCE,
    "enable.gapless.guarantee": _EXACTLY_ONCE,
    "acks": _EXACTLY_ONCE,
    "request.required.acks": _EXACTLY_ONCE,
    "max.in.flight": _EXACTLY_ONCE,
    "max.in.flight.requests.per.connection": _EXACTLY_ONCE,
    "retries": _EXACTLY_ONCE,
    "message.send.max.retries": _EXACTLY_ONCE,
    "message.timeout.ms": _EXACTLY_ONCE,
    "delivery.timeout.ms": _EXACTLY_ONCE,
    "delivery.report.only.error": "the checkpoint holds the offsets of delivered records",
    "produce.offset.report": "the checkpoint holds the offsets of delivered records",
    "retry.backoff.ms": "a commit slower than it makes the lane take a new producer",
    "retry.backoff.max.ms": "a commit slower than retry.backoff.ms makes the lane take a new producer",
    "isolation.level": "a checkpoint of an open transaction must not be read",
    "partitioner": "records are partitioned as Java's clients do, so that co-partitioned joins work",
    "group.id": "set by group",
    "group.protocol": "set by membership.protocol",
    "group.remote.assignor": _MEMBERSHIP,
    "partition.assignment.strategy": _MEMBERSHIP,
    "session.timeout.ms": "set by membership.session_timeout_seconds",
    "heartbeat.interval.ms": "set by membership.heartbeat_seconds",
    "max.poll.interval.ms": _MEMBERSHIP,
    "enable.auto.commit": _OFFSETS,
    "auto.commit.enable": _OFFSETS,
    "auto.commit.interval.ms": _OFFSETS,
    "enable.auto.offset.store": _OFFSETS,
    "auto.offset.reset": _OFFSETS,
    "enable.partition.eof": "a checkpoint partition is read to its high watermark",
    "allow.auto.create.topics": "set by topics.create",
    "linger.ms": "set by commit.linger_seconds",
    "queue.buffering.max.ms": "set by commit.linger_seconds",
    "queue.buffering.max.messages": "set by commit and buffer",
    "queue.buffering.max.kbytes": "set by commit and buffer",
    "batch.size": _BATCH,
    "batch.num.messages": _BATCH,
    "message.max.bytes": _BATCH,
    "max.request.size": _BATCH,
}


def is_secret_property(name: str) -> bool:
    """Whether a client property's value must never be shown."""
    return _SECRET.search(name) is not None


def property_faults(client: Document) -> Iterator[Fault]:
    """Properties that the bridge owns, callbacks, which no file can hold, and what librdkafka itself refuses."""
    sound: dict[str, str | int | float] = {}
    for name, value in client.items():
        if name in _OWNED:
            yield Fault((name,), f"belongs to the bridge: {_OWNED[name]}")
        elif str(name).endswith("_cb"):
            yield Fault((name,), "callbacks cannot be configured")
        elif isinstance(value, str | int | float | SecretStr):
            refusal = _refusal({str(name): reveal(value)})
            if refusal is None or refusal.startswith(_INCOMPLETE):
                sound[str(name)] = reveal(value)
            else:
                yield Fault((name,), refusal)
    if (refusal := _refusal(sound)) is not None:
        yield Fault((), refusal.removeprefix(_INCOMPLETE))


def _refusal(properties: dict[str, str | int | float]) -> str | None:
    """What librdkafka says of properties, without a value; no broker is asked, since none is named."""
    try:
        AdminClient({"log_level": 0, **properties})
    except KafkaException as error:
        text = error.args[0].str().strip()
        return re.sub(r'value "?\S+"? (for|is)', r"value \1", text) if not text.startswith(_INCOMPLETE) else text
    except (TypeError, ValueError):
        return "is not understood by librdkafka"
    return None


def _client_value(value: Any) -> PropertyValue:  # noqa: ANN401  # whatever the file holds
    if isinstance(value, str | int | float | bool | SecretStr):
        return value
    raise ValueError("should be a string, a number or a boolean")


def hide_secrets(client: Any) -> Any:  # noqa: ANN401  # whatever the file holds
    """Wrap the values of secret properties, so that no representation of the settings shows them."""
    if not isinstance(client, Mapping):
        return client
    return {
        name: SecretStr(str(value)) if isinstance(value, str | int | float) and is_secret_property(str(name)) else value
        for name, value in client.items()
    }


def reveal(value: PropertyValue) -> str | int | float:
    """A property's value as librdkafka takes it: secrets in the open, booleans as ``true`` and ``false``."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    return value


ClientValue = Annotated[PropertyValue, BeforeValidator(_client_value)]
