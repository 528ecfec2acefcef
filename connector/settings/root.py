"""The whole configuration, and what must fit between its sections."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from connector.settings.addresses import Name
from connector.settings.fields import Document, Integer, checked
from connector.settings.http import HttpSettings
from connector.settings.kafka import CommitSettings, KafkaSettings, MembershipSettings, TopicsSettings
from connector.settings.kinds import AnyPlatform, AnyPlatformSettings
from connector.settings.notifications import KIND, STREAM_DEFAULTS
from connector.settings.redis import RedisSettings
from connector.settings.registry import SchemaRegistrySettings
from connector.settings.secret_files import Fault
from connector.settings.stream import StreamBufferSettings, StreamSettings
from connector.settings.worker import (
    NetworkSettings,
    RotationSettings,
    WorkerBufferSettings,
)

ENV_PREFIX = "CCAAS__"
ENV_DELIMITER = "__"
_SUBSCRIBING = ("subscribe", "queues", "users")
INTERNAL_TOPICS = ("checkpoints", "gaps", "dead-letter", "control", "notifications")


def _version(number: int) -> int:
    if number != 1:
        raise ValueError("this release reads version 1")
    return number


def _mappings(value: object) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The members of a list that are mappings or models, each with its place; nothing for anything else."""
    for index, item in enumerate(value if isinstance(value, list) else []):
        if isinstance(item, Mapping):
            yield index, item


def _duplicates(document: Document) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for index, stream in _mappings(document.get("streams")):
        name = stream.get("name")
        if isinstance(name, str) and seen.setdefault(name, index) != index:
            yield Fault(("streams", index, "name"), f"is the name of streams.{seen[name]} too")
    folded: dict[str, str] = {}
    platforms = document.get("platforms")
    for name in platforms if isinstance(platforms, Mapping) else ():
        if folded.setdefault(env_segment(str(name)), str(name)) != str(name):
            yield Fault(
                ("platforms", name), f"has the same name in the environment as {folded[env_segment(str(name))]}"
            )


def _references(document: Document) -> Iterator[Fault]:
    platforms = document.get("platforms")
    if not isinstance(platforms, Mapping):
        return
    known = ", ".join(map(str, platforms)) or "none"
    for index, stream in _mappings(document.get("streams")):
        name = stream.get("platform")
        if not isinstance(name, str):
            continue
        if name not in platforms:
            yield Fault(("streams", index, "platform"), f"is not among the platforms: {known}")
            continue
        platform, start = platforms[name], stream.get("start", "latest")
        if not isinstance(platform, Mapping):
            continue
        if platform.get("kind") == KIND:
            continue
        if start == "snapshot" and platform.get("snapshot_url") is None:
            yield Fault(("streams", index, "start"), f"needs platforms.{name}.snapshot_url")
        if platform.get("resume") == "none" and start not in ("latest", "snapshot"):
            yield Fault(("streams", index, "start"), f"needs a position, but platforms.{name}.resume is none")


def _subscriptions(document: Document) -> Iterator[Fault]:
    """What the streams of a platform of channels must say, and others cannot."""
    for index, stream in _mappings(document.get("streams")):
        notifications = _kind_of(document, stream) == KIND
        if notifications and not stream.get("subscribe"):
            yield Fault(("streams", index, "subscribe"), f"required for platforms of kind {KIND}")
        if notifications and stream.get("channel") is not None:
            yield Fault(("streams", index, "channel"), f"means nothing to platforms of kind {KIND}; see subscribe")
        if notifications and stream.get("start", "latest") != "latest":
            yield Fault(("streams", index, "start"), f"should be latest: platforms of kind {KIND} replay nothing")
        for name in () if notifications else _SUBSCRIBING:
            if name in stream:
                yield Fault(("streams", index, name), f"means nothing to platforms of another kind than {KIND}")


def _kind_of(document: Document, stream: Mapping[str, Any]) -> object:
    platforms, name = document.get("platforms"), stream.get("platform")
    platform = platforms.get(name) if isinstance(platforms, Mapping) and isinstance(name, str) else None
    return platform.get("kind") if isinstance(platform, Mapping) else None


def _preset(document: Document) -> dict[str, Any]:
    """Streams of a platform of notifications have key, type and time elsewhere, unless they say so themselves."""
    complete, streams = dict(document), document.get("streams")
    if isinstance(streams, list):
        complete["streams"] = [
            {**STREAM_DEFAULTS, **stream}
            if isinstance(stream, Mapping) and _kind_of(document, stream) == KIND
            else stream
            for stream in streams
        ]
    return complete


def _topic_clashes(document: Document) -> Iterator[Fault]:
    group = document.get("group")
    internal = {f"{group}.{name}" for name in INTERNAL_TOPICS}
    for index, stream in _mappings(document.get("streams")):
        if str(stream.get("topic")) in internal:
            yield Fault(("streams", index, "topic"), "is a topic of the bridge itself")
        for number, route in _mappings(stream.get("routes")):
            if str(route.get("topic")) in internal:
                yield Fault(("streams", index, "routes", number, "topic"), "is a topic of the bridge itself")


