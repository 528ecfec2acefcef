"""Names of platforms: lookups that fail or hang for a while, and addresses that change."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest

from connector.errors import DialError
from connector.model import FailureKind, Token
from connector.platforms.websocket import SequencePlatform, SequenceSource
from connector.simulator import Simulator, SimulatorSettings
from connector.tls import ClientTls, TlsFiles
from connector.worker.sessions import open_session

_NAME = "platform.example"
_WAIT_S = 10.0
_TOKEN_LIFE_S = 3600.0


class Names:
    """The resolver of this process, but for one name. ``address`` None: it has none at present."""

    def __init__(self) -> None:
        self.address: str | None = None
        self.asked = 0
        self.hangs: threading.Event | None = None
        self._system = socket.getaddrinfo

    def getaddrinfo(self, host: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as socket's
        """As :func:`socket.getaddrinfo`."""
        if host != _NAME:
            return self._system(host, *arguments, **options)
        self.asked += 1
        if self.hangs is not None:
            self.hangs.wait(_WAIT_S)
        if self.address is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return self._system(self.address, *arguments, **options)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """The name has no address at first."""
    found = Names()
    monkeypatch.setattr(socket, "getaddrinfo", found.getaddrinfo)
    return found


@contextmanager
def _held(names: Names) -> Iterator[None]:
    """Lookups hang meanwhile."""
    names.hangs = threading.Event()
    try:
        yield
    finally:
        names.hangs.set()
        names.hangs = None


@pytest.fixture
async def platforms() -> AsyncIterator[tuple[Simulator, Simulator]]:
    """Two with one port, on 127.0.0.1 and 127.0.0.2."""
    settings = SimulatorSettings(rate=0.0, backlog=3)
    first, second = Simulator(settings), Simulator(settings)
    await first.start("127.0.0.1")
    await second.start("127.0.0.2", first.port)
    yield first, second
    await first.stop()
    await second.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """As a worker opens it."""
    async with open_session(ClientTls(TlsFiles())) as opened:
        yield opened


def _source(session: aiohttp.ClientSession, simulator: Simulator) -> SequenceSource:
    url = simulator.stream_url.replace("127.0.0.1", _NAME)
    return SequenceSource(session, SequencePlatform(url, None, "sequenceId", "/sequenceId"), "wfm")


async def _token(session: aiohttp.ClientSession, simulator: Simulator) -> Token:
    settings = SimulatorSettings()
    login = {"Authorization": aiohttp.encode_basic_auth(settings.client_id, settings.client_secret)}
    form = {"grant_type": "client_credentials"}
    async with session.post(simulator.token_url, data=form, headers=login) as answer:
        return Token((await answer.json())["access_token"], 1, 0.0, _TOKEN_LIFE_S, 1.0)


async def test_name_without_an_address_for_a_while(
    names: Names, session: aiohttp.ClientSession, platforms: tuple[Simulator, Simulator]
) -> None:
    """A failure of the network, told in words; the first dial after the name is back succeeds."""
    source, token = _source(session, platforms[0]), await _token(session, platforms[0])
    for _ in range(3):
        with pytest.raises(DialError) as failed:
            await source.dial(token, 0, _WAIT_S)
        assert failed.value.failure.kind is FailureKind.NETWORK
        assert "name resolution" in failed.value.failure.detail
        assert "DNS" in failed.value.failure.detail
    names.address = "127.0.0.1"
    connection = await source.dial(token, 0, _WAIT_S)
    await connection.close(1000, "")


async def test_platform_that_moves_to_another_address(
    names: Names, session: aiohttp.ClientSession, platforms: tuple[Simulator, Simulator]
) -> None:
    """Its former address answers no more: a dial after the pace of a second finds the present one."""
    first, second = platforms
    source, token = _source(session, first), await _token(session, second)
    names.address = "127.0.0.1"
    with pytest.raises(DialError, match="unauthorized"):
        await source.dial(token, 0, _WAIT_S)
    names.address = "127.0.0.2"
    await first.stop()
    await asyncio.sleep(1.1)
    connection = await source.dial(token, 0, _WAIT_S)
    await connection.close(1000, "")


async def test_lookup_that_hangs(
    names: Names, session: aiohttp.ClientSession, platforms: tuple[Simulator, Simulator]
) -> None:
    """Each dial is given up in time, and however many dial, one thread hangs; then the next dial succeeds."""
    source, token = _source(session, platforms[0]), await _token(session, platforms[0])
    names.address = "127.0.0.1"
    with _held(names):
        dials = (source.dial(token, 0, 0.2) for _ in range(20))
        failures = await asyncio.gather(*dials, return_exceptions=True)
        assert all(isinstance(failure, DialError) for failure in failures), failures
        assert names.asked == 1
    connection = await source.dial(token, 0, _WAIT_S)
    await connection.close(1000, "")
