"""The simulated Genesys Cloud without a network: caps, ends of channels, topics, what happens, the details query."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from connector.simulator.genesys import GenesysCloud, GenesysSettings
from connector.simulator.genesys.api import Request, answer
from connector.simulator.genesys.life import iso
from connector.simulator.genesys.topics import TopicFault, expand

CHANNELS = "/api/v2/notifications/channels"
SECRET = "simulator-secret"
DETAILS = "/api/v2/analytics/conversations/details/query"


class Desk:
    """One organisation whose clock stands still until it is moved, and an OAuth client of it."""

    def __init__(self, **properties: Any) -> None:  # noqa: ANN401 - each test names the properties it is about
        self.now_s = 1_800_000_000.0
        self.cloud = GenesysCloud(GenesysSettings(**{"rate": 0.0, **properties}), lambda: self.now_s)
        self.world = self.cloud.world

    def token(self, client: str = "simulator", secret: str = SECRET) -> str:
        """A fresh access token."""
        basic = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()
        found = self.world.clients.request(basic, {"grant_type": "client_credentials"}, self.world.platform_now())
        assert isinstance(found, tuple)
        return found[0].value

    def ask(self, token: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body of an answer; ``path`` may have a query."""
        bare, _, query = path.partition("?")
        pairs = [pair.partition("=") for pair in query.split("&") if pair]
        asked = Request(
            method,
            bare,
            {name: [value] for name, _, value in pairs},
            orjson.dumps(body),
            f"Bearer {token}",
            "ws://here",
        )
        answered = answer(self.world, asked)
        return answered.status, answered.body

    def channel(self, token: str) -> str:
        """A new channel's id."""
        status, body = self.ask(token, "POST", CHANNELS)
        assert status == 200
        return str(body["id"])

    def alive(self, token: str, channel: str) -> bool:
        """What HEAD says."""
        return self.ask(token, "HEAD", f"{CHANNELS}/{channel}")[0] == 200


def test_the_21st_channel_evicts_the_longest_unused_one() -> None:
    """Creating one too many ends the one whose last use is longest ago, and the count never exceeds the cap."""
    desk = Desk()
    token = desk.token()
    channels = []
    for _ in range(20):
        desk.now_s += 1
        channels.append(desk.channel(token))
    desk.ask(token, "PUT", f"{CHANNELS}/{channels[0]}/subscriptions", [{"id": "v2.users.a.presence"}])
    desk.now_s += 1
    desk.channel(token)
    assert [desk.alive(token, each) for each in channels[:3]] == [True, False, True]
    assert desk.cloud.stats()["channels"]["simulator"] == {"alive": 20, "most_alive": 20, "created": 21, "evicted": 1}


def test_channels_with_a_connection_are_evicted_last() -> None:
    """However long ago it was used: a connected channel outlives those without a socket."""
    desk = Desk(max_channels=2)
    token = desk.token()
    connected, idle = desk.channel(token), desk.channel(token)
    desk.world.channels.all[connected].connected = True
    desk.now_s += 1
    desk.channel(token)
    assert (desk.alive(token, connected), desk.alive(token, idle)) == (True, False)


def test_the_cap_counts_for_each_client() -> None:
    """Another application's channels are its own."""
    desk = Desk(max_channels=1, clients={"one": "1", "two": "2"})
    one, two = desk.token("one", "1"), desk.token("two", "2")
    channel = desk.channel(one)
    desk.channel(two)
    assert desk.alive(one, channel)
    assert not desk.alive(two, channel)


def test_a_channel_dies_with_the_token_that_made_it() -> None:
    """404 for whoever asks, also with a newer token."""
    desk = Desk(token_life_s=600)
    token = desk.token()
    channel = desk.channel(token)
    desk.now_s += 599
    newer = desk.token()
    assert desk.alive(newer, channel)
    desk.now_s += 1
    assert not desk.alive(newer, channel)
    assert desk.ask(token, "GET", CHANNELS)[0] == 401


def test_a_token_on_which_nothing_is_asked_ends() -> None:
    """Every request puts it off; without one the token is dead, and its channels are no more."""
    desk = Desk(token_idle_s=900)
    token = desk.token()
    channel = desk.channel(token)
    for _ in range(3):
        desk.now_s += 899
        assert desk.alive(token, channel)
    desk.now_s += 900
    assert desk.ask(token, "HEAD", f"{CHANNELS}/{channel}")[0] == 401
    assert not desk.alive(desk.token(), channel)


def test_subscribing_extends_the_life_of_a_channel() -> None:
    """A day since the last subscription, not since the creation."""
    desk = Desk(channel_life_s=100)
    token = desk.token()
    channel = desk.channel(token)
    desk.now_s += 90
    assert desk.ask(token, "PUT", f"{CHANNELS}/{channel}/subscriptions", [])[0] == 200
    desk.now_s += 90
    assert desk.alive(token, channel)
    desk.now_s += 10
    assert not desk.alive(token, channel)


