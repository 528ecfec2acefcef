"""What a customer's program does with Genesys's own SDK, unmodified, against the address it is given.

Run by the SDK's interpreter (``make test-tools`` makes it): ``python genesys_customer.py BASE_URL EVENTS``. Each answer
and each event, those of the socket and those in the file EVENTS (JSON: a list of topic and body), is held against the
SDK's model of it, field by field, since the SDK itself overlooks what it does not know. The last line it prints is what
it found, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import PureCloudPlatformClientV2 as Genesys
import websockets
from PureCloudPlatformClientV2.rest import ApiException

PATIENCE_S = 20.0
EVENTS = 200
REQUESTS = 100
_CLASSES = {"str": str, "int": int, "bool": bool, "float": (int, float), "object": object}
_UNKNOWN_ENUM = "outdated_sdk_version"

TOPIC_MODELS = (
    (r"v2\.detail\.events\.conversation\..+\.customer\.start", "CustomerStartDetailEventTopicCustomerStartEvent"),
    (r"v2\.detail\.events\.conversation\..+\.customer\.end", "CustomerEndDetailEventTopicCustomerEndEvent"),
    (r"v2\.detail\.events\.conversation\..+\.acd\.start", "AcdStartDetailEventTopicAcdStartEvent"),
    (r"v2\.detail\.events\.conversation\..+\.acd\.end", "AcdEndDetailEventTopicAcdEndEvent"),
    (r"v2\.detail\.events\.conversation\..+\.user\.start", "UserStartDetailEventTopicUserStartEvent"),
    (r"v2\.detail\.events\.conversation\..+\.user\.end", "UserEndDetailEventTopicUserEndEvent"),
    (r"v2\.detail\.events\.conversation\..+\.acw", "AcwDetailEventTopicAfterCallWorkEvent"),
    (r"v2\.detail\.events\.conversation\..+\.wrapup", "WrapupDetailEventTopicWrapupEvent"),
    (r"v2\.routing\.queues\..+\.conversations", "QueueConversationEventTopicConversation"),
    (r"v2\.analytics\.queues\..+\.observations", "StatEventQueueTopicStatsNotification"),
    (r"v2\.users\..+\.conversations", "ConversationEventTopicConversation"),
    (r"v2\.users\..+\.presence", "PresenceEventUserPresence"),
    (r"v2\.users\..+\.routingStatus", "UserRoutingStatusUserRoutingStatus"),
    (r"v2\.users\..+\.activity", "UserActivity"),
)


class Mismatch(Exception):  # noqa: N818 - a finding, not an error of ours
    """An answer that the SDK's model does not describe."""


def hold(value: Any, kind: str, where: str = "$") -> None:  # noqa: ANN401 - JSON
    """Compare JSON with a type in the SDK's own notation; raises :class:`Mismatch` at the first difference."""
    if kind.startswith("list["):
        if not isinstance(value, list):
            raise Mismatch(f"{where}: {kind} is wanted")
        for index, each in enumerate(value):
            hold(each, kind[5:-1], f"{where}[{index}]")
    elif kind.startswith("dict("):
        for name, each in value.items():
            hold(each, kind[5:-1].partition(", ")[2], f"{where}.{name}")
    elif kind == "datetime":
        datetime.fromisoformat(value)
    elif kind in _CLASSES:
        if not isinstance(value, _CLASSES[kind]):  # type: ignore[arg-type]  # a class, or several
            raise Mismatch(f"{where}: {kind} is wanted, not {value!r}")
    else:
        _hold_model(value, kind, where)


def _hold_model(value: Any, kind: str, where: str) -> None:  # noqa: ANN401 - JSON
    model = getattr(Genesys, kind)()
    fields = {name: attribute for attribute, name in model.attribute_map.items()}
    unknown = set(value) - set(fields)
    if unknown:
        raise Mismatch(f"{where}: {kind} has no {sorted(unknown)}")
    for name, each in value.items():
        attribute = fields[name]
        hold(each, model.swagger_types[attribute], f"{where}.{name}")
        if isinstance(each, str) and model.swagger_types[attribute] == "str":
            setattr(model, attribute, each)
            if getattr(model, attribute) == _UNKNOWN_ENUM:
                raise Mismatch(f"{where}.{name}: {kind} does not allow {each!r}")


def hold_event(topic: str, body: Any) -> str:  # noqa: ANN401 - JSON
    """Compare an event's body with the model of its topic; returns the model's name."""
    kind = next(kind for pattern, kind in TOPIC_MODELS if re.fullmatch(pattern, topic))
    hold(body, kind, topic)
    return kind


