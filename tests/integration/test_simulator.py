"""The simulator over real sockets: what a client of its wire sees, fault by fault."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import ClientWebSocketResponse, WSMessage, WSMsgType, WSServerHandshakeError

from connector.simulator import Simulator, SimulatorSettings
from connector.simulator.command import simulate

PATIENCE_S = 10.0
CREDENTIALS = {"Authorization": aiohttp.encode_basic_auth("simulator", "simulator-secret")}


class Client:
    """Speaks the wire, independently of the bridge."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.session = session

    async def token(self, **form: str) -> tuple[int, Any, Any]:
        """Status, body and headers of a token request."""
        form = {"grant_type": "client_credentials", **form}
        async with self.session.post(self.simulator.token_url, data=form, headers=CREDENTIALS) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers

    async def bearer(self) -> dict[str, str]:
        """A fresh token as a header."""
        _, body, _ = await self.token()
        return {"Authorization": f"Bearer {body['access_token']}"}

    async def open(
        self, position: int | None = None, channel: str = "wfm", headers: dict[str, str] | None = None
    ) -> ClientWebSocketResponse:
        """An open socket; text is left undecoded, pings and closes are the test's to see."""
        url = self.simulator.stream_url.format(channel=channel)
        name = self.simulator.world.settings.position_name
        params = {} if position is None else {name: str(position)}
        return await self.session.ws_connect(  # type: ignore[return-value]  # undecoded text is another generic
            url,
            params=params,
            headers=headers or await self.bearer(),
            autoping=False,
            autoclose=False,
            decode_text=False,
            max_msg_size=0,
        )

    async def control(self, name: str, **arguments: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """Call a fault over HTTP; returns its result."""
        async with self.session.post(f"{self.simulator.base_url}/_ctl/{name}", json=arguments) as answer:
            assert answer.status == 200, await answer.text()
            return (await answer.json())["result"]

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
        """A JSON document."""
        async with self.session.get(self.simulator.base_url + path, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def refused(self, position: int | None = None, channel: str = "wfm") -> WSServerHandshakeError:
        """How a handshake fails that must fail."""
        headers = await self.bearer()
        with pytest.raises(WSServerHandshakeError) as caught:
            await self.open(position, channel, headers)
        return caught.value


class Hand:
    """A clock moved by hand, so that no test is a race with time."""

    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        """The instant it was moved to."""
        return self.now_s

    def move(self, simulator: Simulator, seconds: float) -> None:
        """Time passes, and the sockets notice."""
        self.now_s += seconds
        simulator.world.nudge()


@asynccontextmanager
async def platform(now: Callable[[], float] = time.time, **properties: Any) -> AsyncIterator[Client]:  # noqa: ANN401 - each test names its properties
    """A running simulator and a client."""
    async with Simulator(SimulatorSettings(**properties), now) as simulator, aiohttp.ClientSession() as session:
        yield Client(simulator, session)


async def next_message(socket: ClientWebSocketResponse) -> WSMessage:
    """The next message, in time."""
    return await socket.receive(timeout=PATIENCE_S)


async def read_events(socket: ClientWebSocketResponse, count: int) -> list[bytes]:
    """So many data messages."""
    messages = [await next_message(socket) for _ in range(count)]
    assert {message.type for message in messages} <= {WSMsgType.TEXT, WSMsgType.BINARY}
    return [message.data for message in messages]


async def expect_close(socket: ClientWebSocketResponse) -> tuple[int | None, str]:
    """Read to the close frame; answer it."""
    while True:
        message = await next_message(socket)
        if message.type is WSMsgType.CLOSE:
            await socket.close()
            return message.data, str(message.extra or "")
        assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), message


async def silent(socket: ClientWebSocketResponse) -> bool:
    """Whether a ping's pong comes with no data before it: silence, proved without waiting for it."""
    await socket.ping(b"there?")
    message = await next_message(socket)
    return message.type is WSMsgType.PONG and message.data == b"there?"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the simulator to come to something."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the simulator signals nothing, a poll is all there is
            await asyncio.sleep(0.005)


def positions(events: list[bytes]) -> list[int]:
    """Positions of single events."""
    return [json.loads(event)["sequenceId"] for event in events]


async def test_a_stream_is_its_truth() -> None:
    """What a socket delivers is what the ledger says, byte for byte; the client's close is noted."""
    async with platform(rate=0, backlog=500) as client:
        socket = await client.open(0)
        assert list(enumerate(await read_events(socket, 500), 1)) == list(client.simulator.truth("wfm"))
        await socket.close(code=1000, message=b"token refresh")
        record = client.simulator.world.ledger.of("wfm")[0]
        await until(lambda: record.closed is not None)
        told = (await client.get("/_ctl/ledger?stream=wfm"))["sockets"][0]
        assert (told["asked"], told["start"], told["sent"], told["token"]) == (0, 0, [[0, 1, 500]], 1)
        assert {**told["closed"], "at_s": 0} == {"at_s": 0, "code": 1000, "by": "client", "reason": "token refresh"}


async def test_the_other_kind_differs_in_a_name() -> None:
    """``offset`` in the query, in the events, in the snapshot."""
    async with platform(kind="nice-offset", rate=0, backlog=10) as client:
        socket = await client.open(7)
        assert [json.loads(event)["offset"] for event in await read_events(socket, 3)] == [8, 9, 10]
        assert (await client.get("/summary", await client.bearer()))["offset"] == 10
        await socket.close()


async def test_live_events_arrive() -> None:
    """They come as they come to be, in order, on two sockets at once."""
    async with platform(rate=500) as client:
        first, second = await client.open(0), await client.open(0)
        assert positions(await read_events(first, 100)) == list(range(1, 101))
        assert positions(await read_events(second, 100)) == list(range(1, 101))
        stats = await client.get("/_ctl/stats")
        assert (stats["streams"]["wfm"]["max_sockets"], stats["open"]) == (2, 2)
        assert stats["streams"]["wfm"]["overlap_s"] > 0
        await first.close()
        await second.close()


async def test_arrays_hold_the_same_events() -> None:
    """Frames of several events."""
    async with platform(rate=0, backlog=256, batch=10) as client:
        socket = await client.open(0)
        found: list[int] = []
        while len(found) < 256:
            [frame] = await read_events(socket, 1)
            parsed = json.loads(frame)
            found += [each["sequenceId"] for each in (parsed if isinstance(parsed, list) else [parsed])]
        assert found == list(range(1, 257))
        await socket.close()


async def test_a_token_and_its_clock() -> None:
    """JWT, ``expires_in`` and the Date header, all an hour ahead; not to be stored."""
    async with platform(clock_skew_s=3600, token_life_s=60) as client:
        status, body, headers = await client.token(scope="a b")
        claims = jwt.decode(body["access_token"], options={"verify_signature": False})
        assert (status, body["expires_in"], body["scope"]) == (200, 60, "a b")
        assert headers["Cache-Control"] == "no-store"
        assert abs(parsedate_to_datetime(headers["Date"]).timestamp() - claims["iat"]) <= 2
        assert abs(claims["iat"] - time.time() - 3600) < PATIENCE_S
        assert abs((await client.get("/summary", await client.bearer()))["asOf"] / 1000 - claims["iat"]) < PATIENCE_S


async def test_a_wrong_client_gets_no_token() -> None:
    """401 ``invalid_client``; JSON instead of a form: 400 ``invalid_request``; another grant is unsupported."""
    async with platform() as client:
        url, form = client.simulator.token_url, {"grant_type": "client_credentials"}
        wrong = {"Authorization": aiohttp.encode_basic_auth("simulator", "no")}
        async with client.session.post(url, data=form, headers=wrong) as answer:
            assert (answer.status, (await answer.json())["error"]) == (401, "invalid_client")
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
        async with client.session.post(url, json=form, headers=CREDENTIALS) as answer:
            assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")
        status, body, _ = await client.token(grant_type="implicit")
        assert (status, body["error"]) == (400, "unsupported_grant_type")


async def test_without_a_live_token_there_is_no_stream() -> None:
    """401 with a challenge, on the stream and on the snapshot."""
    async with platform() as client:
        for headers in ({"Authorization": "Bearer made.up"}, {"X-Nothing": "1"}):
            with pytest.raises(WSServerHandshakeError) as caught:
                await client.open(0, headers=headers)
            assert caught.value.status == 401
            assert caught.value.headers is not None
            assert caught.value.headers["WWW-Authenticate"].startswith("Bearer")
        async with client.session.get(client.simulator.base_url + "/summary") as answer:
            assert answer.status == 401
        assert (await client.get("/_ctl/stats"))["unauthorized"] == 3


@pytest.mark.parametrize("code", [1008, 4001])
async def test_a_socket_dies_with_its_token(code: int) -> None:
    """Also while the client's events go on; it is counted as an expiry."""
    hand = Hand()
    async with platform(hand, rate=50, token_life_s=5, close_code=code) as client:
        socket = await client.open(0)
        hand.move(client.simulator, 4.9)
        await read_events(socket, 245)
        hand.move(client.simulator, 0.1)
        assert await expect_close(socket) == (code, "token expired")
        await until(lambda: not client.simulator.world.sockets)
        assert (await client.get("/_ctl/stats"))["expiry_closes"] == 1


async def test_a_socket_dies_even_if_nobody_reads() -> None:
    """A client held up by back-pressure loses its socket at expiry all the same."""
    async with platform(rate=0, backlog=100_000, payload_bytes=2000) as client:
        socket = await client.open(0)
        await client.control("expire_tokens")
        await until(lambda: client.simulator.world.ledger.of("wfm")[0].closed is not None)
        stats = await client.get("/_ctl/stats")
        assert 0 < stats["streams"]["wfm"]["sent"] < 100_000
        await socket.close()


async def test_expiry_by_order() -> None:
    """All tokens end, their sockets too, and they open nothing any more."""
    async with platform() as client:
        headers = await client.bearer()
        socket = await client.open(headers=headers)
        assert await client.control("expire_tokens") == 1
        assert await expect_close(socket) == (1008, "token expired by order")
        with pytest.raises(WSServerHandshakeError, match="401"):
            await client.open(headers=headers)


async def test_a_new_token_revokes_the_old() -> None:
    """``reissue: revokes`` closes the sockets of the old one."""
    async with platform(reissue="revokes") as client:
        socket = await client.open()
        await client.token()
        assert await expect_close(socket) == (1008, "token revoked")


async def test_tcp_abort() -> None:
    """The connection breaks without a close frame, on the one stream only."""
    async with platform() as client:
        socket, other = await client.open(), await client.open(channel="crm")
        assert await client.control("abort", stream="wfm") == 1
        message = await next_message(socket)
        while message.type is WSMsgType.TEXT:
            message = await next_message(socket)
        assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR)
        await until(lambda: len(client.simulator.world.sockets) == 1)
        closed = client.simulator.world.ledger.of("wfm")[0].closed
        assert closed is not None
        assert (closed.code, closed.by) == (1006, "simulator")
        await read_events(other, 1)
        await other.close()


