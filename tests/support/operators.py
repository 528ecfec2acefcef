"""An operator at another process than the worker's: speaks to streams through the control topic."""

from __future__ import annotations

import asyncio
import uuid
from types import TracebackType
from typing import Self

from connector.kafka.client import KafkaClient
from connector.kafka.control import ControlLog
from connector.model import DesiredState, PositionChange, Target


class Operator:
    """Someone with access to Kafka alone."""

    def __init__(self, kafka: str, group: str) -> None:
        post = asyncio.get_running_loop().call_soon_threadsafe
        self.told: list[str] = []
        self.control = ControlLog(KafkaClient(kafka, group), post, self.told.append)

    async def __aenter__(self) -> Self:
        self.control.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.control.stop)

    async def set(self, stream: str, target: Target) -> DesiredState:
        """Pause, stop or resume."""
        return await self.control.request(stream, by="test", target=target)

    async def restart(self, stream: str) -> DesiredState:
        """Restart."""
        return await self.control.request(stream, by="test", restart=True)

    async def move(self, stream: str, position: int | None, epoch: int | None = None) -> str:
        """Change a position; the id of the change."""
        change = PositionChange(str(uuid.uuid4()), position, epoch, "by test")
        await self.control.request(stream, by="test", change=change)
        return change.change_id
