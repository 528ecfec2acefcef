"""Spans of a real bridge at an OTLP collector; a collector that is away harms nobody."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from connector.logs_reference import SPANS
from tests.support.maven_broker import free_ports
from tests.support.scenario import Scenario, platform
from tests.support.stage import Stage


class Collector:
    """Takes traces by OTLP over HTTP (protobuf), and keeps them."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        application = web.Application(client_max_size=1 << 24)
        application.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(application)
        self.url = ""

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def named(self, name: str) -> list[Span]:
        """Spans of this name, in the order of their arrival."""
        return [span for span in self.spans if span.name == name]

    async def _take(self, request: web.Request) -> web.Response:
        told = ExportTraceServiceRequest()
        told.ParseFromString(await request.read())
        for traced in told.resource_spans:
            self.resources.append({pair.key: pair.value.string_value for pair in traced.resource.attributes})
            for scope in traced.scope_spans:
                self.spans.extend(scope.spans)
        return web.Response(content_type="application/x-protobuf")


async def test_a_rotation_is_one_trace_at_the_collector(stage: Stage) -> None:
    """Token request, rotation, connect; commits beside them; names as in the log; no span of single events."""
    async with Collector() as collector:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_SERVICE_NAME": "wfm",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        settings = platform(rate=200, token_life_s=4)
        async with Scenario(stage, settings, env=env, refresh_buffer_s=1, tracing=True) as it:
            await it.ready()
            await it.rotated(2)
            await it.finish()
    by_id = {span.span_id: span for span in collector.spans}
    rotation = collector.named("rotation")[0]
    connects = [span for span in collector.named("connect") if span.parent_span_id == rotation.span_id]
    assert len(connects) == 1
    assert by_id[rotation.parent_span_id].name == "token_request"
    assert rotation.start_time_unix_nano <= connects[0].start_time_unix_nano
    assert connects[0].end_time_unix_nano <= rotation.end_time_unix_nano
    assert {span.name for span in collector.spans} == set(SPANS)
    told = {pair.key: pair.value for pair in rotation.attributes}
    assert told["ccaas.stream"].string_value == "wfm"
    assert it.story("rotation done", signal="rotation")[0]["how"] == told["ccaas.how"].string_value
    assert all(resource["service.name"] == "wfm" for resource in collector.resources)
    assert all(resource["service.namespace"] == it.group for resource in collector.resources)


async def test_collector_that_is_away_harms_nothing(stage: Stage) -> None:
    """Events flow, the log is not flooded, and the worker stops as fast as ever."""
    (port,) = free_ports(1)
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_SCHEDULE_DELAY": "200"}
    async with Scenario(stage, platform(rate=200, token_life_s=4), env=env, refresh_buffer_s=1, tracing=True) as it:
        await it.ready()
        await it.rotated(2)
        await it.finish()
        lines = [line for line in it.worker.log_lines() if "opentelemetry" in line.get("logger", "")]
    assert len(lines) < 10