async def test_forced_close() -> None:
    """Any code, any reason, at once."""
    async with platform() as client:
        socket = await client.open()
        assert await client.control("close_sockets", code=1013, reason="try again later") == 1
        assert await expect_close(socket) == (1013, "try again later")


async def test_refusing_new_sockets() -> None:
    """A status instead of an upgrade, with Retry-After; the open socket goes on."""
    async with platform() as client:
        socket = await client.open()
        await client.control("refuse", seconds=60, status=429, retry_after_s=7)
        refused = await client.refused()
        assert refused.status == 429
        assert refused.headers is not None
        assert refused.headers["Retry-After"] == "7"
        await read_events(socket, 1)
        await client.control("clear")
        await (await client.open()).close()
        await socket.close()


async def test_accept_then_close() -> None:
    """The handshake succeeds, the close comes before any event."""
    async with platform(rate=0, backlog=10) as client:
        await client.control("accept_then_close", seconds=60, code=1011)
        message = await next_message(await client.open(0))
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)


async def test_only_so_many_sockets() -> None:
    """The second is refused with 409 until the first has gone."""
    async with platform(max_sockets=1) as client:
        socket = await client.open()
        assert (await client.refused()).status == 409
        await socket.close()
        await until(lambda: not client.simulator.world.sockets)
        await (await client.open()).close()


