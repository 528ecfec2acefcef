"""What stands between bridge and platform: reverse proxies, TLS, forward proxies, and what they do to frames."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.maven_broker import free_ports
from tests.support.nginx import Nginx
from tests.support.rewriter import Rewriter, fragmented
from tests.support.scenario import STREAM, Scenario, assert_calm, platform
from tests.support.seed import SEED, TOLD
from tests.support.stage import Stage
from tests.support.tunnel import PASSWORD, USER, Tunnel

_QUICK = {"backoff_seconds": 0.5, "backoff_max_seconds": 2, "breaker_failures": 4, "breaker_seconds": 2}
_HEADROOM = 8  # file descriptors that come and go by themselves: log, Kafka, probes


class _Hospital:
    """A private certificate authority, and the files it makes."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.authority = trustme.CA(organization_name="Hospital")
        self.ca_file = directory / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca_file)
        self.server_file = directory / "server.pem"
        self.serve("localhost")

    def serve(self, name: str, authority: trustme.CA | None = None) -> None:
        """Have the server's file hold a certificate of this name."""
        made = (authority or self.authority).issue_cert(name)
        made.private_key_and_cert_chain_pem.write_to_path(self.server_file)

    def client(self) -> Path:
        """A client's certificate and key."""
        path = self.directory / "client.pem"
        self.authority.issue_cert("bridge@hospital.example").private_key_and_cert_chain_pem.write_to_path(path)
        return path


