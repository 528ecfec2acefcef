"""Where a stream without a checkpoint begins (CONTRACT.md ``start``, DESIGN.md §5 "Quiet streams")."""

from __future__ import annotations

import asyncio

from connector import telemetry
from connector.core.reconnect import Backoff
from connector.errors import DialError
from connector.model import FailureKind, Token
from connector.parts import Parts, StreamPlan


async def starting_position(plan: StreamPlan, parts: Parts) -> int | None:
    """The position to commit before anything is read; None: the platform's present, which it does not tell."""
    if isinstance(plan.start, int):
        return plan.start
    return 0 if plan.start == "earliest" else await _present(plan, parts)


async def _present(plan: StreamPlan, parts: Parts) -> int | None:
    """The platform's present position by its snapshot; asked again, at growing intervals, until it is told."""
    arrived: asyncio.Queue[Token] = asyncio.Queue()
    clock, backoff = parts.shared.clock, Backoff(plan.policy.network, parts.shared.rng)
    release = parts.tokens.lease(arrived.put_nowait)
    try:
        token = await arrived.get()
        while True:
            try:
                snapshot = await parts.source.snapshot(token)
            except DialError as error:
                failure = error.failure
            else:
                if snapshot is None:
                    return None
                snapshot.close()
                return snapshot.position
            now = clock.now()
            due = backoff.failed(now, now, failure.retry_after_s)
            path = "network" if failure.kind is FailureKind.NETWORK else "auth"
            parts.shared.observe(
                telemetry.Failed(
                    plan.name,
                    path,
                    failure.describe(),
                    due - now,
                    backoff.failures,
                    breaker_open=backoff.breaker_open,
                )
            )
            if failure.kind is FailureKind.UNAUTHORIZED:
                parts.tokens.report_dead(token.generation)
            await clock.sleep_until(due)
            while not arrived.empty():
                token = arrived.get_nowait()
    finally:
        release()