async def test_a_mute_socket_answers_pings_and_nothing_else() -> None:
    """Open, alive, silent; later sockets are not."""
    async with platform(rate=0, backlog=5) as client:
        await client.control("mute", seconds=60, for_life=True)
        socket = await client.open(0)
        assert await silent(socket)
        await client.control("clear")
        other = await client.open(0)
        assert positions(await read_events(other, 5)) == [1, 2, 3, 4, 5]
        assert await silent(socket)
        await socket.close()
        await other.close()


async def test_a_late_socket() -> None:
    """It is silent first, then delivers all."""
    hand = Hand()
    async with platform(hand, rate=0, backlog=5, open_delay_s=0.5) as client:
        socket = await client.open(0)
        assert await silent(socket)
        hand.move(client.simulator, 0.5)
        assert positions(await read_events(socket, 5)) == [1, 2, 3, 4, 5]
        await socket.close()


async def test_freeze() -> None:
    """Neither events nor pongs while it lasts, both afterwards."""
    hand = Hand()
    async with platform(hand, rate=0) as client:
        socket, other = await client.open(), await client.open(channel="crm")
        assert await client.control("freeze", seconds=30, stream="wfm") == 1
        await client.control("push")
        await socket.ping(b"there?")
        await read_events(other, 1)
        assert await silent(other)
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.05)
        hand.move(client.simulator, 30)
        kinds = {(await next_message(socket)).type for _ in range(2)}
        assert kinds == {WSMsgType.TEXT, WSMsgType.PONG}
        await socket.close()
        await other.close()


