"""The contract of :class:`connector.ports.Source`: the fake, and a sequence platform against the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
import orjson
import pytest

from connector.errors import DialError
from connector.model import SOME_TIME, FailureKind, Token
from connector.platforms.websocket import SequencePlatform, SequenceSource
from connector.ports import Closed, Connection, FrameKind, Source
from connector.simulator import Simulator, SimulatorSettings
from tests.fakes.source import FakeSnapshot, FakeSource

BACKLOG = 5
WAIT_S = 10.0


class Site:
    """A source whose platform has some events, and what the test needs of that platform."""

    def __init__(self, source: Source, token: Token, happen: Callable[[], object], kill: Callable[[], object]) -> None:
        self.source = source
        self.token = token
        self.happen = happen
        self.kill = kill

    async def dial(self, position: int | None) -> Connection:
        """An open socket."""
        return await self.source.dial(self.token, position, WAIT_S)


@pytest.fixture(params=["fake", "real"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """A platform with :data:`BACKLOG` events that stays quiet unless the test wants one."""
    if request.param == "fake":
        fake, token = FakeSource(), Token("t", 1, 0.0, None, 1.0)
        fake.happen(BACKLOG)
        fake.snapshots.put_nowait(FakeSnapshot(BACKLOG, [b'{"conversationId": "c1"}'], 1))
        yield Site(fake, token, fake.happen, lambda: fake.kill(token))
        return
    settings = SimulatorSettings(rate=0.0, backlog=BACKLOG)
    async with Simulator(settings) as simulator, aiohttp.ClientSession() as session:
        form = {"grant_type": "client_credentials"}
        login = {"Authorization": aiohttp.encode_basic_auth(settings.client_id, settings.client_secret)}
        async with session.post(simulator.token_url, data=form, headers=login) as answer:
            token = Token((await answer.json())["access_token"], 1, 0.0, None, 1.0)
        platform = SequencePlatform(
            simulator.stream_url,
            simulator.snapshot_url.replace("{channel}", "wfm"),
            "sequenceId",
            "/sequenceId",
        )
        source = SequenceSource(session, platform, "wfm")
        yield Site(source, token, simulator.push, simulator.expire_tokens)


async def _positions(connection: Connection, count: int) -> list[int]:
    frames = [await asyncio.wait_for(connection.receive(), WAIT_S) for _ in range(count)]
    return [orjson.loads(frame)["sequenceId"] for frame in frames if isinstance(frame, bytes)]


async def test_dial_resumes_at_a_position(site: Site) -> None:
    """Everything behind it comes, in order, as bytes."""
    connection = await site.dial(2)
    assert await _positions(connection, BACKLOG - 2) == list(range(3, BACKLOG + 1))
    await connection.close(1000, "")


async def test_dial_without_a_position_starts_at_the_present(site: Site) -> None:
    """Nothing of the past comes, the next event does."""
    connection = await site.dial(None)
    reading = asyncio.create_task(connection.receive())
    await asyncio.sleep(0.05)
    assert not reading.done()
    site.happen()
    assert isinstance(await asyncio.wait_for(reading, WAIT_S), bytes)
    await connection.close(1000, "")


async def test_ping_is_answered(site: Site) -> None:
    """The answer shows in ``receive``."""
    connection = await site.dial(BACKLOG)
    await connection.ping()
    assert await asyncio.wait_for(connection.receive(), WAIT_S) is FrameKind.PONG
    await connection.close(1000, "")


async def test_keepalive_is_not_answered(site: Site) -> None:
    """What shows in ``receive`` is the answer to the ping behind it, and no other."""
    connection = await site.dial(BACKLOG)
    await connection.pong()
    await connection.ping()
    assert await asyncio.wait_for(connection.receive(), WAIT_S) is FrameKind.PONG
    site.happen()
    assert isinstance(await asyncio.wait_for(connection.receive(), WAIT_S), bytes)
    await connection.close(1000, "")
    await connection.pong()


async def test_close_is_final_and_idempotent(site: Site) -> None:
    """``Closed`` for ever after; pings are no fault."""
    connection = await site.dial(BACKLOG)
    await connection.close(1000, "done")
    await connection.close(1000, "done")
    await connection.ping()
    first = await asyncio.wait_for(connection.receive(), WAIT_S)
    assert isinstance(first, Closed)
    assert await asyncio.wait_for(connection.receive(), WAIT_S) == first


async def test_dead_token_is_a_dial_error(site: Site) -> None:
    """Of a kind that says so, for the socket and for the snapshot."""
    site.kill()
    with pytest.raises(DialError) as caught:
        await site.dial(1)
    assert caught.value.failure.kind is FailureKind.UNAUTHORIZED
    with pytest.raises(DialError) as caught:
        await site.source.snapshot(site.token, SOME_TIME)
    assert caught.value.failure.kind is FailureKind.UNAUTHORIZED


async def test_snapshot_is_whole(site: Site) -> None:
    """A position, a time, as many conversations as it says, byte for byte; closing it twice is no fault."""
    snapshot = await asyncio.wait_for(site.source.snapshot(site.token, SOME_TIME), WAIT_S)
    assert snapshot is not None
    assert snapshot.position == BACKLOG
    assert isinstance(snapshot.as_of_ms, int)
    conversations = list(snapshot.conversations())
    assert len(conversations) == len(snapshot) > 0
    assert all("conversationId" in orjson.loads(raw) for raw in conversations)
    snapshot.close()
    snapshot.close()
