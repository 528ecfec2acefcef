"""Notification topics: which there are, what a subscription's id means. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST_ID = 200
"""Characters of a combined topic."""


class Template(NamedTuple):
    """A kind of topic: its id with ``{id}``, what it tells, and the permission it wants."""

    topic_id: str
    description: str
    permission: str


_DETAIL_KINDS = {
    "customer.start": "A customer joins the conversation.",
    "acd.start": "The conversation waits in a queue.",
    "acd.end": "The conversation leaves the queue.",
    "user.start": "An agent joins the conversation.",
    "user.end": "An agent leaves the conversation.",
    "acw": "After-call work ends.",
    "wrapup": "An agent gives a wrap-up code.",
    "customer.end": "A customer leaves the conversation.",
}

TEMPLATES = (
    *(
        Template(f"v2.detail.events.conversation.{{id}}.{kind}", text, "analytics:conversationDetail:view")
        for kind, text in _DETAIL_KINDS.items()
    ),
    Template("v2.routing.queues.{id}.conversations", "Conversations of a queue.", "routing:queue:view"),
    Template("v2.analytics.queues.{id}.observations", "What a queue looks like.", "analytics:queueObservation:view"),
    Template("v2.users.{id}.conversations", "Conversations of a user.", "conversation:communication:view"),
    Template("v2.users.{id}.presence", "Presence of a user.", "user:presence:view"),
    Template("v2.users.{id}.routingStatus", "Routing status of a user.", "routing:routingStatus:view"),
    Template("v2.users.{id}.activity", "Presence, routing status and queues of a user.", "user:presence:view"),
)
_PATTERNS = tuple(re.compile(re.escape(each.topic_id).replace(r"\{id\}", r"[^.?&{}]+")) for each in TEMPLATES)


class TopicFault(NamedTuple):
    """Why a subscription's id is not accepted."""

    reason: str


def expand(topic_id: str) -> tuple[str, ...] | TopicFault:
    """The topics that an id stands for: itself, or those that it combines, as in ``prefix?presence&activity``."""
    prefix, combined, endings = topic_id.partition("?")
    if combined and len(topic_id) > LONGEST_ID:
        return TopicFault(f"a combined topic has at most {LONGEST_ID} characters")
    topics = tuple(f"{prefix}.{ending}" for ending in endings.split("&")) if combined else (topic_id,)
    unknown = [topic for topic in topics if template_of(topic) is None]
    return TopicFault(f"unknown topic {unknown[0]}") if unknown else topics


def template_of(topic: str) -> Template | None:
    """The kind of a topic."""
    return next((each for each, pattern in zip(TEMPLATES, _PATTERNS, strict=True) if pattern.fullmatch(topic)), None)
