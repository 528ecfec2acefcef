"""Who gets a socket, who gets a token, and what the others are told. Pure: answers are values, ``http`` sends them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from connector.simulator.answers import Answer, token_reply, troubled_reply
from connector.simulator.faults import TokenTrouble
from connector.simulator.ledger import SocketRecord
from connector.simulator.session import Session
from connector.simulator.stream import PositionGoneError
from connector.simulator.tokens import Denied, IssuedToken
from connector.simulator.world import World


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
    found = world.tokens.request(authorization, form, world.platform_now(), audiences)
    return _counted(world, token_reply(found))


def troubled_answer(world: World, trouble: TokenTrouble) -> Answer | None:
    """The answer of a token endpoint in trouble; None where it is only slow."""
    answer = troubled_reply(trouble, world.platform_now())
    return None if answer is None else _counted(world, answer, troubled=True)


def _counted(world: World, answer: Answer, *, troubled: bool = False) -> Answer:
    succeeded = answer.status == 200 and not troubled  # noqa: PLR2004 - HTTP
    name = "tokens" if succeeded else "token_429" if answer.status == 429 else "token_errors"  # noqa: PLR2004 - HTTP
    world.ledger.counts[name] += 1
    return answer


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
