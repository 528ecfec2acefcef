"""Control without Kafka: what operators want, in a dict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from connector.errors import ControlUnavailableError, NotStoppedError
from connector.model import DesiredState, PositionChange, Target


class FakeControl:
    """Implements :class:`connector.ports.StreamControl` and :class:`connector.ports.Notices`.

    ``away``: Kafka does not take requests.
    """

    def __init__(self) -> None:
        self.away = False
        self.notices: dict[str, bytes] = {}
        self._desired: dict[str, DesiredState] = {}
        self._followers: list[tuple[str, Callable[[str, bytes | None], None]]] = []
        self._restarts = 0

    def desired(self, stream: str) -> DesiredState:
        """What was asked for, else running."""
        return self._desired.get(stream, DesiredState(stream))

    async def request(
        self,
        stream: str,
        *,
        by: str,
        target: Target | None = None,
        restart: bool = False,
        change: PositionChange | None = None,
    ) -> DesiredState:
        """Remember it at once."""
        if self.away:
            raise ControlUnavailableError("Kafka is away")
        now = self.desired(stream)
        if change is not None and (target or now.target) is not Target.STOPPED:
            raise NotStoppedError(f"stream {stream} is {now.target}")
        self._restarts += restart
        self._desired[stream] = replace(
            now,
            target=target or now.target,
            restart_id=str(self._restarts) if restart else now.restart_id,
            change=change or now.change,
            by=by,
        )
        return self._desired[stream]

    def publish(self, key: str, value: bytes | None) -> None:
        """Keep it, and tell it to who follows."""
        if value is None:
            self.notices.pop(key, None)
        else:
            self.notices[key] = value
        for prefix, on_notice in self._followers:
            if key.startswith(prefix):
                on_notice(key, value)

    def follow(self, prefix: str, on_notice: Callable[[str, bytes | None], None]) -> None:
        """Tell what is kept, and what comes."""
        self._followers.append((prefix, on_notice))
        for key, value in self.notices.items():
            if key.startswith(prefix):
                on_notice(key, value)
