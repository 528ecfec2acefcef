"""A change of position, asked for from the command line as from anywhere: through the control topic (KAFKA.md 17)."""

from __future__ import annotations

import asyncio
import time

from connector.commands.steering import control_log
from connector.core.desired import is_pending
from connector.errors import ConfigurationError, ControlUnavailableError, NotStoppedError, PrerequisiteError
from connector.kafka.checkpoints import LaneCheckpoints
from connector.kafka.client import KafkaClient
from connector.model import Checkpoint, PositionChange, Target

_BY = "ccaas-bridge checkpoint"
_DONE_S = 30.0
_LOOK_S = 0.3


def ask(client: KafkaClient, stream: str, change: PositionChange, *, idle: bool) -> None:
    """Ask for a change. ``idle``: no worker runs, so that the stream stands, whatever it is to do.

    Raises ``ConfigurationError`` where the stream is not stopped, ``PrerequisiteError`` where Kafka does not take it.
    """
    try:
        asyncio.run(_ask(client, stream, change, idle=idle))
    except NotStoppedError as error:
        raise ConfigurationError(f"{error}; stop it first: ccaas-bridge streams stop {stream}") from error
    except ControlUnavailableError as error:
        raise PrerequisiteError(str(error)) from error


async def _ask(client: KafkaClient, stream: str, change: PositionChange, *, idle: bool) -> None:
    async with control_log(client) as control:
        await asyncio.to_thread(control.catch_up)
        former = control.desired(stream).target
        target = Target.STOPPED if idle else None
        await control.request(stream, by=_BY, target=target, change=change)
        if idle:  # the change stays to be made, by the worker that starts
            await control.request(stream, by=_BY, target=former)


def done(client: KafkaClient, lane: int, stream: str, change: PositionChange) -> Checkpoint:
    """The checkpoint that the owner of the lane made of the change. Blocks; raises ``PrerequisiteError`` in time."""
    deadline = time.monotonic() + _DONE_S
    checkpoints = LaneCheckpoints(client, lane)
    while time.monotonic() < deadline:
        found = checkpoints.read(lambda: time.sleep(_LOOK_S)).get(stream)
        if found is not None and not is_pending(change, found):
            return found
        time.sleep(_LOOK_S)
    raise PrerequisiteError(
        f"the owner of lane {lane} has not made the change within {_DONE_S:g} s. It is kept, and made once it can be; "
        f"checkpoint show tells (command_id {change.change_id})"
    )
