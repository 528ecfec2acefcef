"""What streams are to do, asked for from the command line as from anywhere: through the control topic (KAFKA.md 17)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from connector.errors import ControlUnavailableError, PrerequisiteError
from connector.kafka.client import KafkaClient
from connector.kafka.control import ControlLog
from connector.model import Target

_BY = "ccaas-bridge streams"


@asynccontextmanager
async def control_log(client: KafkaClient) -> AsyncIterator[ControlLog]:
    """The control topic, followed until the end of the block."""
    control = ControlLog(client, asyncio.get_running_loop().call_soon_threadsafe, lambda _stream: None)
    control.start()
    try:
        yield control
    finally:
        await asyncio.to_thread(control.stop)


def steer(client: KafkaClient, streams: Sequence[str], target: Target | None) -> None:
    """Tell streams, all in one transaction, what they are to do; None: to restart.

    Raises ``PrerequisiteError`` where Kafka does not take it; then nothing is known to have changed.
    """
    try:
        asyncio.run(_steer(client, streams, target))
    except ControlUnavailableError as error:
        raise PrerequisiteError(str(error)) from error


async def _steer(client: KafkaClient, streams: Sequence[str], target: Target | None) -> None:
    async with control_log(client) as control:
        asked = (control.request(name, by=_BY, target=target, restart=target is None) for name in streams)
        await asyncio.gather(*asked)