async def test_a_frozen_platform_answers_no_handshake_and_notices_a_hang_up() -> None:
    """With ``new`` the dial times out; a client that gives up on its frozen socket is gone for the simulator too."""
    async with platform() as client:
        socket, headers = await client.open(), await client.bearer()
        client.simulator.freeze(600, new=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.open(headers=headers)
        await socket.ping(b"there?")
        await client.session.close()
        await until(lambda: not client.simulator.world.sockets)
        closed = client.simulator.world.ledger.of("wfm")[0].closed
        assert closed is not None
        assert (closed.code, closed.by) == (1006, "network")


async def test_a_prepared_backlog_and_a_delay_by_order() -> None:
    """Prepared bytes are the truth as well; ``delay_open`` is about new sockets."""
    hand = Hand()
    async with platform(hand, rate=0, backlog=300) as client:
        await client.control("prepare", stream="wfm")
        await client.control("delay_open", delay_s=2, seconds=60)
        socket = await client.open(0)
        assert await silent(socket)
        hand.move(client.simulator, 2)
        assert await read_events(socket, 300) == [data for _, data in client.simulator.truth("wfm")]
        await socket.close()


async def test_quiet() -> None:
    """No events, but pongs; what is pushed arrives all the same."""
    async with platform(rate=1000) as client:
        await client.control("quiet", seconds=60)
        socket = await client.open()
        assert await silent(socket)
        await client.control("push", count=3)
        await read_events(socket, 3)
        assert await silent(socket)
        await socket.close()


@pytest.mark.parametrize("kind", ["bad_json", "invalid_utf8", "no_position", "string_position", "deep_nesting"])
async def test_poison_comes_back_on_every_resume(kind: str) -> None:
    """It holds a position; the events around it are as usual."""
    async with platform(rate=0, backlog=3) as client:
        await client.control("poison", kind=kind, stream="wfm")
        await client.control("push", stream="wfm")
        for _ in range(2):
            socket = await client.open(2)
            before, poison, after = await read_events(socket, 3)
            assert positions([before, after]) == [3, 5]
            assert poison == dict(client.simulator.truth("wfm"))[4]
            await socket.close()
        assert (await client.get("/_ctl/ledger?stream=wfm"))["poison"] == [[0, 4]]


async def test_oversized_and_binary_poison() -> None:
    """Megabytes in one frame; raw bytes in a binary one."""
    async with platform(rate=0) as client:
        await client.control("poison", kind="oversized", size_bytes=3_000_000)
        await client.control("poison", kind="raw", data_base64="/wAB", binary=True)
        socket = await client.open(0)
        large, raw = await next_message(socket), await next_message(socket)
        assert (large.type, len(large.data)) == (WSMsgType.TEXT, 3_000_000)
        assert (raw.type, raw.data) == (WSMsgType.BINARY, b"\xff\0\1")
        await socket.close()


async def test_noise_has_no_position() -> None:
    """It reaches the open socket once and is not of the sequence."""
    async with platform(rate=0, backlog=1) as client:
        socket = await client.open(0)
        await read_events(socket, 1)
        await client.control("poison", kind="raw", data="hello", noise=True)
        assert await read_events(socket, 1) == [b"hello"]
        await client.control("push")
        assert positions(await read_events(socket, 1)) == [2]
        await socket.close()


async def test_jump_reset_duplicate_and_misdate() -> None:
    """The sequence as a platform in trouble tells it."""
    async with platform(rate=0, backlog=2) as client:
        socket = await client.open(0)
        first = await read_events(socket, 2)
        assert await client.control("duplicate", count=1) == 1
        assert await read_events(socket, 1) == first[-1:]
        await client.control("jump", count=5)
        await client.control("push")
        await client.control("misdate", when="future")
        assert positions(frames := await read_events(socket, 2)) == [8, 9]
        assert json.loads(frames[1])["eventTime"] > json.loads(frames[0])["eventTime"][:3] + "3"
        await client.control("reset")
        await client.control("push", count=2)
        assert positions(await read_events(socket, 2)) == [1, 2]
        told = await client.get("/_ctl/ledger?stream=wfm")
        assert told["exists"] == [[0, 1, 2], [0, 8, 9], [1, 1, 2]]
        assert (told["head"], told["epoch"]) == (2, 1)
        await socket.close()


@pytest.mark.parametrize(("policy", "start"), [("head", 6), ("oldest", 5), ("refuse", None)])
async def test_an_expired_position(policy: str, start: int | None) -> None:
    """The present, the oldest kept, or a refusal."""
    hand = Hand()
    async with platform(hand, rate=0, backlog=5, retention_s=60, expired_position=policy) as client:
        hand.move(client.simulator, 61)
        await client.control("push")
        if start is None:
            assert (await client.refused(2)).status == 410
            return
        socket = await client.open(2)
        record = client.simulator.world.ledger.of("wfm")[0]
        assert (record.expired_position, record.start) == (True, start)
        await socket.close()


@pytest.mark.parametrize(
    ("kind", "status"), [("429", 429), ("invalid_grant", 400), ("401", 401), ("500", 500), ("slow", 200)]
)
async def test_token_endpoint_in_trouble(kind: str, status: int) -> None:
    """For one request; the next is fine."""
    async with platform() as client:
        await client.control("token_trouble", kind=kind, requests=1, retry_after_s=3, delay_s=0.05)
        answered, _, headers = await client.token()
        assert answered == status
        assert headers.get("Retry-After") == (None if kind == "slow" else "3")
        assert (await client.token())[0] == 200


async def test_token_endpoint_talks_nonsense() -> None:
    """200 with HTML for as long as it is told to."""
    async with platform() as client:
        await client.control("token_trouble", kind="garbage", seconds=60)
        for _ in range(2):
            async with client.session.post(client.simulator.token_url, headers=CREDENTIALS) as answer:
                assert (answer.status, answer.content_type) == (200, "text/html")


async def test_token_bursts_are_refused() -> None:
    """429 with Retry-After."""
    async with platform(token_burst_s=60) as client:
        assert (await client.token())[0] == 200
        status, _, headers = await client.token()
        assert (status, headers["Retry-After"]) == (429, "60")


async def test_the_snapshot_lists_active_conversations() -> None:
    """With the position they belong to; per channel."""
    async with platform(rate=0, backlog=40, conversations=20) as client:
        await client.control("push", stream="crm", count=2)
        headers = await client.bearer()
        wfm, crm = [await client.get(f"/summary?channel={name}", headers) for name in ("wfm", "crm")]
        assert (wfm["sequenceId"], crm["sequenceId"]) == (40, 42)
        assert 10 < len(wfm["conversations"]) <= 20
        assert {"conversationId", "mediaType", "state", "queueId"} <= set(wfm["conversations"][0])


async def test_controls_refuse_nonsense() -> None:
    """404 for an unknown name, 400 for arguments that do not fit; query arguments are converted."""
    async with platform(rate=0) as client:
        url = client.simulator.base_url + "/_ctl/"
        for path, status in [
            ("explode", 404),
            ("quiet?seconds=soon", 400),
            ("quiet", 400),
            ("jump?count=1&huh=2", 400),
            ("jump?count=4&stream=wfm", 200),
        ]:
            async with client.session.post(url + path) as answer:
                assert answer.status == status, path
        async with client.session.post(url + "jump", data=b"[1") as answer:
            assert answer.status == 400
        async with client.session.get(url + "ledger") as answer:
            assert answer.status == 400
        async with client.session.get(client.simulator.stream_url.format(channel="a").replace("ws", "http")) as answer:
            assert answer.status == 426
        await client.control("push", stream="wfm")
        assert [position for position, _ in client.simulator.truth("wfm")] == [5]


async def test_stop_closes_everything_and_leaves_no_task() -> None:
    """Open, frozen, unread and stalled sockets all end; a later start on the port goes on with the history."""
    before = asyncio.all_tasks()
    async with platform(rate=0, backlog=20_000, payload_bytes=2000) as client:
        simulator = client.simulator
        idle, frozen = await client.open(20_000), await client.open(20_000, "crm")
        unread = await client.open(0, "unread")
        simulator.freeze(60, "crm", new=True)
        headers = await client.bearer()
        stalled = asyncio.create_task(client.open(0, "crm", headers))
        await until(lambda: simulator.world.ledger.of("unread")[0].opened_at_s > 0)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(simulator.stop())
            codes = [await expect_close(socket) for socket in (idle, frozen)]
        assert {code for code, _ in codes} == {1001}
        assert not simulator.world.sockets
        await asyncio.gather(stalled, return_exceptions=True)
        await unread.close()
        await simulator.stop()
        await simulator.start(port=simulator.port)
        again = await client.open(19_999)
        assert positions(await read_events(again, 1)) == [20_000]
        await again.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_port_that_is_taken() -> None:
    """The error is the system's, and nothing is left behind; starting twice is a mistake."""
    async with Simulator() as first:
        second = Simulator()
        with pytest.raises(OSError, match=str(first.port)):
            await second.start(port=first.port)
        await second.stop()
        with pytest.raises(RuntimeError, match="already running"):
            await first.start()


@pytest.mark.parametrize("end", ["signal", "cancel"])
async def test_the_command_runs_until_it_is_interrupted(end: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints where it listens; SIGINT ends it in order, cancellation too."""
    printed = ""
    running = asyncio.create_task(simulate(SimulatorSettings(client_id="wfm"), 0))
    async with asyncio.timeout(PATIENCE_S):
        while "_ctl" not in printed:
            await asyncio.sleep(0.005)
            printed += capsys.readouterr().out
    assert "client wfm" in printed
    if end == "signal":
        signal.raise_signal(signal.SIGINT)
        await asyncio.wait_for(running, PATIENCE_S)
    else:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
