"""Sections about Kafka: the cluster, the topics that the bridge makes, its transactions, its place in the group."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from connector.settings.client import ClientValue, hide_secrets, property_faults, reveal
from connector.settings.fields import Document, Integer, Number, Seconds, Section, checked
from connector.settings.secret_files import LOCATION_SUFFIX, Fault, read_member_files

_MAX_PORT = 65535


def _brokers(text: str) -> str:
    for server in text.split(","):
        match = re.fullmatch(r"\s*(?:[A-Za-z_]+://)?(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]/]+)(?::(\d{1,5}))?\s*", server)
        if match is None or not 0 < int(match[2] or 1) <= _MAX_PORT:
            raise ValueError("should be HOST:PORT, several separated by commas")
    return text


def _positive_or_default(number: int) -> int:
    if number != -1 and number < 1:
        raise ValueError("should be at least 1, or -1 for the brokers' default")
    return number


def _with_own_client(kafka: Document) -> dict[str, Any]:
    """A copy whose ``client`` may be changed."""
    client = kafka.get("client")
    return {**kafka, "client": dict(client)} if isinstance(client, Mapping) else dict(kafka)


def _client_faults(kafka: Document) -> Iterator[Fault]:
    """Check ``client``, in which each ``{property}_file`` gives way to its file's content, a secret."""
    client = kafka.get("client")
    if not isinstance(client, dict):
        return
    for fault in [*read_member_files(client), *property_faults(client)]:
        yield Fault(("client", *fault.location), fault.message)


class KafkaSettings(Section):
    """The cluster."""

    bootstrap_servers: Annotated[str, AfterValidator(_brokers)] = Field(
        description="Brokers to ask first: `HOST:PORT`, several separated by commas."
    )
    client: Annotated[dict[str, ClientValue], BeforeValidator(hide_secrets)] = Field(
        default_factory=dict,
        description=(
            "Any librdkafka property for every client of the bridge: TLS, SASL, compression … "
            "`<property>_file` reads a value from a file. Those that exactly-once delivery depends on are refused."
        ),
    )
    _checked = checked(_client_faults, prepare=_with_own_client)

    def files(self) -> tuple[tuple[str, int, int], ...]:
        """Keys and certificates as they are on disk now: path, time of the last change, inode."""
        paths = [str(value) for name, value in self.client.items() if name.endswith(LOCATION_SUFFIX)]
        found = [(path, os.stat(path)) for path in paths if os.path.exists(path)]  # noqa: PTH110, PTH116 - as text
        return tuple((path, at.st_mtime_ns, at.st_ino) for path, at in found)

    def client_properties(self) -> dict[str, str | int | float]:
        """The properties as librdkafka takes them, ``bootstrap.servers`` among them; secrets are in the open."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            **{name: reveal(value) for name, value in self.client.items()},
        }


class TopicsSettings(Section):
    """How topics that are missing are made."""

    create: bool = Field(default=True, description="Create missing topics at start, with the settings they need.")
    partitions: Annotated[Integer, AfterValidator(_positive_or_default)] = Field(
        default=-1,
        description=(
            "Partitions of a new event topic; -1 is the brokers' default. The checkpoint topic has one a lane."
        ),
    )
    replication_factor: Annotated[Integer, AfterValidator(_positive_or_default)] = Field(
        default=-1, description="Replicas of a new topic; -1 is the brokers' default."
    )


class CommitSettings(Section):
    """When a lane ends a transaction."""

    linger_seconds: Seconds = Field(
        default=0.002, le=1, description="How long a commit waits for more events once the former is done."
    )
    max_events: Integer = Field(default=5000, ge=1, le=50_000, description="Most records in one transaction.")
    max_bytes: Integer = Field(default=8_388_608, ge=1024, description="Most bytes of records in one transaction.")
    max_per_second: Number = Field(
        default=200,
        gt=0,
        le=10_000,
        allow_inf_nan=False,
        description="Most transactions a second of the whole worker, shared among its lanes.",
    )


def _membership_faults(membership: Document) -> Iterator[Fault]:
    session = membership.get("session_timeout_seconds", 6)
    heartbeat = membership.get("heartbeat_seconds", 0.3)
    if isinstance(session, int | float) and isinstance(heartbeat, int | float) and heartbeat > session / 3:
        yield Fault(("heartbeat_seconds",), "should be at most a third of session_timeout_seconds")


class MembershipSettings(Section):
    """The worker as a member of the group."""

    session_timeout_seconds: Seconds = Field(
        default=6,
        ge=1,
        le=15,
        description=(
            "A worker silent for so long has lost its lanes (brokers: `group.min.session.timeout.ms`). Under protocol "
            "`consumer` the brokers decide: `group.consumer.session.timeout.ms`, 45 s by default."
        ),
    )
    heartbeat_seconds: Seconds = Field(
        default=0.3,
        ge=0.05,
        description=(
            "Time between heartbeats; at most a third of the session time-out. Under protocol `consumer` the brokers "
            "decide: `group.consumer.heartbeat.interval.ms`, 5 s by default."
        ),
    )
    protocol: Literal["classic", "consumer"] = Field(
        default="classic", description="`classic`: cooperative-sticky; `consumer`: KIP-848, with Kafka 4 or newer."
    )
    _checked = checked(_membership_faults)
