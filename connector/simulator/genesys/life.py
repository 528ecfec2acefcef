"""What happens in the contact centre: conversations from their start to their end, and what is told of each step. Pure.

A *happening* is one step of one conversation. The same seed gives the same happenings, as long as the directory stays
the same. Two notifications never have the same topic and body, since no two happenings have the same millisecond.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

import orjson

from connector.simulator.genesys.directory import Directory, Entity, made_id

STEPS = ("customer.start", "acd.start", "acd.end", "user.start", "user.end", "acw", "wrapup", "customer.end")


class Notification(NamedTuple):
    """One thing that is told. ``number`` counts them over everything; ``keys``: what it is about; ``body`` is JSON."""

    number: int
    topic: str
    time_ms: int
    keys: dict[str, str]
    body: bytes
    sha256: str


@dataclass(slots=True)
class Conversation:
    """A conversation so far: when each step took place, in milliseconds of the platform's clock."""

    conversation_id: str
    queue: Entity
    user: Entity
    times_ms: dict[str, int] = field(default_factory=dict)

    def part_id(self, what: str) -> str:
        """The id of a participant or session."""
        return made_id(0, f"{self.conversation_id}/{what}")


def iso(time_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds and Z."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Life:
    """The organisation's day."""

    def __init__(self, seed: int, conversations: int, directory: Directory) -> None:
        self._seed = seed
        self._chance = Random(seed)  # noqa: S311 - a script, not a secret
        self._directory = directory
        self._going_on: list[Conversation | None] = [None] * conversations
        self._waiting: dict[str, int] = {}
        self._last_ms = 0
        self.conversations: list[Conversation] = []
        self.told: list[Notification] = []

    def happen(self, time_ms: int) -> list[Notification]:
        """The next step of some conversation; ``time_ms`` is moved on where something else happened at that instant."""
        time_ms = self._last_ms = max(time_ms, self._last_ms + 1)
        seat = self._chance.randrange(len(self._going_on))
        conversation = self._going_on[seat] or self._begin(seat)
        step = STEPS[len(conversation.times_ms)]
        conversation.times_ms[step] = time_ms
        if step == STEPS[-1]:
            self._going_on[seat] = None
        told = list(self._tell(conversation, step, time_ms))
        self.told += told
        return told

    def _begin(self, seat: int) -> Conversation:
        begun = Conversation(
            made_id(self._seed, f"conversation/{len(self.conversations)}"),
            self._chance.choice(self._directory.queues),
            self._chance.choice(self._directory.users),
        )
        self._going_on[seat] = begun
        self.conversations.append(begun)
        return begun

    def _tell(self, talk: Conversation, step: str, time_ms: int) -> Iterator[Notification]:
        first = len(self.told) + 1
        about = {"conversationId": talk.conversation_id}
        queue, user = talk.queue.entity_id, talk.user.entity_id
        bodies: list[tuple[str, dict[str, str], dict[str, Any]]] = [
            (f"v2.detail.events.conversation.{talk.conversation_id}.{step}", about, _detail(talk, step))
        ]
        if "acd.start" in talk.times_ms:
            snapshot = _snapshot(talk)
            bodies.append((f"v2.routing.queues.{queue}.conversations", about | {"queueId": queue}, snapshot))
            if "user.start" in talk.times_ms:
                bodies.append((f"v2.users.{user}.conversations", about | {"userId": user}, snapshot))
        if step in ("acd.start", "acd.end"):
            body = self._observation(queue, step, time_ms)
            bodies.append((f"v2.analytics.queues.{queue}.observations", {"queueId": queue}, body))
        bodies += ((f"v2.users.{user}.{what}", {"userId": user}, body) for what, body in _status(user, step, time_ms))
        for number, (topic, keys, body) in enumerate(bodies, first):
            digest = hashlib.sha256(orjson.dumps([topic, body], option=orjson.OPT_SORT_KEYS)).hexdigest()
            yield Notification(number, topic, time_ms, keys, orjson.dumps(body), digest)

    def _observation(self, queue: str, step: str, time_ms: int) -> dict[str, Any]:
        self._waiting[queue] = self._waiting.get(queue, 0) + (1 if step == "acd.start" else -1)
        metrics = [{"metric": "oWaiting", "stats": {"count": self._waiting[queue]}}]
        interval = f"{iso(time_ms)}/{iso(time_ms)}"
        group = {"queueId": queue, "mediaType": "voice"}
        return {"group": group, "data": [{"interval": interval, "metrics": metrics}]}


def _detail(talk: Conversation, step: str) -> dict[str, Any]:
    """A detail event, as the SDK's ``…DetailEventTopic…`` models have it."""
    who = {"customer": "customer", "acd": "acd"}.get(step.partition(".")[0], "agent")
    body: dict[str, Any] = {
        "eventTime": talk.times_ms[step],
        "conversationId": talk.conversation_id,
        "participantId": talk.part_id(who),
        "sessionId": talk.part_id(f"{who}/session"),
        "mediaType": "VOICE",
        "provider": "Edge",
        "direction": "INBOUND",
        "ani": "tel:+498912345678",
        "dnis": "tel:+4980012345",
    }
    if who != "customer":
        body["queueId"] = talk.queue.entity_id
    if who == "agent" and step != "wrapup":
        body["userId"] = talk.user.entity_id
    if step.endswith(".end"):
        body["disconnectType"] = "TRANSFER" if who == "acd" else "CLIENT"
    if step == "acd.end":
        body |= {"acdOutcome": "ANSWERED", "answeredUserId": talk.user.entity_id}
    if step in ("acw", "wrapup"):
        body["wrapupCode"] = talk.part_id("wrapup")
    return body


def _snapshot(talk: Conversation) -> dict[str, Any]:
    """The conversation as it stands, as the SDK's ``QueueConversationEventTopicConversation`` has it."""
    participants = [_participant(talk, "customer", "customer.start", "customer.end")]
    participants.append(_participant(talk, "acd", "acd.start", "acd.end") | {"queueId": talk.queue.entity_id})
    if "user.start" in talk.times_ms:
        agent = _participant(talk, "agent", "user.start", "user.end")
        agent |= {"queueId": talk.queue.entity_id, "userId": talk.user.entity_id}
        if "acw" in talk.times_ms:
            agent["endAcwTime"] = iso(talk.times_ms["acw"])
        if "wrapup" in talk.times_ms:
            agent["wrapup"] = {"code": talk.part_id("wrapup"), "endTime": iso(talk.times_ms["wrapup"])}
        participants.append(agent)
    return {"id": talk.conversation_id, "participants": participants}


def _participant(talk: Conversation, purpose: str, begin: str, end: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": talk.part_id(purpose),
        "purpose": purpose,
        "connectedTime": iso(talk.times_ms[begin]),
    }
    over = end in talk.times_ms
    if over:
        shown["endTime"] = iso(talk.times_ms[end])
    call = {"id": talk.part_id(f"{purpose}/session"), "state": "disconnected" if over else "connected"}
    return shown | {"calls": [call | {"direction": "inbound"}]}


def _status(user: str, step: str, time_ms: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is told of the agent: routing status around the conversation, presence around the work after it."""
    since = iso(time_ms)
    if step in ("user.start", "wrapup"):
        routing = {"status": "INTERACTING" if step == "user.start" else "IDLE", "startTime": since}
        yield "routingStatus", {"id": user, "routingStatus": routing}
        yield "activity", {"id": user, "routingStatus": routing}
    if step in ("user.end", "acw"):
        presence = "Busy" if step == "user.end" else "On Queue"
        definition = {"id": made_id(0, f"presence/{presence}"), "systemPresence": presence.upper().replace(" ", "_")}
        yield (
            "presence",
            {
                "source": "PURECLOUD",
                "presenceDefinition": definition,
                "primary": True,
                "message": "",
                "modifiedDate": since,
            },
        )