def _buffer_sizes(document: Document) -> Iterator[Fault]:
    buffer = document.get("buffer")
    whole = buffer.get("worker_bytes") if isinstance(buffer, Mapping) else None
    whole = whole if isinstance(whole, int) else WorkerBufferSettings().worker_bytes
    for index, stream in _mappings(document.get("streams")):
        own = stream.get("buffer", {})
        size = own.get("bytes", StreamBufferSettings().bytes) if isinstance(own, Mapping) else 0
        if isinstance(size, int) and size > whole:
            yield Fault(("streams", index, "buffer", "bytes"), "should be at most buffer.worker_bytes")


def _forms(stream: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], object, object, object]]:
    """Each place that names a topic, with the topic, its value and its schema's file; as the user wrote them."""
    own = stream.get("value", "raw"), stream.get("schema_file")
    yield (), stream.get("topic"), *own
    for number, route in _mappings(stream.get("routes")):
        value = route.get("value")
        yield ("routes", number), route.get("topic"), *(own if value is None else (value, route.get("schema_file")))


def _values(document: Document) -> Iterator[Fault]:
    """A topic has one schema, whoever writes to it, and needs a registry that knows its subject."""
    registry = document.get("schema_registry")
    subject = registry.get("subject", "topic") if isinstance(registry, Mapping) else "topic"
    written: dict[str, tuple[str, str]] = {}
    for index, stream in _mappings(document.get("streams")):
        for place, topic, value, schema_file in _forms(stream):
            at = ("streams", index, *place)
            if value in ("json-schema", "avro"):
                if registry is None:
                    yield Fault((*at, "value"), "needs schema_registry")
                elif schema_file is None and subject != "topic":
                    yield Fault((*at, "schema_file"), f"required with schema_registry.subject: {subject}")
            form = str(value), str(schema_file)
            if written.setdefault(str(topic), form) != form:
                yield Fault((*at, "value"), f"topic {topic} has another value or schema_file elsewhere")


def _faults(document: Document) -> Iterator[Fault]:
    for check in (_duplicates, _references, _subscriptions, _topic_clashes, _buffer_sizes, _values):
        yield from check(document)


def env_segment(name: str) -> str:
    """How a key is written in the name of an environment variable: ``ssl.ca.location`` → ``SSL_CA_LOCATION``."""
    return "".join(letter if letter.isalnum() else "_" for letter in name).upper()


class Settings(BaseSettings):
    """The configuration. Made by :func:`connector.settings.load`; itself it reads no file and no environment."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
    )

    version: Annotated[Integer, AfterValidator(_version)] = Field(default=1, description="Version of this format.")
    group: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")] = Field(
        description="Name of the bridge: its consumer group, and prefix of its own topics and transactional ids."
    )
    kafka: KafkaSettings = Field(description="The cluster.")
    lanes: Integer = Field(
        default=8, ge=1, le=10_000, description="Units of ownership and of transaction; fixed at the first start."
    )
    platforms: dict[Name, AnyPlatformSettings] = Field(min_length=1, description="The platforms by name.")
    streams: list[StreamSettings] = Field(min_length=1, description="The subscriptions.")
    http: HttpSettings = Field(default_factory=HttpSettings, description="Where the worker answers HTTP.")
    schema_registry: SchemaRegistrySettings | None = Field(
        default=None, description="Needed by streams whose `value` is not `raw`."
    )
    redis: RedisSettings | None = Field(default=None, description="Optional: lets workers share tokens.")
    topics: TopicsSettings = Field(default_factory=TopicsSettings, description="How missing topics are made.")
    commit: CommitSettings = Field(default_factory=CommitSettings, description="When a transaction ends.")
    buffer: WorkerBufferSettings = Field(default_factory=WorkerBufferSettings, description="Memory of the worker.")
    rotation: RotationSettings = Field(default_factory=RotationSettings, description="Changing to a new token.")
    network: NetworkSettings = Field(default_factory=NetworkSettings, description="Recovery from a lost network.")
    tracing: bool = Field(
        default=False,
        description=(
            "Send OpenTelemetry spans of token requests, rotations, connects and commits, by OTLP over HTTP. Needs the "
            "extra `otel`; all else is said by the standard environment variables (`OTEL_EXPORTER_OTLP_ENDPOINT` …)."
        ),
    )
    membership: MembershipSettings = Field(
        default_factory=MembershipSettings, description="The worker as a member of the group."
    )
    _checked = checked(_faults, prepare=_preset)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic-settings passes all of these by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what the loader merged, and nothing from the process around it."""
        return (init_settings,)

    def lane_of(self, stream_name: str) -> int:
        """The lane of a stream, frozen for ever: CRC-32 of its name modulo the number of lanes."""
        return zlib.crc32(stream_name.encode()) % self.lanes

    def platform_of(self, stream: StreamSettings) -> AnyPlatform:
        """The platform a stream refers to."""
        return self.platforms[stream.platform]

    def on_gap(self, stream: StreamSettings) -> Literal["snapshot", "continue", "stop"]:
        """What follows a gap: the stream's choice, but ``continue`` where the platform has no snapshot."""
        if stream.on_gap == "snapshot" and not self.platform_of(stream).has_snapshot:
            return "continue"
        return stream.on_gap

    def internal_topic(self, name: Literal["checkpoints", "gaps", "dead-letter", "control", "notifications"]) -> str:
        """The full name of one of the bridge's own topics."""
        return f"{self.group}.{name}"
