"""``streams[]``: one subscription and where its events go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from connector.settings.addresses import JsonPointer, Name, NonEmpty, TopicName
from connector.settings.fields import Document, Integer, Section, checked
from connector.settings.notifications import Topic
from connector.settings.registry import Value, schema_faults
from connector.settings.secret_files import Fault

Start = Literal["earliest", "latest", "snapshot"] | int
_LARGEST_POSITION = 2**63 - 1
_KEYS = ("/conversationId", "/userId", "/agentId", "/queueId")


def _start(value: Any) -> Any:  # noqa: ANN401  # whatever the file holds
    if value in ("earliest", "latest", "snapshot"):
        return value
    digits = str(value)
    if isinstance(value, int | str) and digits.isascii() and digits.isdigit() and int(digits) <= _LARGEST_POSITION:
        return int(digits)
    raise ValueError("should be earliest, latest, snapshot or a position, an integer of at least 0")


def _glob(pattern: str) -> str:
    if pattern.count("[") != pattern.count("]"):
        raise ValueError("should be a glob: *, ? and [characters], each bracket closed")
    return pattern


class TopicForm(NamedTuple):
    """How a topic's values are written."""

    topic: str
    value: Value
    schema_file: Path | None


Glob = Annotated[str, Field(min_length=1), AfterValidator(_glob)]


class MatchSettings(Section):
    """Which events a route takes."""

    event_type: Glob = Field(
        description="Glob over the event's type as the platform wrote it: `*`, `?`, `[…]`; case matters."
    )


class RouteSettings(Section):
    """A topic for some of a stream's events."""

    match: MatchSettings = Field(description="Which events.")
    topic: TopicName = Field(description="Their topic.")
    priority: Literal["normal", "high"] = Field(
        default="normal", description="`high`: such an event is committed at once; the order stays."
    )
    redact: list[JsonPointer] = Field(
        default_factory=list, max_length=64, description="More JSON pointers that become null, besides the stream's."
    )
    value: Value | None = Field(default=None, description="As of the stream; null: the stream's, schema and all.")
    schema_file: Path | None = Field(default=None, description="As of the stream, for this topic.")
    drop: bool = Field(
        default=False,
        description="Drop the content: the value becomes `null`. Headers, position and key stay: nothing is missing.",
    )
    _checked = checked(schema_faults)


class StreamBufferSettings(Section):
    """Memory of a stream. When it is full, its socket is not read."""

    events: Integer = Field(default=5000, ge=1, le=10_000_000, description="Most events in hand.")
    bytes: Integer = Field(default=16_777_216, ge=1024, description="Most bytes of events in hand.")


def _redaction_faults(stream: Document) -> Iterator[Fault]:
    """What is taken out of the value must not be the record's key: there it would stay."""
    keys, routes = stream.get("key", list(_KEYS)), stream.get("routes")
    sections: list[tuple[tuple[str | int, ...], object]] = [((), stream)]
    sections += [(("routes", number), route) for number, route in enumerate(routes if isinstance(routes, list) else ())]
    for place, section in sections:
        pointers = section.get("redact") if isinstance(section, Mapping) else None
        for number, pointer in enumerate(pointers if isinstance(pointers, list) else ()):
            for key in keys if isinstance(keys, list) else ():
                if f"{key}/".startswith(f"{pointer}/"):
                    yield Fault(
                        (*place, "redact", number), f"takes out {key}, which the record's key would still hold; set key"
                    )


def _stream_faults(stream: Document) -> Iterator[Fault]:
    yield from _redaction_faults(stream)
    yield from schema_faults(stream)


class StreamSettings(Section):
    """One subscription and where its events go."""

    name: Name = Field(description="Its name for ever: positions, lane and `ce_source` depend on it.")
    platform: str = Field(description="Name of its platform in `platforms`.")
    topic: TopicName = Field(description="Topic of the events that no route takes.")
    channel: NonEmpty | None = Field(default=None, description="What `{channel}` stands for; by default the name.")
    subscribe: list[Topic] = Field(
        default_factory=list,
        max_length=1000,
        description=(
            "Only of `genesys-notifications`: the topics; `{id}` stands for every queue or user whose name `queues` or "
            "`users` takes."
        ),
    )
    queues: list[Glob] = Field(
        default_factory=lambda: ["*"], description="Globs over names of queues, for `{id}` in `subscribe`."
    )
    users: list[Glob] = Field(
        default_factory=lambda: ["*"], description="Globs over names of users, for `{id}` in `subscribe`."
    )
    start: Annotated[Start, BeforeValidator(_start)] = Field(
        default="latest",
        description=(
            "Where a stream without checkpoint begins: `earliest` (position 0), `latest` (the present), "
            "`snapshot` (the platform's state, then the present) or after a position."
        ),
    )
    on_gap: Literal["snapshot", "continue", "stop"] = Field(
        default="snapshot",
        description="What follows a gap record; `snapshot` means `continue` on a platform that has none.",
    )
    key: list[JsonPointer] = Field(
        default_factory=lambda: list(_KEYS),
        max_length=16,
        description="JSON pointers of the record key, the first present; at last the stream's name.",
    )
    type: JsonPointer = Field(default="/eventType", description="JSON pointer of the event's type.")
    time: JsonPointer = Field(default="/eventTime", description="JSON pointer of the event's time.")
    type_prefix: Annotated[str, Field(pattern=r"^[\x21-\x7e]*$", max_length=200)] = Field(
        default="", description="Put before the type in `ce_type`."
    )
    value: Value = Field(
        default="raw",
        description=(
            "`raw`: the platform's event byte for byte. `json-schema`, `avro`: by a schema in `schema_registry`, in "
            "Confluent's wire format; what does not fit it is a dead letter."
        ),
    )
    schema_file: Path | None = Field(
        default=None, description="The topic's schema; null: the newest version of subject `{topic}-value`."
    )
    redact: list[JsonPointer] = Field(
        default_factory=list,
        max_length=64,
        description=(
            "JSON pointers of what must not reach Kafka: it becomes null in events and snapshots, and the header "
            "`redacted` names it. All else keeps its bytes. Must not touch `key`."
        ),
    )
    routes: list[RouteSettings] = Field(default_factory=list, description="The first that matches wins, else `topic`.")
    buffer: StreamBufferSettings = Field(default_factory=StreamBufferSettings, description="Memory of the stream.")

    _checked = checked(_stream_faults)

    @property
    def channel_name(self) -> str:
        """What ``{channel}`` in the platform's URL stands for; not yet quoted."""
        return self.channel if self.channel is not None else self.name

    def topics(self) -> Iterator[str]:
        """Every event topic the stream may write, each once, ``topic`` first."""
        yield from dict.fromkeys([self.topic, *(route.topic for route in self.routes)])

    def forms(self) -> Iterator[TopicForm]:
        """How each event topic's values are written; ``topic`` first."""
        own = TopicForm(self.topic, self.value, self.schema_file)
        yield own
        for route in self.routes:
            yield (
                own._replace(topic=route.topic)
                if route.value is None
                else TopicForm(route.topic, route.value, route.schema_file)
            )