def test_ids_of_other_tokens_channels_are_not_shown() -> None:
    """They count, and are listed to show that they exist."""
    desk = Desk()
    first, second = desk.token(), desk.token()
    channel = desk.channel(first)
    assert [each.get("id") for each in desk.ask(first, "GET", CHANNELS)[1]["entities"]] == [channel]
    assert desk.ask(second, "GET", CHANNELS)[1]["entities"] == []
    others = desk.ask(second, "GET", f"{CHANNELS}?includechannels=oauthclient")[1]["entities"]
    assert [each.get("id") for each in others] == [None]


@pytest.mark.parametrize(("owner", "status"), [("app", 200), ("token", 404)])
def test_who_may_name_a_channel(owner: str, status: int) -> None:
    """Every token of the application, or only the one that made it."""
    desk = Desk(channel_owner=owner)
    channel = desk.channel(desk.token())
    assert desk.ask(desk.token(), "HEAD", f"{CHANNELS}/{channel}")[0] == status


def test_subscriptions_are_added_replaced_and_removed() -> None:
    """POST adds, PUT replaces, DELETE leaves none; a fault changes nothing."""
    desk = Desk()
    token = desk.token()
    path = f"{CHANNELS}/{desk.channel(token)}/subscriptions"

    def ids() -> list[str]:
        return [each["id"] for each in desk.ask(token, "GET", path)[1]["entities"]]

    desk.ask(token, "PUT", path, [{"id": "v2.users.a.presence"}])
    desk.ask(token, "POST", path, [{"id": "v2.users.b?presence&activity"}])
    assert ids() == ["v2.users.a.presence", "v2.users.b?presence&activity"]
    assert desk.ask(token, "PUT", path, [{"id": "v2.users.c.presence"}, {"id": "nonsense"}])[0] == 400
    assert ids() == ["v2.users.a.presence", "v2.users.b?presence&activity"]
    desk.ask(token, "PUT", path, [{"id": "v2.users.c.presence"}])
    assert ids() == ["v2.users.c.presence"]
    desk.ask(token, "DELETE", path)
    assert ids() == []


def test_the_thousand_and_first_topic_is_refused() -> None:
    """400, and the channel keeps what it has."""
    desk = Desk()
    token = desk.token()
    path = f"{CHANNELS}/{desk.channel(token)}/subscriptions"
    thousand = [{"id": f"v2.users.{number}.presence"} for number in range(1000)]
    assert desk.ask(token, "PUT", path, thousand)[0] == 200
    assert desk.ask(token, "POST", path, [{"id": "v2.users.x.presence"}])[0] == 400
    assert len(desk.ask(token, "GET", path)[1]["entities"]) == 1000


def test_topics_without_permission() -> None:
    """403 for the request as a whole; with ignoreErrors the others are subscribed and these are told."""
    desk = Desk()
    token = desk.token()
    path = f"{CHANNELS}/{desk.channel(token)}/subscriptions"
    desk.cloud.forbid("v2.analytics.")
    both = [{"id": "v2.users.a.presence"}, {"id": "v2.analytics.queues.q.observations"}]
    assert desk.ask(token, "PUT", path, both)[0] == 403
    status, body = desk.ask(token, "PUT", f"{path}?ignoreErrors=true", both)
    assert (status, [each["state"] for each in body["entities"]]) == (200, ["Permitted", "Rejected"])
    assert body["entities"][1]["missingPermissions"] == ["analytics:queueObservation:view"]


@pytest.mark.parametrize(
    ("topic_id", "topics"),
    [
        ("v2.users.a.presence", ("v2.users.a.presence",)),
        ("v2.users.a?presence&routingStatus", ("v2.users.a.presence", "v2.users.a.routingStatus")),
        ("v2.detail.events.conversation.c.acd.end", ("v2.detail.events.conversation.c.acd.end",)),
        ("v2.users.a.nonsense", None),
        ("v2.users.{id}.presence", None),
        ("v2.users.a?", None),
        (f"v2.users.{'a' * 190}?presence", None),
    ],
)
def test_what_a_subscription_stands_for(topic_id: str, topics: tuple[str, ...] | None) -> None:
    """Itself, or the topics it combines; what is unknown or too long is refused."""
    found = expand(topic_id)
    assert isinstance(found, TopicFault) if topics is None else found == topics


def test_the_rate_limit_is_told_and_enforced() -> None:
    """Each answer counts; beyond what is allowed there is 429 with the seconds to wait, until the window is over."""
    desk = Desk(rate_allowed=2, rate_window_s=10.0)
    token = desk.token()
    assert [desk.ask(token, "GET", CHANNELS)[0] for _ in range(3)] == [200, 200, 429]
    asked = Request("GET", CHANNELS, {}, b"", f"Bearer {token}", "ws://here")
    headers = answer(desk.world, asked).headers
    assert headers == {
        "inin-ratelimit-count": "4", "inin-ratelimit-allowed": "2", "inin-ratelimit-reset": "10", "Retry-After": "10",
    }  # fmt: skip
    assert desk.ask(desk.token(), "GET", CHANNELS)[0] == 200
    desk.now_s += 10
    assert desk.ask(token, "GET", CHANNELS)[0] == 200


