"""``POST /api/v2/analytics/conversations/details/query``: the conversations of an interval. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from connector.simulator.genesys.directory import DIVISION
from connector.simulator.genesys.life import Conversation, iso

LARGEST_PAGE = 100
LONGEST_INTERVAL = timedelta(days=31)
_SESSIONS = (
    ("customer", "customer.start", "customer.end", "interact"),
    ("acd", "acd.start", "acd.end", "delay"),
    ("agent", "user.start", "user.end", "interact"),
)


class BadQueryError(ValueError):
    """The query means nothing; the text says why."""


def interval_ms(text: object) -> tuple[int, int]:
    """Both ends of an ISO 8601 interval in milliseconds, the second exclusive; raises :class:`BadQueryError`."""
    begin_text, slash, end_text = str(text or "").partition("/")
    try:
        begin, end = datetime.fromisoformat(begin_text), datetime.fromisoformat(end_text)
    except ValueError:
        raise BadQueryError("interval must be two ISO 8601 instants with a slash between them") from None
    if not slash or begin.tzinfo is None or end.tzinfo is None or not begin < end:
        raise BadQueryError("interval must be two ISO 8601 instants with a time zone, the earlier one first")
    if end - begin > LONGEST_INTERVAL:
        raise BadQueryError(f"interval must not be longer than {LONGEST_INTERVAL.days} days")
    return round(begin.timestamp() * 1000), round(end.timestamp() * 1000)


def answer(query: Mapping[str, Any], conversations: Iterable[Conversation], known_until_ms: int) -> dict[str, Any]:
    """The page that is asked for; raises :class:`BadQueryError`.

    Conversations that were going on at some time within the interval, as they stood at ``known_until_ms``. Where the
    page is empty there is no ``conversations``, as at the real platform.
    """
    begin_ms, end_ms = interval_ms(query.get("interval"))
    paging = query.get("paging") or {}
    size, number = paging.get("pageSize", 25), paging.get("pageNumber", 1)
    if not 1 <= size <= LARGEST_PAGE or number < 1:
        raise BadQueryError(f"pageSize must be 1 to {LARGEST_PAGE}, pageNumber at least 1")
    filters = [*query.get("conversationFilters", ()), *query.get("segmentFilters", ())]
    shown = (_shown(each, known_until_ms) for each in conversations)
    found = [
        each for each in shown
        if each and _overlaps(each, begin_ms, end_ms) and all(_passes(each, wanted) for wanted in filters)
    ]  # fmt: skip
    found.sort(key=lambda each: each["conversationStart"], reverse=query.get("order") == "desc")
    page = found[(number - 1) * size : number * size]
    return {"totalHits": len(found)} | ({"conversations": page} if page else {})


def _shown(talk: Conversation, until_ms: int) -> dict[str, Any]:
    """The conversation as it stood; empty where it had not begun."""
    times = {step: time_ms for step, time_ms in talk.times_ms.items() if time_ms <= until_ms}
    if not times:
        return {}
    shown: dict[str, Any] = {
        "conversationId": talk.conversation_id,
        "conversationStart": iso(times["customer.start"]),
        "originatingDirection": "inbound",
        "divisionIds": [DIVISION["id"]],
        "participants": [_participant(talk, times, *each) for each in _SESSIONS if each[1] in times],
    }
    if "customer.end" in times:
        shown["conversationEnd"] = iso(times["customer.end"])
    return shown


def _participant(
    talk: Conversation, times: Mapping[str, int], purpose: str, begin: str, end: str, segment_type: str
) -> dict[str, Any]:
    segment: dict[str, Any] = {
        "segmentStart": iso(times[begin]),
        "segmentType": segment_type,
        "conference": False,
    }
    if end in times:
        segment |= {"segmentEnd": iso(times[end]), "disconnectType": "client" if purpose != "acd" else "transfer"}
    if purpose != "customer":
        segment["queueId"] = talk.queue.entity_id
    segments = [segment]
    if purpose == "agent" and "acw" in times and "user.end" in times:
        acw = {"segmentStart": iso(times["user.end"]), "segmentEnd": iso(times["acw"]), "segmentType": "wrapup"}
        segments.append(acw | {"conference": False, "queueId": talk.queue.entity_id})
    session = {
        "sessionId": talk.part_id(f"{purpose}/session"), "mediaType": "voice", "direction": "inbound",
        "provider": "Edge", "segments": segments,
    }  # fmt: skip
    shown = {"participantId": talk.part_id(purpose), "purpose": purpose, "sessions": [session]}
    return shown | ({"userId": talk.user.entity_id} if purpose == "agent" else {})


def _overlaps(shown: Mapping[str, Any], begin_ms: int, end_ms: int) -> bool:
    ended = shown.get("conversationEnd")
    return shown["conversationStart"] < iso(end_ms) and (ended is None or ended >= iso(begin_ms))


def _passes(shown: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    parts = [_holds(shown, each) for each in wanted.get("predicates", ())]
    parts += [_passes(shown, each) for each in wanted.get("clauses", ())]
    return any(parts) if wanted.get("type") == "or" else all(parts)


def _holds(shown: Mapping[str, Any], predicate: Mapping[str, Any]) -> bool:
    dimension, value = predicate.get("dimension"), predicate.get("value")
    participants = shown["participants"]
    sessions = [session for each in participants for session in each["sessions"]]
    match dimension:
        case "conversationId" | "originatingDirection":
            return bool(shown[dimension] == value)
        case "divisionId":
            return value in shown["divisionIds"]
        case "userId":
            return any(each.get("userId") == value for each in participants)
        case "mediaType" | "direction":
            return any(each[dimension] == value for each in sessions)
        case "queueId":
            return any(segment.get("queueId") == value for each in sessions for segment in each["segments"])
        case _:
            raise BadQueryError(f"unknown dimension {dimension}")
