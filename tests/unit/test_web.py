"""The worker's HTTP listener, over a real socket of loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_metrics

from connector.errors import ConfigurationError
from connector.web.metrics import Metrics
from connector.web.server import WebServer


class Web:
    """A listener, what it is told, and a client."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self.metrics = Metrics()
        self.reasons: list[str] = []
        self.server = WebServer(self.metrics.registry, lambda: self.reasons)
        self.client = client

    def url(self, path: str) -> str:
        """Of the first listener."""
        host, port = self.server.addresses[0]
        return f"http://{host}:{port}{path}"


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    """A listener on a free port."""
    async with aiohttp.ClientSession() as client:
        web = Web(client)
        await web.server.start("127.0.0.1:0")
        yield web
        await web.server.stop()


async def test_live_whatever_happens(web: Web) -> None:
    """Live while the loop runs: a restart cures no Kafka."""
    web.reasons = ["Kafka is away"]
    async with web.client.get(web.url("/health/live")) as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "live"})


async def test_ready_tells_why_not(web: Web) -> None:
    """503 with the reasons, 200 without any."""
    web.reasons = ["lane 3: opening", "stream wfm: dialing"]
    async with web.client.get(web.url("/health/ready")) as answer:
        assert (answer.status, await answer.json()) == (503, {"ready": False, "reasons": web.reasons})
    web.reasons = []
    async with web.client.get(web.url("/health/ready")) as answer:
        assert (answer.status, await answer.json()) == (200, {"ready": True, "reasons": []})


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        ("", "text/plain", plain_metrics),
        ("application/openmetrics-text; version=1.0.0,text/plain;q=0.5", "application/openmetrics-text", open_metrics),
    ],
)
async def test_metrics_in_either_format(web: Web, accept: str, content_type: str, parse: object) -> None:
    """Negotiated; what comes parses."""
    assert callable(parse)
    web.metrics.events.labels("wfm").inc(3)
    async with web.client.get(web.url("/metrics"), headers={"Accept": accept}) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith(content_type)
        samples = {
            (sample.name, sample.labels.get("stream")): sample.value
            for family in parse(await answer.text())
            for sample in family.samples
        }
    assert samples["ccaas_events_total", "wfm"] == 3


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics", "/nothing"])
async def test_security_headers_on_every_answer(web: Web, path: str) -> None:
    """Also where there is nothing."""
    async with web.client.get(web.url(path)) as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert (answer.status == 404) is (path == "/nothing")


async def test_only_reading_is_allowed(web: Web) -> None:
    """Nothing can be changed here."""
    async with web.client.post(web.url("/metrics")) as answer:
        assert answer.status == 405


async def test_listens_at_a_second_address(web: Web) -> None:
    """For probes apart."""
    await web.server.start("127.0.0.1:0")
    assert len(web.server.addresses) == 2
    host, port = web.server.addresses[1]
    async with web.client.get(f"http://{host}:{port}/health/live") as answer:
        assert answer.status == 200


async def test_taken_address_is_told(web: Web) -> None:
    """A port that another has is a fault of the configuration, not a traceback."""
    _, port = web.server.addresses[0]
    other = WebServer(web.metrics.registry, list)
    with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}"):
        await other.start(f"127.0.0.1:{port}")
    assert other.addresses == []


def test_metric_names_and_labels() -> None:
    """One prefix, described, labels bounded; rotation and network share no metric."""
    families = [family for family in Metrics().registry.collect() if family.name.startswith("ccaas_")]
    assert len(families) > 20
    allowed = {
        "stream",
        "platform",
        "lane",
        "topic",
        "class",
        "reason",
        "how",
        "why",
        "state",
        "outcome",
        "cause",
        "kind",
    }
    for family in families:
        assert family.documentation
        assert {label for sample in family.samples for label in sample.labels} <= allowed | {"version", "le"}


def test_two_workers_in_one_process_share_nothing() -> None:
    """Each has its own registry."""
    one, other = Metrics(), Metrics()
    one.events.labels("wfm").inc()
    assert one.registry.get_sample_value("ccaas_events_total", {"stream": "wfm"}) == 1
    assert other.registry.get_sample_value("ccaas_events_total", {"stream": "wfm"}) is None
