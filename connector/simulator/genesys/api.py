"""The REST API without HTTP: a request in, an answer out. Paths and fields are those of Genesys's SDK (version 269)."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from connector.simulator.answers import Answer
from connector.simulator.genesys import details, directory
from connector.simulator.genesys.channels import Channel, TooManyTopicsError
from connector.simulator.genesys.life import iso
from connector.simulator.genesys.topics import TEMPLATES, template_of
from connector.simulator.genesys.world import World
from connector.simulator.tokens import IssuedToken


@dataclass(frozen=True, slots=True)
class Request:
    """A request: ``query`` has every value of each name; ``origin`` is the address the client knows, ``ws://host``."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    body: bytes
    authorization: str | None
    origin: str

    def one(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next(iter(self.query.get(name, ())), default)

    def many(self, name: str) -> list[str]:
        """All values of a query parameter, repeated or with commas between them."""
        return [part for value in self.query.get(name, ()) for part in value.split(",") if part]


_Handler = Callable[[World, Request, IssuedToken, str], Answer]
_LARGEST_PAGE = 500
_CHANNELS = "/api/v2/notifications/channels"


def answer(world: World, request: Request) -> Answer:
    """What the platform answers; the order is a real gateway's: trouble, token, limit, request."""
    world.advance()
    world.requests[f"{request.method} {re.sub(f'{_CHANNELS}/[^/]+', f'{_CHANNELS}/*', request.path)}"] += 1
    now_s = world.now()
    trouble = world.faults.trouble(request.path, now_s)
    if trouble is not None and trouble.status:
        world.counts["throttled"] += trouble.status == 429  # noqa: PLR2004 - HTTP
        retry = {} if trouble.retry_after_s is None else {"Retry-After": str(math.ceil(trouble.retry_after_s))}
        return _error(trouble.status, "refused.by.order", "refused by order", retry)
    token = world.clients.check(request.authorization, world.platform_now())
    if token is None:
        return _error(401, "bad.credentials", "Invalid login credentials.")
    limit = _count(world, token, now_s)
    if limit["inin-ratelimit-count"] > world.settings.rate_allowed:
        world.counts["throttled"] += 1
        wait_s = limit["inin-ratelimit-reset"]
        message = f"Rate limit exceeded the maximum. Retry the request in [{wait_s}] seconds"
        reply = _error(429, "too.many.requests", message, {"Retry-After": str(wait_s)})
    else:
        reply = _dispatch(world, request, token)
    headers = {name: str(value) for name, value in limit.items()}
    return Answer(reply.status, reply.body, {**headers, **reply.headers})


def _dispatch(world: World, request: Request, token: IssuedToken) -> Answer:
    for method, pattern, handler in _ROUTES:
        match = pattern.fullmatch(request.path)
        if match and method == request.method:
            try:
                return handler(world, request, token, next(iter(match.groups()), ""))
            except (orjson.JSONDecodeError, details.BadQueryError) as bad:
                return _error(400, "bad.request", str(bad))
    return _error(404, "not.found", f"no {request.method} {request.path}")


def _count(world: World, token: IssuedToken, now_s: float) -> dict[str, int]:
    """Count the request in its token's window."""
    ends_s, count = world.windows.get(token.value, (0.0, 0))
    if now_s >= ends_s:
        ends_s, count = now_s + world.settings.rate_window_s, 0
    world.windows[token.value] = (ends_s, count + 1)
    return {
        "inin-ratelimit-count": count + 1,
        "inin-ratelimit-allowed": world.settings.rate_allowed,
        "inin-ratelimit-reset": max(1, math.ceil(ends_s - now_s)),
    }


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    body = {"message": message, "code": code, "status": status, "contextId": str(uuid.uuid4())}
    return Answer(status, {**body, "details": [], "errors": []}, headers or {})


# Channels -----------------------------------------------------------------------------------------------------


def _create(world: World, request: Request, token: IssuedToken, _: str) -> Answer:
    return Answer(200, _channel_json(world.channels.create(token, world.platform_now()), request.origin))


def _channel_json(channel: Channel, origin: str) -> dict[str, Any]:
    return {
        "connectUri": f"{origin}/channels/{channel.channel_id}",
        "id": channel.channel_id,
        "expires": iso(round(channel.expires_at_s * 1000)),
    }


def _channels(world: World, request: Request, token: IssuedToken, _: str) -> Answer:
    """``includechannels=oauthclient`` also shows that channels of other tokens exist, but not their ids."""
    alive = list(world.channels.alive(token.client_id, world.platform_now()))
    shown = [_channel_json(each, request.origin) for each in alive if each.token is token]
    if request.one("includechannels") == "oauthclient":
        shown += [{"expires": iso(round(each.expires_at_s * 1000))} for each in alive if each.token is not token]
    return Answer(200, {"entities": shown})


def _find(world: World, token: IssuedToken, channel_id: str) -> Channel | None:
    if world.now() < world.faults.vanished_until_s:
        return None
    return world.channels.find(channel_id, token, world.platform_now())


def _no_channel(channel_id: str) -> Answer:
    return _error(404, "not.found", f"no channel {channel_id}")


def _head(world: World, _: Request, token: IssuedToken, channel_id: str) -> Answer:
    return _no_channel(channel_id) if _find(world, token, channel_id) is None else Answer(200)


def _subscriptions(world: World, _: Request, token: IssuedToken, channel_id: str) -> Answer:
    channel = _find(world, token, channel_id)
    return _no_channel(channel_id) if channel is None else Answer(200, _subscriptions_json(channel, []))


def _subscribe(world: World, request: Request, token: IssuedToken, channel_id: str) -> Answer:
    channel = _find(world, token, channel_id)
    if channel is None:
        return _no_channel(channel_id)
    wanted = orjson.loads(request.body)
    if not isinstance(wanted, list) or not all(isinstance(each, dict) and "id" in each for each in wanted):
        return _error(400, "bad.request", 'the body must be a list of {"id": topic}')
    ids = [str(each["id"]) for each in wanted]
    rejected = [each for each in ids if each.startswith(tuple(world.faults.forbidden))]
    if rejected and request.one("ignoreErrors") != "true":
        return _error(403, "missing.permissions", f"no permission for {rejected[0]}")
    allowed = [each for each in ids if each not in rejected]
    try:
        fault = world.channels.subscribe(channel, allowed, world.platform_now(), add=request.method == "POST")
    except TooManyTopicsError:
        return _error(400, "bad.request", f"Exceeded the maximum of {world.settings.max_topics} topics")
    if fault is not None:
        return _error(400, "bad.request", fault.reason)
    return Answer(200, _subscriptions_json(channel, rejected))


def _subscriptions_json(channel: Channel, rejected: Sequence[str]) -> dict[str, Any]:
    def uri(topic_id: str) -> str:
        return f"/api/v2/notifications/channels/{channel.channel_id}/subscriptions/{topic_id}"

    shown: list[dict[str, Any]] = [
        {"id": each, "state": "Permitted", "selfUri": uri(each)} for each in channel.subscriptions
    ]
    for each in rejected:
        template = template_of(each)
        missing = [] if template is None else [template.permission]
        reason = "missing permissions"
        shown.append({"id": each, "state": "Rejected", "rejectionReason": reason, "missingPermissions": missing})
    return {"entities": shown}


def _unsubscribe(world: World, _: Request, token: IssuedToken, channel_id: str) -> Answer:
    channel = _find(world, token, channel_id)
    if channel is None:
        return _no_channel(channel_id)
    channel.replace({})
    return Answer(200)


def _available_topics(_world: World, request: Request, _token: IssuedToken, _: str) -> Answer:
    expand = request.many("expand")
    entities = []
    for each in TEMPLATES:
        optional = {"description": each.description, "requiresPermissions": [each.permission]}
        entities.append({"id": each.topic_id} | {name: value for name, value in optional.items() if name in expand})
    return Answer(200, {"entities": entities})


# Lists --------------------------------------------------------------------------------------------------------


def _queues(world: World, request: Request, _token: IssuedToken, _: str) -> Answer:
    found = world.directory.queues_named(request.one("name") or None, request.many("id"))
    return _listed(request, found, directory.queue_json)


def _users(world: World, request: Request, _token: IssuedToken, _: str) -> Answer:
    return _listed(request, world.directory.users_by_id(request.many("id")), directory.user_json)


def _listed(
    request: Request, found: Sequence[directory.Entity], shown: Callable[[directory.Entity], dict[str, Any]]
) -> Answer:
    try:
        size, number = int(request.one("pageSize", "25")), int(request.one("pageNumber", "1"))
    except ValueError:
        size = number = 0
    if not 1 <= size <= _LARGEST_PAGE or number < 1:
        return _error(400, "bad.request", f"pageSize must be 1 to {_LARGEST_PAGE}, pageNumber at least 1")
    around = directory.listing(request.path, request.query, len(found), size, number)
    return Answer(200, {"entities": [shown(each) for each in directory.page_of(found, size, number)], **around})


def _users_search(world: World, request: Request, _token: IssuedToken, _: str) -> Answer:
    search = orjson.loads(request.body)
    size, number = search.get("pageSize", 25), search.get("pageNumber", 1)
    if not 1 <= size <= details.LARGEST_PAGE or number < 1:
        return _error(400, "bad.request", f"pageSize must be 1 to {details.LARGEST_PAGE}, pageNumber at least 1")
    found = world.directory.users_found(search.get("query", ()))
    page = directory.page_of(found, size, number)
    body = {"total": len(found), "pageCount": math.ceil(len(found) / size), "pageSize": size, "pageNumber": number}
    return Answer(200, {**body, "types": ["users"], "results": [directory.user_json(each) for each in page]})


def _details(world: World, request: Request, _token: IssuedToken, _: str) -> Answer:
    known_until_ms = round((world.platform_now() - world.settings.details_lag_s) * 1000)
    return Answer(200, details.answer(orjson.loads(request.body), world.life.conversations, known_until_ms))


_ROUTES: tuple[tuple[str, re.Pattern[str], _Handler], ...] = tuple(
    (method, re.compile(pattern), handler)
    for method, pattern, handler in (
        ("POST", _CHANNELS, _create),
        ("GET", _CHANNELS, _channels),
        ("HEAD", f"{_CHANNELS}/([^/]+)", _head),
        ("GET", f"{_CHANNELS}/([^/]+)/subscriptions", _subscriptions),
        ("PUT", f"{_CHANNELS}/([^/]+)/subscriptions", _subscribe),
        ("POST", f"{_CHANNELS}/([^/]+)/subscriptions", _subscribe),
        ("DELETE", f"{_CHANNELS}/([^/]+)/subscriptions", _unsubscribe),
        ("GET", "/api/v2/notifications/availabletopics", _available_topics),
        ("GET", "/api/v2/routing/queues", _queues),
        ("GET", "/api/v2/users", _users),
        ("POST", "/api/v2/users/search", _users_search),
        ("POST", "/api/v2/analytics/conversations/details/query", _details),
    )
)