class Customer:
    """One application with its token."""

    def __init__(self, base_url: str) -> None:
        Genesys.configuration.host = base_url
        self.client = Genesys.api_client.ApiClient()
        self.client.get_client_credentials_token("simulator", "simulator-secret")
        self.notifications = Genesys.NotificationsApi(self.client)
        self.found: dict[str, Any] = {}

    def held(self, answer: Any, kind: str) -> Any:  # noqa: ANN401 - the SDK has no types
        """The SDK's answer, once its JSON is what the model says."""
        hold(json.loads(self.client.last_response.data), kind)
        return answer

    def lists(self) -> list[str]:
        """Ids of what there is: topics of the queues and users that are looked up by name and page by page."""
        available = self.held(
            self.notifications.get_notifications_availabletopics(expand=["description", "requiresPermissions"]),
            "AvailableTopicEntityListing",
        )
        self.found["available"] = len(available.entities)
        routing, users = Genesys.RoutingApi(self.client), Genesys.UsersApi(self.client)
        queues = self.held(routing.get_routing_queues(name="Bill*", page_size=100), "QueueEntityListing").entities
        self.found["queues"] = [queue.name for queue in queues]
        people: list[Any] = []
        while True:
            page = users.get_users(page_size=10, page_number=len(people) // 10 + 1)
            people += self.held(page, "UserEntityListing").entities
            if page.next_uri is None:
                break
        search = Genesys.UserSearchRequest()
        search.query = [Genesys.UserSearchCriteria()]
        search.query[0].type, search.query[0].fields, search.query[0].value = "EXACT", ["department"], "Sales"
        sales = self.held(users.post_users_search(search), "UsersSearchResponse").results
        self.found["users"], self.found["sales"] = len(people), len(sales)
        topics = [f"v2.routing.queues.{queue.id}.conversations" for queue in queues]
        topics += [f"v2.analytics.queues.{queue.id}.observations" for queue in queues]
        return topics + [f"v2.users.{user.id}?presence&routingStatus&activity&conversations" for user in people]

    def channel(self, topics: list[str]) -> Any:  # noqa: ANN401 - the SDK has no types
        """A channel, subscribed step by step."""
        api = self.notifications
        channel = self.held(api.post_notifications_channels(), "Channel")
        own = self.held(api.get_notifications_channels(), "ChannelEntityListing")
        self.found["own"] = [each.id == channel.id for each in own.entities]
        self.held(api.get_notifications_channels(includechannels="oauthclient"), "ChannelEntityListing")
        api.head_notifications_channel(channel.id)
        wanted = [self._topic(each) for each in topics]
        put = api.put_notifications_channel_subscriptions(channel.id, wanted[:1])
        self.held(put, "ChannelTopicEntityListing")
        added = api.post_notifications_channel_subscriptions(channel.id, wanted[1:], ignore_errors=True)
        self.held(added, "ChannelTopicEntityListing")
        there = self.held(api.get_notifications_channel_subscriptions(channel.id), "ChannelTopicEntityListing")
        self.found["subscribed"] = sorted(each.id for each in there.entities) == sorted(topics)
        return channel

    @staticmethod
    def _topic(topic_id: str) -> Any:  # noqa: ANN401 - the SDK has no types
        topic = Genesys.ChannelTopic()
        topic.id = topic_id
        return topic

    async def listen(self, connect_uri: str) -> None:
        """Read events, hold each against its model, and ask for a pong."""
        kinds: Counter[str] = Counter()
        async with websockets.connect(connect_uri) as socket:
            await socket.send(json.dumps({"message": "ping"}))
            pong = False
            for _ in range(EVENTS):
                event = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S))
                topic, body = event["topicName"], event["eventBody"]
                if topic == "channel.metadata":
                    pong = pong or body == {"message": "pong"}
                    continue
                kinds[hold_event(topic, body)] += 1
        self.found["pong"], self.found["kinds"] = pong, kinds

    def details(self) -> None:
        """Every page of the last minutes' conversations."""
        now = datetime.now(UTC) + timedelta(seconds=5)
        query = Genesys.ConversationQuery()
        query.interval = f"{(now - timedelta(minutes=10)).isoformat()}/{now.isoformat()}"
        query.order, query.order_by = "asc", "conversationStart"
        query.paging = Genesys.PagingSpec()
        query.paging.page_size, query.paging.page_number = 10, 1
        api, seen = Genesys.ConversationsApi(self.client), []
        while True:
            page = api.post_analytics_conversations_details_query(query)
            self.held(page, "AnalyticsConversationQueryResponse")
            if not page.conversations:
                break
            seen += [each.conversation_id for each in page.conversations]
            query.paging.page_number += 1
        self.found["conversations"] = {"seen": len(seen), "different": len(set(seen)), "hits": page.total_hits}

    def refusals(self, channel_id: str) -> None:
        """What is not there, what is not allowed, and too much of it."""
        self.found["refused"] = {
            "unknown channel": self._refused(self.notifications.head_notifications_channel, "streaming-0-none"),
            "unknown topic": self._refused(
                self.notifications.put_notifications_channel_subscriptions, channel_id, [self._topic("v9.nonsense")]
            ),
        }
        self.notifications.delete_notifications_channel_subscriptions(channel_id)
        for _ in range(REQUESTS):  # where it is too fast, the SDK waits as long as Retry-After says
            self.notifications.get_notifications_channels()
        self.found["limits"] = dict(self.client.last_response.getheaders())
        order = json.dumps({"seconds": 60, "status": 429, "path": "/users"}).encode()
        urllib.request.urlopen(f"{self.client.host}/_ctl/refuse", order).close()  # noqa: S310 - of the simulator
        self.found["refused"]["too many requests"] = self._refused(Genesys.UsersApi(self.client).get_users)

    @staticmethod
    def _refused(call: Any, *arguments: Any) -> int:  # noqa: ANN401 - the SDK has no types
        try:
            call(*arguments)
        except ApiException as error:
            if error.body:
                hold(json.loads(error.body), "ErrorBody")
            return int(error.status)
        return 200


def main() -> None:
    """All of it, in the order of a program that starts."""
    customer = Customer(sys.argv[1])
    channel = customer.channel(customer.lists())
    asyncio.run(customer.listen(channel.connect_uri))
    customer.details()
    customer.refusals(channel.id)
    events = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    customer.found["every kind"] = len({hold_event(topic, body) for topic, body in events}) == len(TOPIC_MODELS)
    sys.stdout.write(json.dumps(customer.found) + "\n")


if __name__ == "__main__":
    main()
