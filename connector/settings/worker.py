"""Sections about the worker itself: its memory, the pace of rotations and recovery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from connector.settings.fields import Document, Integer, PositiveSeconds, Seconds, Section, checked
from connector.settings.secret_files import Fault


class WorkerBufferSettings(Section):
    """Memory of the worker."""

    worker_bytes: Integer = Field(
        default=536_870_912,
        ge=1_048_576,
        description=(
            "Most bytes of events in hand over all streams: both sockets, the producer's queue, "
            "and the batch kept for sending again. Beyond it sockets are not read; nothing is dropped. "
            "A sixteenth is kept for the streams in equal parts, so that none stands still for the others' sake."
        ),
    )


def _rotation_faults(rotation: Document) -> Iterator[Fault]:
    match rotation.get("jitter_seconds"):
        case [int() | float() as least, int() | float() as most] if least > most:
            yield Fault(("jitter_seconds",), "should be two numbers, the smaller first")
        case _:
            return


class RotationSettings(Section):
    """How streams change to a new token. A rotation never backs off."""

    jitter_seconds: tuple[Annotated[Seconds, Field(le=60)], Annotated[Seconds, Field(le=60)]] = Field(
        default=(0.05, 0.1), description="Least and most random delay before a stream's new socket opens."
    )
    max_parallel: Integer = Field(
        default=50,
        ge=1,
        le=10_000,
        description="Most sockets that this worker opens at once, at a rotation or at the start of its streams.",
    )
    _checked = checked(_rotation_faults)


def _network_faults(network: Document) -> Iterator[Fault]:
    first = network.get("backoff_seconds", 1)
    most = network.get("backoff_max_seconds", 30)
    if isinstance(first, int | float) and isinstance(most, int | float) and first > most:
        yield Fault(("backoff_seconds",), "should be at most backoff_max_seconds")


class NetworkSettings(Section):
    """How streams recover from a lost network. Rotations neither use nor change this state."""

    backoff_seconds: PositiveSeconds = Field(
        default=1, le=3600, description="Back-off after the first failure; doubles with each, with full jitter."
    )
    backoff_max_seconds: PositiveSeconds = Field(default=30, le=3600, description="Longest back-off.")
    breaker_failures: Integer = Field(
        default=5, ge=1, le=1000, description="Failures in a row that open the circuit breaker."
    )
    breaker_seconds: PositiveSeconds = Field(
        default=30, le=3600, description="How long the breaker stays open before it probes by itself."
    )
    _checked = checked(_network_faults)
