"""Where a stream without a checkpoint begins (CONTRACT.md ``start``), and how a snapshot is had."""

from __future__ import annotations

import asyncio
from math import inf

from connector import telemetry
from connector.core.reconnect import Backoff
from connector.errors import DialError
from connector.model import Checkpoint, DialFailure, FailureKind, Token
from connector.ports import Snapshot
from connector.stream.parts import Parts, StreamPlan

DUE = "due"
"""Stands for the id of a snapshot that has not begun."""


async def first_checkpoint(plan: StreamPlan, parts: Parts) -> Checkpoint:
    """What to commit before anything is read. Position None: the platform's present, which it does not tell."""
    if isinstance(plan.start, int):
        return Checkpoint(plan.name, position=plan.start)
    if plan.start == "earliest":
        return Checkpoint(plan.name, position=0)
    due = DUE if plan.start == "snapshot" else None
    try:
        snapshot = await fetch_snapshot(plan, parts, plan.snapshot_patience_s)
    except TimeoutError:
        parts.shared.observe(telemetry.Unanchored(plan.name, plan.snapshot_patience_s))
        return Checkpoint(plan.name, snapshot_id=due)
    if snapshot is None:
        return Checkpoint(plan.name)
    snapshot.close()
    return Checkpoint(plan.name, position=snapshot.position, snapshot_id=due)


async def fetch_snapshot(plan: StreamPlan, parts: Parts, patience_s: float | None) -> Snapshot | None:
    """The platform's present state, whole; asked again, at growing intervals, until it is had.

    None where the platform has none. The caller closes it. Raises ``TimeoutError`` where it could not be had within
    ``patience_s`` of the first token: without one nothing can be asked, and nothing read.
    """
    arrived: asyncio.Queue[Token] = asyncio.Queue()
    clock, backoff = parts.shared.clock, Backoff(plan.policy.network, parts.shared.rng)
    release = parts.tokens.lease(arrived.put_nowait)
    try:
        token = await arrived.get()
        give_up_at = inf if patience_s is None else clock.now() + patience_s
        while True:
            try:
                async with asyncio.timeout(None if patience_s is None else give_up_at - clock.now()):
                    return await parts.source.snapshot(token)
            except DialError as error:
                failure = error.failure
            now = clock.now()
            due = backoff.failed(now, now, failure.retry_after_s)
            _tell(plan, parts, failure, due - now, backoff)
            if due > give_up_at:
                raise TimeoutError
            if failure.kind is FailureKind.UNAUTHORIZED:
                parts.tokens.report_dead(token.generation)
            await clock.sleep_until(due)
            while not arrived.empty():
                token = arrived.get_nowait()
    finally:
        release()


def _tell(plan: StreamPlan, parts: Parts, failure: DialFailure, wait_s: float, backoff: Backoff) -> None:
    path = "network" if failure.kind is FailureKind.NETWORK else "auth"
    cause, detail = failure.trouble
    failed = telemetry.Failed(
        plan.name, path, cause, f"snapshot: {detail}", wait_s, backoff.failures, breaker_open=backoff.breaker_open
    )
    parts.shared.observe(failed)
