"""The worker's HTTP listener, over a real socket of loopback."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import aiohttp.web
import pytest
import trustme
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_metrics

from connector.core.access import Guard
from connector.core.pace import Pace
from connector.errors import ConfigurationError
from connector.web.metrics import Metrics
from connector.web.probes import probe_routes
from connector.web.server import MAX_REQUEST_BYTES, Listener, tls_context

TOKEN = "operators-token-0123456789"


class Web:
    """A listener, what it is told, and a client."""

    def __init__(self, client: aiohttp.ClientSession, guard: Guard | None = None, pace: Pace | None = None) -> None:
        self.metrics = Metrics()
        self.reasons: list[str] = []
        self.remarks: list[str] = []
        probes = probe_routes(self.metrics.registry, lambda: self.reasons, lambda: self.remarks)
        self.server = Listener([*probes, *_OTHERS], guard, pace=pace)
        self.client = client

    def url(self, path: str) -> str:
        """Of the first listener."""
        host, port = self.server.addresses[0]
        return f"http://{host}:{port}{path}"


async def _broken(_request: aiohttp.web.Request) -> aiohttp.web.Response:
    raise RuntimeError("of all things")


async def _reader(request: aiohttp.web.Request) -> aiohttp.web.Response:
    return aiohttp.web.Response(body=await request.read())


_OTHERS = [aiohttp.web.get("/broken", _broken), aiohttp.web.put("/read", _reader)]


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
        assert (answer.status, await answer.json()) == (503, {"ready": False, "reasons": web.reasons, "remarks": []})


async def test_remarks_make_nothing_unready(web: Web) -> None:
    """What an operator should know, beside 200."""
    web.remarks = ["tokens are not shared"]
    async with web.client.get(web.url("/health/ready")) as answer:
        assert (answer.status, await answer.json()) == (200, {"ready": True, "reasons": [], "remarks": web.remarks})


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


async def test_errors_as_kafka_connect_writes_them(web: Web) -> None:
    """What is not there, what may not be asked so, and what went wrong: never a traceback."""
    for method, path, status, message in (
        ("GET", "/nothing", 404, "HTTP 404 Not Found"),
        ("POST", "/metrics", 405, "HTTP 405 Method Not Allowed"),
        ("GET", "/broken", 500, "an internal error; the worker's log has it"),
    ):
        async with web.client.request(method, web.url(path)) as answer:
            assert (answer.status, await answer.json()) == (status, {"error_code": status, "message": message})


async def test_a_request_too_large_is_refused(web: Web) -> None:
    """Memory is bounded, whoever asks."""
    async with web.client.put(web.url("/read"), data=b"x" * (MAX_REQUEST_BYTES + 1)) as answer:
        assert (answer.status, (await answer.json())["error_code"]) == (413, 413)


@pytest.fixture
async def guarded() -> AsyncIterator[Web]:
    """A listener that asks for a token."""
    async with aiohttp.ClientSession() as client:
        web = Web(client, Guard(TOKEN))
        await web.server.start("127.0.0.1:0")
        yield web
        await web.server.stop()


async def test_a_guarded_listener_asks_for_its_token(guarded: Web) -> None:
    """A browser is asked by Basic; probes are answered without."""
    async with guarded.client.get(guarded.url("/metrics")) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
        assert TOKEN not in await answer.text()
    async with guarded.client.get(guarded.url("/metrics"), headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
        assert answer.status == 200
    async with guarded.client.get(
        guarded.url("/metrics"), headers={"Authorization": aiohttp.encode_basic_auth("me", TOKEN)}
    ) as answer:
        assert answer.status == 200
    async with guarded.client.get(guarded.url("/health/live")) as answer:
        assert answer.status == 200


async def test_an_address_that_asks_too_often_waits() -> None:
    """Told how long; probes go on."""
    async with aiohttp.ClientSession() as client:
        web = Web(client, Guard(TOKEN), Pace(per_s=0.1, burst=1))
        await web.server.start("127.0.0.1:0")
        async with client.get(web.url("/metrics")) as answer:
            assert answer.status == 401
        async with client.get(web.url("/metrics")) as answer:
            assert answer.status == 429
            assert 1 <= int(answer.headers["Retry-After"]) <= 10
        async with client.get(web.url("/health/live")) as answer:
            assert answer.status == 200
        await web.server.stop()


async def test_a_page_of_another_site_changes_nothing() -> None:
    """Over the wire too: on the open listener of loopback, under another name or from another page."""
    async with aiohttp.ClientSession() as client:
        open_one = Web(client, Guard())
        await open_one.server.start("127.0.0.1:0")
        async with client.put(open_one.url("/read"), headers={"Origin": "http://evil.example.com"}) as answer:
            assert answer.status == 403
        async with client.get(open_one.url("/metrics"), headers={"Host": "evil.example.com"}) as answer:
            assert answer.status == 403
        async with client.put(open_one.url("/read"), data=b"ours") as answer:
            assert (answer.status, await answer.read()) == (200, b"ours")
        await open_one.server.stop()


async def test_clients_show_a_certificate(tmp_path: Path) -> None:
    """Of the configured authority; without one, or with another's, the handshake fails."""
    authority, other = trustme.CA(), trustme.CA()
    own = authority.issue_cert("127.0.0.1")
    own.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "own.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = tls_context(str(tmp_path / "own.pem"), str(tmp_path / "key.pem"), str(tmp_path / "ca.pem"))
    listener = Listener(_OTHERS, Guard(certified=True), tls)
    await listener.start("127.0.0.1:0")
    url = f"https://127.0.0.1:{listener.addresses[0][1]}/read"
    async with aiohttp.ClientSession() as client:
        trusted = ssl.create_default_context()
        authority.configure_trust(trusted)
        with pytest.raises((aiohttp.ClientError, OSError)):
            await client.put(url, ssl=trusted)
        authority.issue_cert("operator@example.com").configure_cert(trusted)
        async with client.put(url, ssl=trusted, data=b"ours") as answer:
            assert await answer.read() == b"ours"
        strange = ssl.create_default_context()
        authority.configure_trust(strange)
        other.issue_cert("operator@example.com").configure_cert(strange)
        with pytest.raises((aiohttp.ClientError, OSError)):
            await client.put(url, ssl=strange)
    await listener.stop()


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """With the key of the configuration, not by a traceback."""
    (tmp_path / "own.pem").write_text("no certificate")
    for path in (tmp_path / "own.pem", tmp_path / "nowhere.pem"):
        with pytest.raises(ConfigurationError, match=r"http\.tls"):
            tls_context(str(path), str(path), None)


async def test_taken_address_is_told(web: Web) -> None:
    """A port that another has is a fault of the configuration, not a traceback."""
    _, port = web.server.addresses[0]
    other = Listener([])
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
        assert {label for sample in family.samples for label in sample.labels} <= allowed | {"version", "commit", "le"}


def test_two_workers_in_one_process_share_nothing() -> None:
    """Each has its own registry."""
    one, other = Metrics(), Metrics()
    one.events.labels("wfm").inc()
    assert one.registry.get_sample_value("ccaas_events_total", {"stream": "wfm"}) == 1
    assert other.registry.get_sample_value("ccaas_events_total", {"stream": "wfm"}) is None
