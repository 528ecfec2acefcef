"""Where a stream without a checkpoint begins (CONTRACT.md ``start``), and how a snapshot is had."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from connector import telemetry
from connector.core.reconnect import Backoff
from connector.errors import DialError
from connector.model import SOME_TIME, Checkpoint, DialFailure, FailureKind, Lapse, Token
from connector.ports import Snapshot
from connector.stream.outbox import Outbox
from connector.stream.parts import Parts, StreamPlan

DUE = "due"
"""Stands for the id of a snapshot that has not begun."""


class Anchor:
    """Commits where a new stream begins before anything is read (KAFKA.md 11)."""

    def __init__(self, plan: StreamPlan, parts: Parts, outbox: Outbox, begun: Callable[[Checkpoint], None]) -> None:
        """``begun``: the stream goes on from its first checkpoint."""
        self._plan = plan
        self._parts = parts
        self._outbox = outbox
        self._begun = begun
        self._task: asyncio.Task[None] | None = None
        self._committed: asyncio.Future[Checkpoint] | None = None

    def start(self) -> None:
        """The stream is new."""
        self._task = self._parts.shared.spawn(self._run())

    def stop(self) -> None:
        """The stream ends."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def committed(self, checkpoint: Checkpoint) -> None:
        """A transaction committed: perhaps that with the first checkpoint."""
        if self._committed is not None and not self._committed.done() and not checkpoint.anew:
            self._committed.set_result(checkpoint)

    async def _run(self) -> None:
        first = await first_checkpoint(self._plan, self._parts)
        self._committed = asyncio.get_running_loop().create_future()
        self._outbox.begin(first)
        checkpoint = await self._committed
        self._task = None
        self._begun(checkpoint)


async def first_checkpoint(plan: StreamPlan, parts: Parts) -> Checkpoint:
    """What to commit before anything is read. Position None: the platform's present, which it does not tell."""
    if isinstance(plan.start, int):
        return Checkpoint(plan.name, position=plan.start)
    if plan.identity is not None:
        return Checkpoint(plan.name, position=0)  # its positions are our own ordinals
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


async def fetch_snapshot(
    plan: StreamPlan, parts: Parts, patience_s: float | None, lapse: Lapse = SOME_TIME
) -> Snapshot | None:
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
                    return await parts.source.snapshot(token, lapse)
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
