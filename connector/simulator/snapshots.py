"""A snapshot endpoint in trouble: answers that no client can use, or not at once."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import web

from connector.simulator.faults import SnapshotTrouble

_BATCH = 200
_CONVERSATION = b'{"conversationId":"%032d","state":"' + b"x" * 330 + b'"}'


async def troubled_snapshot(
    request: web.Request, trouble: SnapshotTrouble, body: bytes, pause: Callable[[float], Awaitable[None]]
) -> web.StreamResponse:
    """The answer in place of ``body``; ``pause`` sleeps, but not beyond the platform's end."""
    match trouble.kind:
        case "429":
            return web.Response(status=429, headers={"Retry-After": str(math.ceil(trouble.retry_after_s))})
        case "500":
            return web.Response(status=500)
        case "garbage":
            return web.Response(text="<html><body><h1>Welcome</h1></body></html>", content_type="text/html")
        case "endless":
            return await _endless(request, body, trouble.size_bytes)
        case "slow" | "truncated":
            return await _half(request, body, trouble, pause)


async def _half(
    request: web.Request, body: bytes, trouble: SnapshotTrouble, pause: Callable[[float], Awaitable[None]]
) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await answer.prepare(request)
    middle = len(body) // 2
    await answer.write(body[:middle])
    if trouble.kind == "slow":
        await pause(trouble.delay_s)
        await answer.write(body[middle:])
    elif request.transport is not None:
        request.transport.close()
    return answer


async def _endless(request: web.Request, body: bytes, size_bytes: float) -> web.StreamResponse:
    """The body, which has a conversation, with more before its own: still a snapshot, if it is ever whole."""
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    head, key, tail = body.partition(b'"conversations":[')
    await answer.write(head + key)
    sent_bytes = count = 0
    with suppress(ConnectionError):  # the client has had enough
        while sent_bytes < size_bytes:
            batch = b"".join(_CONVERSATION % n + b"," for n in range(count, count + _BATCH))
            await answer.write(batch)
            count, sent_bytes = count + _BATCH, sent_bytes + len(batch)
        await answer.write(tail)
    return answer
