"""Telemetry events → OpenTelemetry spans, under the events' names. Loaded only with ``tracing`` (extra ``otel``).

    token_request ─▶ rotation (of each stream) ─▶ connect       connect (without a rotation)       commit (of a lane)

A token request is the parent of the rotations that its token brings, as one trace. No span of single events.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.util.types import AttributeValue

from connector import __version__, telemetry
from connector.auth.events import SIGNAL, TokenEvent, TokenGranted, TokenReportedDead, TokenRequestFailed
from connector.core.states import State, Why
from connector.logs import redact

_LAST_SPANS_S = 2.0
_GIVES_UP = frozenset({State.AWAITING_TOKEN, State.BACKING_OFF, State.BREAKER_OPEN, State.REFUSED, State.STOPPED})
"""States in which no rotation is under way any more."""


def open_tracing(group: str, worker: str, platform_of: Mapping[str, str]) -> Tracing:
    """As the environment says (OpenTelemetry's specification, "Environment Variables"); it wins over what is here."""
    own = {"service.name": "ccaas-kafka-bridge", "service.namespace": group, "service.instance.id": worker}
    told = OTELResourceDetector().detect().attributes
    resource = Resource.create({**own, "service.version": __version__, **told})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider, platform_of)


class Tracing:
    """Makes the spans. ``committed`` may be called by any thread, all else by the event loop's."""

    def __init__(self, provider: TracerProvider, platform_of: Mapping[str, str]) -> None:
        """``platform_of``: stream → its platform, whose token it uses; follows the configuration."""
        self._provider = provider
        self._tracer = provider.get_tracer("connector", __version__)
        self._platform_of = platform_of
        self._requests: dict[str, Span] = {}
        self._rotations: dict[str, Span] = {}
        self._connects: dict[str, Span] = {}
        self._takes: dict[type[telemetry.Event], Callable[[Any], None]] = {
            telemetry.Dialing: self._dialing,
            telemetry.SocketOpened: self._opened,
            telemetry.DialFailed: self._dial_failed,
            telemetry.RotationDone: self._rotated,
            telemetry.Failed: self._failed,
            telemetry.StreamState: self._moved,
            telemetry.StreamLeft: self._left,
        }

    def __call__(self, event: telemetry.Event) -> None:
        """Take an event of a stream."""
        take = self._takes.get(type(event))
        if take is not None:
            take(event)

    def token(self, event: TokenEvent) -> None:
        """Take an event of a token service."""
        if isinstance(event, TokenReportedDead) or (isinstance(event, TokenRequestFailed) and not event.asked):
            return
        span = self._tracer.start_span(
            SIGNAL, kind=SpanKind.CLIENT, start_time=_ago_ns(event.took_s), attributes=_facts(event)
        )
        if isinstance(event, TokenRequestFailed):
            cause = "unreachable" if event.status is None else f"http_{event.status}"
            _fail(span, cause, event.detail)
        elif isinstance(event, TokenGranted):
            self._requests[event.name] = span
        span.end()

    def committed(self, lane: int, records: int, took_s: float) -> None:
        """A lane committed a transaction."""
        span = self._tracer.start_span(
            telemetry.SIGNALS[telemetry.Committed],
            start_time=_ago_ns(took_s),
            attributes={"ccaas.lane": lane, "ccaas.records": records},
        )
        span.end()

    def close(self) -> None:
        """Send the last spans, for two seconds at most: a collector that is away must not keep the worker; blocks."""
        ending = threading.Thread(target=self._provider.shutdown, name="tracing", daemon=True)
        ending.start()
        ending.join(_LAST_SPANS_S)

    # ------------------------------------------------------------------ a stream

    def _dialing(self, event: telemetry.Dialing) -> None:
        stream = event.stream
        self._end(self._connects, stream, "given_up")
        if event.why == Why.ROTATION and stream not in self._rotations:
            granted = self._requests.get(self._platform_of.get(stream, ""))
            parent = None if granted is None else set_span_in_context(granted)
            self._rotations[stream] = self._tracer.start_span(
                telemetry.SIGNALS[telemetry.RotationDone], parent, attributes={"ccaas.stream": stream}
            )
        rotation = self._rotations.get(stream)
        parent = None if rotation is None else set_span_in_context(rotation)
        self._connects[stream] = self._tracer.start_span(
            telemetry.signal_of(event), parent, kind=SpanKind.CLIENT, attributes=_facts(event)
        )

    def _opened(self, event: telemetry.SocketOpened) -> None:
        self._end(self._connects, event.stream)

    def _dial_failed(self, event: telemetry.DialFailed) -> None:
        self._end(self._connects, event.stream, event.cause, event.detail)

    def _rotated(self, event: telemetry.RotationDone) -> None:
        rotation = self._rotations.get(event.stream)
        if rotation is not None:
            rotation.set_attributes(_facts(event))
        self._end(self._rotations, event.stream)

    def _failed(self, event: telemetry.Failed) -> None:
        """A setback of the rotation, which goes on."""
        rotation = self._rotations.get(event.stream)
        if rotation is not None and event.path == "rotation":
            rotation.add_event(telemetry.signal_of(event), _facts(event))

    def _moved(self, event: telemetry.StreamState) -> None:
        """A rotation that is still there in a state without one has not been done."""
        if event.state in _GIVES_UP or event.state == State.LIVE:
            self._end(self._rotations, event.stream, event.state)
        if event.state == State.STOPPED:
            self._end(self._connects, event.stream, event.state)

    def _left(self, event: telemetry.StreamLeft) -> None:
        for spans in (self._connects, self._rotations):
            self._end(spans, event.stream, "stream_left")

    def _end(self, spans: dict[str, Span], stream: str, cause: str = "", detail: str = "") -> None:
        span = spans.pop(stream, None)
        if span is not None:
            if cause:
                _fail(span, cause, detail)
            span.end()


def _ago_ns(seconds: float) -> int:
    return time.time_ns() - round(seconds * 1e9)


def _fail(span: Span, cause: str, detail: str) -> None:
    span.set_attribute("error.type", cause)
    span.set_status(Status(StatusCode.ERROR, str(redact(None, "", {"detail": detail})["detail"])))


def _facts(event: telemetry.Event | TokenEvent) -> dict[str, AttributeValue]:
    """An event's fields but for those that are unknown; nothing secret, as in the log."""
    facts = {f"ccaas.{field.name}": getattr(event, field.name) for field in fields(event)}
    return redact(None, "", {name: value for name, value in facts.items() if value is not None})  # type: ignore[return-value]  # scalars in, scalars out
