"""The simulated Genesys Cloud over real sockets: what a client of its wire sees, fault by fault."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from connector.simulator.genesys import GenesysCloud, GenesysSettings

PATIENCE_S = 10.0
CHANNELS = "/api/v2/notifications/channels"
BASIC = {"Authorization": aiohttp.encode_basic_auth("simulator", "simulator-secret")}


class Client:
    """Speaks the wire, independently of the bridge."""

    def __init__(self, cloud: GenesysCloud, session: aiohttp.ClientSession, bearer: dict[str, str]) -> None:
        self.cloud = cloud
        self.session = session
        self.bearer = bearer

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body."""
        url = self.cloud.base_url + path
        async with self.session.request(method, url, json=body, headers=self.bearer) as answer:
            return answer.status, await answer.json() if answer.content_length else None

    async def channel(self, topics: Iterable[str]) -> tuple[str, ClientWebSocketResponse]:
        """A channel of these topics and its socket."""
        _, made = await self.ask("POST", CHANNELS)
        await self.ask("PUT", f"{CHANNELS}/{made['id']}/subscriptions", [{"id": topic} for topic in topics])
        return made["id"], await self.session.ws_connect(made["connectUri"])

    def every_topic(self) -> set[str]:
        """Topics of all queues and users."""
        directory = self.cloud.world.directory
        queues = {f"v2.routing.queues.{each.entity_id}.conversations" for each in directory.queues}
        observed = {f"v2.analytics.queues.{each.entity_id}.observations" for each in directory.queues}
        users = {f"v2.users.{each.entity_id}?presence&routingStatus&activity" for each in directory.users}
        return queues | observed | users


@asynccontextmanager
async def connected(**properties: Any) -> AsyncIterator[Client]:  # noqa: ANN401 - the simulator's own settings
    """A client with a token, of an organisation of this test's own."""
    settings = GenesysSettings(**{"rate": 0.0, "queues": 2, "users": 4, **properties})
    async with GenesysCloud(settings) as cloud, aiohttp.ClientSession() as session:
        form = {"grant_type": "client_credentials"}
        async with session.post(f"{cloud.base_url}/oauth/token", data=form, headers=BASIC) as answer:
            token = (await answer.json())["access_token"]
        yield Client(cloud, session, {"Authorization": f"Bearer {token}"})


async def heard(socket: ClientWebSocketResponse) -> dict[str, Any]:
    """The next message."""
    message: dict[str, Any] = await socket.receive_json(timeout=PATIENCE_S)
    return message


async def notifications(socket: ClientWebSocketResponse, count: int) -> list[tuple[str, Any]]:
    """Topic and body of the next so many notifications."""
    messages = [await heard(socket) for _ in range(count)]
    return [(each["topicName"], each["eventBody"]) for each in messages]


async def ended(socket: ClientWebSocketResponse) -> int | None:
    """The code the socket is closed with, once it is."""
    while (await socket.receive(timeout=PATIENCE_S)).type is WSMsgType.TEXT:
        pass
    return socket.close_code


async def test_a_channel_tells_what_it_is_subscribed_to_in_order() -> None:
    """Everything of its topics that happens while it listens, as it happened, and nothing else."""
    async with connected() as client:
        topics = client.every_topic()
        client.cloud.push(50)  # before anybody listens: gone
        _, socket = await client.channel(topics)
        already = len(list(client.cloud.told()))
        client.cloud.push(200)
        wanted = [each for each in list(client.cloud.told())[already:] if "detail" not in each.topic]
        wanted = [each for each in wanted if not each.topic.endswith(".conversations") or "queues" in each.topic]
        found = await notifications(socket, len(wanted))
        assert [topic for topic, _ in found] == [each.topic for each in wanted]
        record = client.cloud.ledger()["sockets"][0]
        assert record["sent"] == [each.number for each in wanted]


async def test_a_second_socket_closes_the_first() -> None:
    """One socket a channel: the later one goes on."""
    async with connected() as client:
        channel, first = await client.channel(client.every_topic())
        second = await client.session.ws_connect(f"{client.cloud.base_url}/channels/{channel}")
        assert await ended(first) == 1001
        client.cloud.push(50)
        await heard(second)


async def test_heartbeats_and_pings() -> None:
    """Heartbeats come by themselves, a ping is answered."""
    async with connected(heartbeat_s=0.2) as client:
        _, socket = await client.channel([])
        await socket.send_json({"message": "ping"})
        found = [await heard(socket) for _ in range(3)]
        assert {each["topicName"] for each in found} == {"channel.metadata"}
        assert Counter(each["eventBody"]["message"] for each in found) == {"pong": 1, "WebSocket Heartbeat": 2}


@pytest.mark.parametrize("fault", ["evict", "expire_channels", "starve", "expire_tokens"])
async def test_a_starving_socket_stays_open_and_tells_nothing(fault: str) -> None:
    """Heartbeats prove nothing: the channel is gone, or its subscriptions are."""
    async with connected(heartbeat_s=0.1) as client:
        channel, socket = await client.channel(client.every_topic())
        getattr(client.cloud, fault)()
        client.cloud.push(100)
        assert {(await heard(socket))["topicName"] for _ in range(5)} == {"channel.metadata"}
        status, _ = await client.ask("HEAD", f"{CHANNELS}/{channel}")
        assert status == {"starve": 200, "expire_tokens": 401}.get(fault, 404)