def test_what_happens_is_the_same_for_the_same_seed_and_never_twice() -> None:
    """Topics and bodies repeat with the seed; within a life no notification equals another."""
    lives = [Desk(seed=seed, conversations=3) for seed in (7, 7, 8)]
    for desk in lives:
        desk.cloud.push(500)
    told = [[each.sha256 for each in desk.cloud.told()] for desk in lives]
    assert told[0] == told[1] != told[2]
    assert len(set(told[0])) == len(told[0]) > 1000
    assert [each.number for each in lives[0].cloud.told()] == list(range(1, len(told[0]) + 1))


def interval(desk: Desk, begin_s: float, end_s: float) -> str:
    """Seconds before and after the desk's now, as the query wants them."""
    return f"{iso(round((desk.now_s + begin_s) * 1000))}/{iso(round((desk.now_s + end_s) * 1000))}"


def test_the_details_query_gives_every_conversation_once() -> None:
    """Over all pages: those of the interval, ordered by their start, as they stood; what lies outside is not there."""
    desk = Desk(conversations=5)
    token = desk.token()
    desk.cloud.push(400)
    desk.now_s += 10
    pages, found = 1, []
    while True:
        query = {"interval": interval(desk, -60, 0), "paging": {"pageSize": 20, "pageNumber": pages}}
        status, body = desk.ask(token, "POST", DETAILS, query)
        assert status == 200
        if "conversations" not in body:
            break
        found += body["conversations"]
        pages += 1
    begun = [each.conversation_id for each in desk.world.life.conversations]
    assert sorted(each["conversationId"] for each in found) == sorted(begun)
    assert body["totalHits"] == len(begun) > 40
    starts = [each["conversationStart"] for each in found]
    assert starts == sorted(starts)
    assert sum("conversationEnd" not in each for each in found) <= 5
    later = desk.ask(token, "POST", DETAILS, {"interval": interval(desk, 0, 5)})[1]
    assert later["totalHits"] == sum("conversationEnd" not in each for each in found)


def test_the_details_query_filters() -> None:
    """Predicates of both kinds of filters hold together."""
    desk = Desk(conversations=5)
    token = desk.token()
    desk.cloud.push(400)
    desk.now_s += 1
    queue = desk.world.directory.queues[0].entity_id
    wanted = {
        "interval": interval(desk, -60, 0),
        "segmentFilters": [{"type": "or", "predicates": [{"dimension": "queueId", "value": queue}]}],
        "paging": {"pageSize": 100, "pageNumber": 1},
    }
    body = desk.ask(token, "POST", DETAILS, wanted)[1]
    own = {each.conversation_id for each in desk.world.life.conversations if each.queue.entity_id == queue}
    started = {each.conversation_id for each in desk.world.life.conversations if "acd.start" in each.times_ms}
    assert {each["conversationId"] for each in body["conversations"]} == own & started


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2027-01-15T08:00:00Z/2027-01-15T07:00:00Z", "2027-01-01T00:00:00Z/2027-03-01T00:00:00Z"]
)
def test_intervals_that_mean_nothing(text: str) -> None:
    """400: no interval, the wrong way round, too long."""
    desk = Desk()
    assert desk.ask(desk.token(), "POST", DETAILS, {"interval": text})[0] == 400


def test_the_details_query_lags_behind() -> None:
    """What happened less than the lag ago is not known yet."""
    desk = Desk(details_lag_s=30)
    token = desk.token()
    desk.cloud.push(10)
    desk.now_s += 29
    assert desk.ask(token, "POST", DETAILS, {"interval": interval(desk, -60, 0)})[1]["totalHits"] == 0
    desk.now_s += 2
    assert desk.ask(token, "POST", DETAILS, {"interval": interval(desk, -60, 0)})[1]["totalHits"] > 0


def test_lists_are_paged_and_filtered() -> None:
    """Queues by name with asterisks, users by department; every page says how many there are."""
    desk = Desk(queues=12, users=30)
    token = desk.token()
    page = desk.ask(token, "GET", "/api/v2/routing/queues?pageSize=5&pageNumber=3")[1]
    assert (len(page["entities"]), page["total"], page["pageCount"]) == (2, 12, 3)
    assert "nextUri" not in page
    named = desk.ask(token, "GET", "/api/v2/routing/queues?name=Bill*")[1]["entities"]
    assert [each["name"] for each in named] == ["Billing", "Billing 2"]
    query = {"query": [{"type": "EXACT", "fields": ["department"], "value": "Sales"}], "pageSize": 100}
    found = desk.ask(token, "POST", "/api/v2/users/search", query)[1]
    assert (found["total"], {each["department"] for each in found["results"]}) == (15, {"Sales"})
    assert desk.ask(token, "GET", "/api/v2/users?pageSize=501")[0] == 400


def test_a_new_queue_takes_part() -> None:
    """Conversations that begin later may be the new queue's, never a removed one's."""
    desk = Desk(queues=1, conversations=2)
    added = desk.cloud.add_queue("Night shift")
    desk.cloud.remove_queue("Billing")
    desk.cloud.push(100)
    assert {each.queue.entity_id for each in desk.world.life.conversations} == {added}
