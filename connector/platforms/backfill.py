"""What Genesys Cloud knows of a lapse: the conversations of that time, by its analytics.

``POST /api/v2/analytics/conversations/details/query`` answers page by page; the pages are spooled as one snapshot.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import msgspec

from connector.core.instants import rfc3339
from connector.errors import DialError
from connector.model import DialFailure, FailureKind, Lapse, Token
from connector.platforms.genesys_api import GenesysApi
from connector.platforms.snapshot import no_room, read_snapshot
from connector.ports import Snapshot

_PATH = "/api/v2/analytics/conversations/details/query"
_PAGE = 100
_UNKNOWN_MS = 3_600_000
_LONGEST_MS = 31 * 24 * 3_600_000


class _Page(msgspec.Struct):
    conversations: list[msgspec.Raw] = []


async def fetch_conversations(api: GenesysApi, token: Token, lapse: Lapse) -> Snapshot:
    """Every conversation that lived in the lapse, once, byte for byte. Raises :class:`DialError`.

    Of a lapse whose beginning nobody knows the last hour is asked for; of a longer one what the platform answers for.
    """
    until_ms = lapse.until_ms if lapse.until_ms is not None else time.time_ns() // 1_000_000
    since_ms = lapse.since_ms if lapse.since_ms is not None else until_ms - _UNKNOWN_MS
    interval = f"{rfc3339(max(since_ms, until_ms - _LONGEST_MS))}/{rfc3339(max(until_ms, since_ms + 1))}"
    try:
        return await read_snapshot(_document(api, token, interval, until_ms), "/position")
    except OSError as error:
        raise no_room(error) from error


async def _document(api: GenesysApi, token: Token, interval: str, until_ms: int) -> AsyncIterator[bytes]:
    """The pages as one snapshot. Raises :class:`DialError`."""
    yield b'{"position":0,"asOf":%d,"conversations":[' % until_ms
    number, separator = 1, b""
    while True:
        query = {
            "interval": interval,
            "order": "asc",
            "orderBy": "conversationStart",
            "paging": {"pageSize": _PAGE, "pageNumber": number},
        }
        try:
            page = msgspec.json.decode(await api.fetch(token, "POST", _PATH, body=query), type=_Page)
        except msgspec.DecodeError as error:
            detail = "the platform's answer to a details query is not the JSON that it documents"
            raise DialError(DialFailure(FailureKind.REJECTED, detail)) from error
        for raw in page.conversations:
            yield separator + bytes(raw)
            separator = b","
        if len(page.conversations) < _PAGE:
            break
        number += 1
    yield b"]}"
