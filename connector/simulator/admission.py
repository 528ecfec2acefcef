"""Who gets a socket, who gets a token, and what the others are told. Pure: answers are values, ``http`` sends them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from connector.simulator.faults import TokenTrouble
from connector.simulator.ledger import SocketRecord
from connector.simulator.session import Session
from connector.simulator.stream import PositionGoneError
from connector.simulator.tokens import Denied, IssuedToken, Refused
from connector.simulator.world import World


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; ``body`` is sent as JSON, or as HTML where it is text."""

    status: int
    body: dict[str, Any] | str
    headers: Mapping[str, str] = field(default_factory=dict)


_GARBAGE = "<html><body><h1>Welcome</h1></body></html>"
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def authorize(world: World, authorization: str | None) -> IssuedToken | Answer:
    """The live token of a request, or 401 as RFC 6750 §3 wants it."""
    found = world.tokens.check(authorization, world.platform_now())
    if isinstance(found, IssuedToken):
        return found
    world.ledger.counts["unauthorized"] += 1
    return _unauthorized(found)


def admit(world: World, stream: str, authorization: str | None, asked_text: str | None) -> Session | Answer:
    """A session for a new socket of the stream, already in the ledger, or the refusal.

    The order is a real gateway's: outage, token, request, limits, position.
    """
    now_s = world.now()
    refused = world.board.refusal(stream, now_s)
    if refused is not None:
        headers = {} if refused.retry_after_s is None else {"Retry-After": str(math.ceil(refused.retry_after_s))}
        return _refuse(world, Answer(refused.status, {"code": "refused.by.order"}, headers))
    token = authorize(world, authorization)
    if isinstance(token, Answer):
        return token
    try:
        asked = int(asked_text) if asked_text else None
    except ValueError:
        return _refuse(world, Answer(400, {"code": "bad.position", "message": "the position must be an integer"}))
    limit = world.settings.max_sockets
    if limit and world.ledger.overlaps[stream].now >= limit:
        return _refuse(world, Answer(409, {"code": "too.many.sockets", "message": f"at most {limit} a stream"}))
    log = world.stream(stream)
    try:
        start = log.resume(asked, now_s)
    except PositionGoneError as gone:
        world.ledger.counts["expired_positions"] += 1
        return _refuse(world, Answer(410, {"code": "position.expired", "message": str(gone)}))
    first = log.positions.position_of(start.slot)
    record = SocketRecord(stream, token.jti, asked, first, start.expired, now_s)
    world.ledger.opened(record)
    return Session(
        log=log,
        token=token,
        record=record,
        slot=start.slot,
        silent_until_s=world.board.silent_until(stream, now_s, world.settings.open_delay_s),
        close_code=world.settings.close_code,
        clock_skew_s=world.settings.clock_skew_s,
    )


def token_answer(
    world: World, authorization: str | None, form: Mapping[str, str], audiences: Sequence[str] = ()
) -> Answer:
    """The answer to an undisturbed token request; ``audiences``: what assertions may call the endpoint."""
    answer = world.tokens.request(authorization, form, world.platform_now(), audiences)
    if not isinstance(answer, Refused):
        world.ledger.counts["tokens"] += 1
        return Answer(200, answer[1], _NO_STORE)
    world.ledger.counts["token_429" if answer.status == 429 else "token_errors"] += 1  # noqa: PLR2004 - HTTP
    headers = dict(_NO_STORE)
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(answer.retry_after_s)
    if answer.status == 401:  # noqa: PLR2004 - HTTP
        headers["WWW-Authenticate"] = 'Basic realm="simulator"'
    return Answer(answer.status, {"error": answer.error, "error_description": answer.description}, headers)


def troubled_answer(world: World, trouble: TokenTrouble) -> Answer | None:
    """The answer of a token endpoint in trouble; None where it is only slow."""
    if trouble.kind == "slow":
        return None
    world.ledger.counts["token_429" if trouble.kind == "429" else "token_errors"] += 1
    headers = dict(_NO_STORE)
    wait_s = trouble.retry_after_s
    if wait_s is None and trouble.kind == "429":
        wait_s = 1.0
    if wait_s is not None:
        date = formatdate(world.platform_now() + wait_s, usegmt=True)
        headers["Retry-After"] = date if trouble.http_date else str(math.ceil(wait_s))
    if trouble.kind == "401":
        headers["WWW-Authenticate"] = 'Basic realm="simulator"'
    answers = {
        "429": Answer(429, {"error": "rate_limited"}, headers),
        "invalid_grant": Answer(400, {"error": "invalid_grant"}, headers),
        "401": Answer(401, {"error": "invalid_client"}, headers),
        "500": Answer(500, {"error": "server_error"}, headers),
        "garbage": Answer(200, _GARBAGE, headers),
    }
    return answers[trouble.kind]


def _refuse(world: World, answer: Answer) -> Answer:
    world.ledger.counts["refused"] += 1
    return answer


def _unauthorized(denied: Denied) -> Answer:
    challenge = 'Bearer realm="simulator"'
    if denied.error is not None:
        challenge += f', error="{denied.error}", error_description="{denied.description}"'
    return Answer(
        401, {"code": "authentication.failed", "message": denied.description}, {"WWW-Authenticate": challenge}
    )
