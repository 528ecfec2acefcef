"""Trace context that a platform sends along, and spans made of telemetry."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from connector import telemetry
from connector.auth.events import TokenGranted, TokenReportedDead, TokenRequestFailed
from connector.core.envelope import Envelope, StreamIdentity
from connector.core.routing import Router
from connector.core.tracing import traceparent
from connector.worker.tracing import Tracing
from tests.validation import headers_as_mapping, validate

_TRACE = "0af7651916cd43dd8448eb211c80319c"
_PARENT = f"00-{_TRACE}-b7ad6b7169203331-01"
_OTHER = f"00-{_TRACE}-00f067aa0ba902b7-00"


@pytest.mark.parametrize("good", [_PARENT, f"01-{_TRACE}-b7ad6b7169203331-01-what-the-future-adds", _OTHER])
def test_traceparent_is_passed_on(good: str) -> None:
    """Also of versions to come (section 3.2.4)."""
    assert traceparent(good) == good


@pytest.mark.parametrize(
    "bad",
    [
        None,
        7,
        "",
        _PARENT.upper(),
        _PARENT + "-more",
        f"ff-{_TRACE}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{_TRACE}-{'0' * 16}-01",
        f"{_PARENT}\n",
        f"01-{_TRACE}-b7ad6b7169203331-01-\r\nX: y",
    ],
)
def test_what_is_no_traceparent_is_not_passed_on(bad: object) -> None:
    """A platform's bytes must not become another header."""
    assert traceparent(bad) is None


def _envelope(pointer: str | None) -> Envelope:
    identity, router = StreamIdentity("g", "p", "s"), Router("t", [])
    envelope = Envelope(identity, router, key=["/id"], event_type="/eventType", traceparent=pointer)
    envelope.at(1_772_352_930_123, {})
    return envelope


def _header(envelope: Envelope, document: object) -> object:
    entry, _ = envelope.event(0, 1, None, document, b"{}")
    validate("event-headers", entry.headers)
    return headers_as_mapping(entry.headers).get("traceparent")


def test_event_has_its_own_trace_else_the_newest_handshakes() -> None:
    """What is no trace context counts as none."""
    envelope = _envelope("/trace/parent")
    assert _header(envelope, {"trace": {"parent": _PARENT}}) == _PARENT
    assert _header(envelope, {"trace": {"parent": "mine"}}) is None
    envelope.trace.opened(_OTHER)
    assert _header(envelope, {"trace": {"parent": _PARENT}}) == _PARENT
    assert _header(envelope, {}) == _OTHER
    envelope.trace.opened(None)
    assert _header(envelope, {}) is None


def test_handshakes_trace_needs_no_configuration() -> None:
    """Without a pointer the events themselves are not looked into."""
    envelope = _envelope(None)
    assert _header(envelope, {"traceparent": _PARENT}) is None
    envelope.trace.opened(_OTHER)
    assert _header(envelope, {"traceparent": _PARENT}) == _OTHER


class _Spans:
    """Telemetry in, spans out."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider, {"s": "p"})

    def named(self, name: str) -> list[ReadableSpan]:
        """Ended spans, in the order of their ends."""
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def spans() -> _Spans:
    """None yet."""
    return _Spans()


def _granted(generation: int) -> TokenGranted:
    return TokenGranted("p", generation, None, 60.0, 30.0, None, None, 0.25)


def _dialing(why: str, generation: int) -> telemetry.Dialing:
    return telemetry.Dialing("s", generation, why, generation, 7)


def _is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    context = parent.get_span_context()
    return context is not None and child.parent is not None and child.parent.span_id == context.span_id


def test_a_rotation_is_one_trace(spans: _Spans) -> None:
    """The request brings the token, its rotation dials, and fails once before it is done."""
    tracing = spans.tracing
    tracing.token(_granted(2))
    tracing(_dialing("rotation", 2))
    tracing(telemetry.DialFailed("s", 2, "rotation", 0.1, "handshake_4xx", "rejected (HTTP 409)"))
    tracing(telemetry.Failed("s", "rotation", "handshake_4xx", "rejected (HTTP 409)", 1.0, 0, breaker_open=False))
    tracing(telemetry.StreamState("s", "rotation_due", 1))
    tracing(_dialing("rotation", 2))
    tracing(telemetry.SocketOpened("s", 3, "rotation", 0.1))
    tracing(telemetry.RotationDone("s", 2, "caught_up", 0.2, 1.5))
    tracing(telemetry.StreamState("s", "live", 1))
    (request,), (rotation,), (failed, opened) = (spans.named(n) for n in ("token_request", "rotation", "connect"))
    assert request.parent is None
    assert (request.end_time or 0) - (request.start_time or 0) >= 0.25e9
    assert _is_child(rotation, request)
    assert _is_child(failed, rotation)
    assert _is_child(opened, rotation)
    assert dict(rotation.attributes or {})["ccaas.how"] == "caught_up"
    assert [event.name for event in rotation.events] == ["rotation_failure"]
    assert rotation.status.status_code is StatusCode.UNSET
    assert (failed.status.status_code, (failed.attributes or {})["error.type"]) == (StatusCode.ERROR, "handshake_4xx")


@pytest.mark.parametrize("state", ["backing_off", "live", "stopped"])
def test_rotation_that_comes_to_nothing_is_a_failure(spans: _Spans, state: str) -> None:
    """The old socket was lost, the token refused, the stream stopped."""
    spans.tracing(_dialing("rotation", 2))
    spans.tracing(telemetry.StreamState("s", state, 0))
    (rotation,) = spans.named("rotation")
    assert rotation.status.status_code is StatusCode.ERROR


def test_other_connects_are_traces_of_their_own(spans: _Spans) -> None:
    """A network drop is no rotation; what a stream leaves unfinished ends with it."""
    spans.tracing.token(_granted(1))
    spans.tracing(_dialing("network", 1))
    spans.tracing(telemetry.StreamLeft("s"))
    (connect,) = spans.named("connect")
    assert connect.parent is None
    assert connect.status.status_code is StatusCode.ERROR
    assert spans.named("rotation") == []


def test_token_requests_that_were_made_are_spans(spans: _Spans) -> None:
    """Not one that was left to another worker, nor a token that died. No token in what they say."""
    spans.tracing.token(TokenRequestFailed("p", 503, "Bearer abcdefgh.ijkl", 1.0, 0.0, 0.5))
    spans.tracing.token(TokenRequestFailed("p", None, "paused", 1.0, 0.0, 0.0, asked=False))
    spans.tracing.token(TokenReportedDead("p", 1, 3.0, None, 0.0))
    (request,) = spans.named("token_request")
    assert (request.status.status_code, (request.attributes or {})["error.type"]) == (StatusCode.ERROR, "http_503")
    assert "abcdefgh" not in str(request.to_json())


def test_commit_is_a_span_of_its_lane(spans: _Spans) -> None:
    """From begin to commit, by the lane's own measure."""
    spans.tracing.committed(3, 120, 0.5)
    (commit,) = spans.named("commit")
    assert dict(commit.attributes or {}) == {"ccaas.lane": 3, "ccaas.records": 120}
    assert 0.5e9 <= (commit.end_time or 0) - (commit.start_time or 0) < 0.6e9
