"""What `check` says of a platform: each prerequisite taken away once, against the simulator."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import trustme

from connector.auth.redis_link import RedisPlan
from connector.check.platforms import PlatformCheck
from connector.check.shared_tokens import check_redis
from connector.core.finding import Finding, State
from connector.settings import Settings
from connector.simulator import Simulator
from tests.support.bridge_process import configuration
from tests.support.redis_server import own_redis
from tests.support.scenario import platform


@pytest_asyncio.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A platform that knows the bridge."""
    started = Simulator(platform(rate=50))
    await started.start(port=0)
    yield started
    await started.stop()


async def _check(
    url: str, *, auth: Mapping[str, Any] | None = None, in_service: bool | None = False, **options: object
) -> dict[str, Finding]:
    document = configuration(
        group="checked",
        kafka="127.0.0.1:1",
        platform_url=url,
        streams=[{"name": "wfm", "topic": "t"}],
        platform=options,
    )
    document["platforms"]["sim"]["auth"] |= auth or {}
    settings = Settings(**document)
    check = PlatformCheck("sim", settings.platforms["sim"], settings.streams, in_service=in_service)
    return {finding.prerequisite: finding for finding in await check.run()}


def _failing(found: Mapping[str, Finding]) -> dict[str, str]:
    assert all(finding.mend for finding in found.values() if finding.state is State.FAILS)
    return {name: finding.detail for name, finding in found.items() if finding.state is State.FAILS}


async def test_everything_is_there_and_nothing_was_done(simulator: Simulator) -> None:
    """One socket, closed with 1000 before long; a token; the snapshot."""
    found = await _check(simulator.base_url)
    assert {finding.state for finding in found.values()} == {State.OK}
    assert list(found) == [
        "platforms.sim: address of auth.token_url",
        "platforms.sim: token",
        "streams.wfm: handshake",
        "platforms.sim: snapshot",
    ]
    (socket,) = simulator.ledger("wfm")["sockets"]
    assert socket["closed"]["code"] == 1000


async def test_name_without_an_address() -> None:
    """DNS."""
    found = await _check("http://no-such-host.invalid")
    assert "no-such-host.invalid has no address" in _failing(found)["platforms.sim: address of auth.token_url"]


async def test_nobody_listens(simulator: Simulator) -> None:
    """TCP; nothing that needs a token is tried without one."""
    url = simulator.base_url
    await simulator.stop()
    found = await _check(url)
    assert "does not answer" in _failing(found)["platforms.sim: address of auth.token_url"]
    assert "platforms.sim: token" in _failing(found)
    assert found["platforms.sim: handshakes, snapshot"].state is State.SKIPPED


async def test_certificate_of_an_unknown_authority() -> None:
    """TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "localhost", 0, ssl=context)
    async with server:
        found = await _check(f"https://localhost:{server.sockets[0].getsockname()[1]}")
    failing = _failing(found)["platforms.sim: address of auth.token_url"]
    assert failing.startswith("TLS: the certificate of localhost")


async def test_wrong_secret(simulator: Simulator) -> None:
    """401 of the token endpoint; the secret is in no text."""
    found = await _check(simulator.base_url, auth={"client_secret": "not-the-secret-77"})
    assert "answered 401" in _failing(found)["platforms.sim: token"]
    assert "auth.client_secret" in found["platforms.sim: token"].mend
    assert "not-the-secret-77" not in repr(found)


@pytest.mark.parametrize(
    ("status", "mend"),
    [(401, "audience"), (403, "permission or scope is lacking"), (409, "no further socket"), (503, "platform's own")],
)
async def test_refused_handshake(simulator: Simulator, status: int, mend: str) -> None:
    """A token that is not accepted, a permission that lacks, a socket too many: told apart."""
    simulator.refuse(60, status)
    found = await _check(simulator.base_url)
    assert list(_failing(found)) == ["streams.wfm: handshake"]
    assert f"HTTP {status}" in found["streams.wfm: handshake"].detail
    assert mend in found["streams.wfm: handshake"].mend


async def test_socket_that_is_closed_at_once(simulator: Simulator) -> None:
    """A handshake alone proves nothing."""
    simulator.accept_then_close(60, 4003)
    found = await _check(simulator.base_url)
    assert "closed at once with 4003" in _failing(found)["streams.wfm: handshake"]


async def test_no_snapshot(simulator: Simulator) -> None:
    """404."""
    found = await _check(simulator.base_url, snapshot_url=f"{simulator.base_url}/no-such-summary")
    assert "404" in _failing(found)["platforms.sim: snapshot"]


@pytest.mark.parametrize("in_service", [True, None])
async def test_bridge_that_runs_is_not_disturbed(simulator: Simulator, *, in_service: bool | None) -> None:
    """No token where that revokes the former one, no second socket where one is allowed."""
    revoking = await _check(simulator.base_url, auth={"reissue": "revokes"}, in_service=in_service)
    assert revoking["platforms.sim: token"].state is State.SKIPPED
    single = await _check(simulator.base_url, handover="sequential", in_service=in_service)
    assert single["streams.wfm: handshake"].state is State.SKIPPED
    assert not simulator.ledger("wfm")["sockets"]
    assert "streams.wfm: handshake" in await _check(simulator.base_url, handover="sequential")


@pytest.mark.tools
async def test_redis_away_and_not_letting_in(tmp_path: Path) -> None:
    """Optional, and so a finding only where it is configured; no URL, no password in it."""
    away = await check_redis(RedisPlan("redis://user:hush-33@127.0.0.1:1"))
    assert (away.state, "hush-33" in repr(away)) == (State.FAILS, False)
    with own_redis(tmp_path, ("requirepass", "right")) as server:
        wrong = await check_redis(RedisPlan(server.url, password="hush-34"))
        right = await check_redis(RedisPlan(server.url, password="right"))
    assert "refuses the user" in wrong.detail
    assert "hush-34" not in repr(wrong)
    assert right.state is State.OK