@contextlib.asynccontextmanager
async def _nginx(stage: Stage, **options: Any) -> AsyncIterator[Nginx]:  # noqa: ANN401 - Nginx's
    server = Nginx(stage.directory / stage.name("nginx"), **options)
    await asyncio.to_thread(server.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


def _descriptors(it: Scenario) -> int:
    return sum(1 for _ in Path(f"/proc/{it.worker.pid}/fd").iterdir())


# nginx ------------------------------------------------------------------------------------------------------------


@pytest.mark.tools
async def test_reloads_of_a_reverse_proxy_under_load(stage: Stage) -> None:
    """A proxy reloaded again and again ends its connections while tokens rotate: everything once, in order."""
    async with (
        _nginx(stage) as front,
        Scenario(stage, platform(rate=300, token_life_s=5), port=front.upstream, front=front.url, network=_QUICK) as it,
    ):
        await it.ready()
        for _ in range(4):
            await it.flowing(150)
            opens = it.count("opens")
            front.reload()
            await it.opened(opens + 1)
        await it.rotated(1)
        await it.finish()
        assert it.count("unauthorized") == 0


@pytest.mark.tools
async def test_idle_time_out_of_a_reverse_proxy(stage: Stage) -> None:
    """A quiet stream outlives nginx's idle time-out by its pings alone."""
    configured = {"ping_seconds": 0.8, "silence_seconds": 6}
    async with (
        _nginx(stage, idle_s=2) as front,
        Scenario(stage, platform(rate=0), port=front.upstream, front=front.url, configured=configured) as it,
    ):
        await it.ready()
        opened_s = it.sockets()[0].opened_at_s
        await it.until(lambda: it.simulator.world.now() > opened_s + 7, "three times the time-out")
        it.simulator.push()
        await it.committed()
        await it.finish()
        assert it.count("opens") == 1


@pytest.mark.tools
async def test_idle_time_out_shorter_than_the_pings(stage: Stage) -> None:
    """Where pings come too seldom nginx ends quiet sockets: reconnects, no loss, no gap, no emergency for tokens."""
    configured = {"ping_seconds": 20, "silence_seconds": 60}
    async with (
        _nginx(stage, idle_s=1) as front,
        Scenario(
            stage, platform(rate=0), port=front.upstream, front=front.url, configured=configured, network=_QUICK
        ) as it,
    ):
        await it.ready()
        for opens in (2, 3):
            it.simulator.push(3)
            await it.committed()
            await it.opened(opens)
        it.simulator.push(3)
        await it.finish()
        assert it.count("tokens") == 1
        assert it.failures("network")


# TLS --------------------------------------------------------------------------------------------------------------


@pytest.mark.tools
async def test_private_authority_and_client_certificate(stage: Stage) -> None:
    """Trusted by ``tls.ca_file``, known by ``tls.certificate_file``: all requests go over mutual TLS."""
    hospital = await asyncio.to_thread(_Hospital, stage.directory / stage.name("tls"))
    tls = {"ca_file": str(hospital.ca_file), "certificate_file": str(hospital.client())}
    settings = platform(rate=100, token_life_s=5, backlog=50)
    async with (
        _nginx(stage, certificate=hospital.server_file, client_ca=hospital.ca_file) as front,
        Scenario(
            stage,
            settings,
            {"name": STREAM, "start": "latest"},
            port=front.upstream,
            front=front.url,
            configured={"tls": tls},
            started=False,
        ) as it,
    ):
        it.log()
        await it.start()
        await it.ready()
        begin = it.sockets()[0].asked
        assert begin is not None
        await it.rotated(2)
        await it.finish(begins={STREAM: begin})
        assert_calm(it)


@pytest.mark.tools
async def test_wrong_certificate(stage: Stage) -> None:
    """An unknown authority, then a wrong name: not dialled through, said clearly, tried again, and well once it is."""
    hospital = await asyncio.to_thread(_Hospital, stage.directory / stage.name("tls"))
    stranger = await asyncio.to_thread(trustme.CA)
    async with (
        _nginx(stage, certificate=hospital.server_file) as front,
        Scenario(
            stage,
            platform(rate=100),
            port=front.upstream,
            front=front.url,
            configured={"tls": {"ca_file": str(hospital.ca_file)}},
            network=_QUICK,
        ) as it,
    ):
        await it.ready()
        await it.flowing(20)
        for name, authority, told in (
            ("localhost", stranger, "unable to get local issuer certificate"),
            ("elsewhere.example", None, "Hostname mismatch"),
        ):
            known = len(it.failures("network"))
            hospital.serve(name, authority)
            front.reload()
            await it.until(lambda: len(it.failures("network")) > known + 2, "failures")  # noqa: B023 - awaited here
            details = [line["detail"] for line in it.failures("network")[known + 1 :]]
            assert any(told in detail and "check the host name and tls.ca_file" in detail for detail in details), (
                details
            )
            assert await it.status("/health/live") == 200
            assert await it.status("/health/ready") == 503
            hospital.serve("localhost")
            front.reload()
            await it.until(it.open_sockets, "a socket again")
            await it.flowing(20)
        await it.finish()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", None])
async def test_tls_that_comes_to_nothing(stage: Stage, answer: bytes | None) -> None:
    """No TLS at all, a connection that is closed, one that says nothing: failures of the network, with a reason."""
    silent: list[asyncio.StreamWriter] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            silent.append(writer)
            return
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        configured = {"stream_url": f"wss://127.0.0.1:{port}/stream/{{channel}}"}
        async with Scenario(stage, platform(rate=0), configured=configured, network=_QUICK) as it:
            await it.until(lambda: len(it.failures("network")) >= 2, "two failures")
            detail = it.failures("network")[-1]["detail"]
            assert "TLS" in detail or "within" in detail or "cannot reach" in detail, detail
            assert await it.status("/health/live") == 200
            assert it.count("tokens") == 1
            await it.stop()
        for writer in silent:
            writer.transport.abort()


# Forward proxies and names ----------------------------------------------------------------------------------------


@pytest.mark.tools
@pytest.mark.parametrize("by", ["setting", "environment"])
async def test_forward_proxy(stage: Stage, by: str) -> None:
    """Tokens and streams by CONNECT, with credentials; cut and refused, then back; the password is in no log."""
    hospital = await asyncio.to_thread(_Hospital, stage.directory / stage.name("tls"))
    async with Tunnel() as tunnel, _nginx(stage, certificate=hospital.server_file) as front:
        address = f"http://{USER}:{PASSWORD}@{tunnel.address}"
        configured: dict[str, Any] = {"tls": {"ca_file": str(hospital.ca_file)}}
        if by == "setting":
            configured["proxy"] = address
        env = {"HTTPS_PROXY": address, "https_proxy": address} if by == "environment" else {}
        async with Scenario(
            stage,
            platform(rate=100, token_life_s=6),
            port=front.upstream,
            front=front.url,
            configured=configured,
            env=env,
            network=_QUICK,
        ) as it:
            await it.ready()
            await it.rotated(1)
            tunnel.open = False
            tunnel.cut()
            await it.until(lambda: len(it.failures("network")) > 1, "a refused dial")
            assert "the proxy to wss://localhost" in it.failures("network")[-1]["detail"]
            tunnel.open = True
            await it.until(it.open_sockets, "a socket again")
            await it.flowing(20)
            await it.finish()
            assert set(tunnel.targets) == {f"localhost:{front.port}"}
            assert len(tunnel.targets) >= it.count("opens")
            assert PASSWORD not in it.worker.log_text()


async def test_name_that_is_not_known(stage: Stage) -> None:
    """DNS fails for one platform: its streams back off and say so, the others do not notice."""
    (port,) = free_ports(1)
    configured = {"stream_url": f"ws://no-such-host.invalid:{port}/stream/{{channel}}"}
    async with Scenario(stage, platform(rate=0), configured=configured, network=_QUICK) as it:
        await it.until(lambda: len(it.failures("network")) >= 5, "five failures")
        assert "cannot reach ws://no-such-host.invalid" in it.failures("network")[-1]["detail"]
        assert it.failures("network")[-1]["breaker_open"]
        assert await it.status("/health/live") == 200
        assert await it.status("/health/ready") == 503
        await it.stop()


# Frames -----------------------------------------------------------------------------------------------------------


async def test_messages_in_many_fragments(stage: Stage) -> None:
    """Messages cut anywhere, with pings between the parts, through rotations: byte for byte."""
    (port,) = free_ports(1)
    async with (
        Rewriter(port, fragmented(random.Random(SEED))) as path,
        Scenario(
            stage,
            platform(rate=200, token_life_s=5, payload_bytes=2000),
            port=port,
            configured={"stream_url": path.stream_url},
        ) as it,
    ):
        it.note = TOLD
        await it.ready()
        await it.rotated(2)
        await it.finish()
        assert_calm(it)
        assert path.rewritten > 200


@pytest.mark.parametrize("offered", [True, False])
async def test_permessage_deflate(stage: Stage, *, offered: bool) -> None:
    """With ``compression`` messages may come compressed; without it nothing is offered, and nothing is."""
    (port,) = free_ports(1)
    async with (
        Rewriter(port, deflate=True) as path,
        Scenario(
            stage,
            platform(rate=200, token_life_s=5, batch=20),
            port=port,
            configured={"stream_url": path.stream_url, "compression": offered},
        ) as it,
    ):
        await it.ready()
        await it.rotated(2)
        await it.finish()
        assert_calm(it)
        assert (path.rewritten > 50) is offered


async def test_close_without_an_end_of_tcp(stage: Stage) -> None:
    """A server that says goodbye and never hangs up: the bridge does, dials anew, and leaks nothing."""
    (port,) = free_ports(1)
    async with (
        Rewriter(port) as path,
        Scenario(
            stage, platform(rate=100), port=port, configured={"stream_url": path.stream_url}, network=_QUICK
        ) as it,
    ):
        await it.ready()
        before = _descriptors(it)
        for n in range(1, 6):
            await it.flowing(30)
            assert path.say_goodbye(1001) == 1
            await it.opened(n + 1)
            await it.until(lambda: path.left == n, "the bridge to hang up", timeout_s=10)  # noqa: B023 - awaited here
        await it.flowing(30)
        assert _descriptors(it) <= before + _HEADROOM
        await it.finish()


# Handshakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 500, 502, 503])
async def test_refused_handshakes(stage: Stage, status: int) -> None:
    """Refused for a while: backed off without a loop, no new tokens, the status in the log, and nothing lost."""
    async with Scenario(stage, platform(rate=50), network=_QUICK) as it:
        await it.ready()
        await it.flowing(5)
        it.simulator.refuse(5.0, status=status)
        it.simulator.abort()
        await it.until(lambda: it.count("refused") >= 2, "refused dials")
        assert await it.status("/health/ready") == 503
        await it.until(it.open_sockets, "a socket again")
        assert it.count("refused") <= 8
        assert it.count("tokens") == 1
        assert any(f"HTTP {status}" in line["detail"] for line in it.failures("network"))
        await it.flowing(20)
        await it.finish()