async def test_a_dead_channel_may_close_its_socket() -> None:
    """The other way the platform may behave."""
    async with connected(dead_socket="closes") as client:
        _, socket = await client.channel([])
        client.cloud.evict()
        assert await ended(socket) == 1001


async def test_the_platform_announces_its_ends() -> None:
    """socket_closing before a close, no_longer_subscribed, token_revoked."""
    async with connected() as client:
        channel, socket = await client.channel(client.every_topic())
        client.cloud.closing(0.3)
        assert (await heard(socket))["topicName"] == "v2.system.socket_closing"
        assert await ended(socket) == 1001
        socket = await client.session.ws_connect(f"{client.cloud.base_url}/channels/{channel}")
        client.cloud.starve(told=True)
        lost = await heard(socket)
        assert (lost["topicName"], lost["eventBody"]["channelId"]) == (
            f"v2.system.no_longer_subscribed.{channel}",
            channel,
        )
        client.cloud.revoke_tokens()
        assert (await heard(socket))["topicName"].startswith("v2.system.token_revoked.")
        assert (await client.ask("GET", CHANNELS))[0] == 401


async def test_two_channels_may_differ_in_what_they_tell_and_when() -> None:
    """One-sided: together they have everything, neither has it alone. Reordered: the same, in another order."""
    async with connected() as client:
        topics = client.every_topic()
        sockets = [(await client.channel(topics))[1] for _ in range(2)]
        client.cloud.one_sided(60)
        client.cloud.push(100)
        await asyncio.sleep(0.3)
        sent = [record["sent"] for record in client.cloud.ledger()["sockets"]]
        assert all(sent)
        assert not set(sent[0]) & set(sent[1])
        client.cloud.clear()
        client.cloud.reorder(60)
        before = [len(each) for each in sent]
        client.cloud.push(100)
        await asyncio.sleep(0.5)
        first, second = (r["sent"][n:] for r, n in zip(client.cloud.ledger()["sockets"], before, strict=True))
        assert sorted(first) == sorted(second)
        assert first != second
        keys = {each.number: each.keys for each in client.cloud.told()}
        for name in {(name, value) for each in keys.values() for name, value in each.items()}:
            own = [[number for number in each if name in keys[number].items()] for each in (first, second)]
            assert own[0] == own[1]
        for each in sockets:
            await each.close()


async def test_duplicates_and_delays() -> None:
    """The last notifications once more; later ones late, in their order."""
    async with connected() as client:
        _, socket = await client.channel(client.every_topic())
        client.cloud.push(20)
        await asyncio.sleep(0.1)
        sent = client.cloud.ledger()["sockets"][0]["sent"]
        client.cloud.duplicate(3)
        await asyncio.sleep(0.1)
        assert client.cloud.ledger()["sockets"][0]["sent"] == sent + sent[-3:]
        client.cloud.delay(60, 0.5)
        client.cloud.push(20)
        await asyncio.sleep(0.1)
        assert len(client.cloud.ledger()["sockets"][0]["sent"]) == len(sent) + 3
        await asyncio.sleep(0.6)
        later = client.cloud.ledger()["sockets"][0]["sent"][len(sent) + 3 :]
        assert later
        assert later == sorted(later)
        await socket.close()


async def test_faults_over_http() -> None:
    """Named faults with checked arguments; what is unknown is told with what there is."""
    async with connected() as client:
        _, socket = await client.channel([])
        assert (await client.ask("POST", "/_ctl/noise", {"data": "{}"}))[1] == {"result": 1}
        assert await heard(socket) == {}
        assert (await client.ask("POST", "/_ctl/throttle", {"seconds": "soon"}))[0] == 400
        status, body = await client.ask("POST", "/_ctl/nonsense", {})
        assert (status, "evict" in body["known"]) == (404, True)
        await client.ask("POST", "/_ctl/throttle", {"seconds": 60, "path": "/queues"})
        assert [(await client.ask("GET", path))[0] for path in ("/api/v2/routing/queues", "/api/v2/users")] == [
            429,
            200,
        ]
        await client.ask("POST", "/_ctl/abort", {})
        assert await ended(socket) == 1006
        assert (await client.ask("GET", "/_ctl/stats"))[1]["sockets"] == {"opened": 1, "open": 0, "displaced": 0}


async def test_an_outage_keeps_channels_and_tokens() -> None:
    """After stop and start on the same port the channel goes on; what happened meanwhile is gone."""
    async with connected() as client:
        channel, socket = await client.channel(client.every_topic())
        port = client.cloud.port
        code, _ = await asyncio.gather(ended(socket), client.cloud.stop())
        assert code == 1001
        client.cloud.push(50)
        await client.cloud.start(port=port)
        assert (await client.ask("HEAD", f"{CHANNELS}/{channel}"))[0] == 200
        again = await client.session.ws_connect(f"{client.cloud.base_url}/channels/{channel}")
        already = len(list(client.cloud.told()))
        client.cloud.push(50)
        await heard(again)
        assert min(client.cloud.ledger()["sockets"][1]["sent"]) > already
