"""The memory of a worker: events in hand of all its streams."""

from __future__ import annotations

from collections.abc import Callable

ENTRY_OVERHEAD_BYTES = 1024
"""What an event in hand costs beside its bytes: headers, key, objects, the producer's copy."""
_ROOM = 0.75
_SHARED = 15 / 16
"""Of the limit. The rest belongs to the streams in equal parts: whoever fills the buffer, a suspended stream or a busy
one, the others go on, if slowly."""


class WorkerBuffer:
    """Bytes in hand of all streams of the worker; full means that sockets are not read."""

    def __init__(self, limit_bytes: int, streams: int) -> None:
        self._limit_bytes = int(limit_bytes * _SHARED)
        self._own_bytes = (limit_bytes - self._limit_bytes) // streams
        self._waiting: list[Callable[..., None]] = []
        self.used_bytes = 0

    def full(self, in_hand_bytes: int) -> bool:
        """Whether a stream that has so much in hand is to read nothing more."""
        return self.used_bytes >= self._limit_bytes and in_hand_bytes >= self._own_bytes

    def add(self, size_bytes: int) -> None:
        """Bytes came in hand or, with a negative number, left it; who waits is called when there is room again."""
        self.used_bytes += size_bytes
        if size_bytes < 0 and self._waiting and self.used_bytes < self._limit_bytes * _ROOM:
            waiting, self._waiting = self._waiting, []
            for call in waiting:
                call()

    def wait(self, call: Callable[..., None]) -> None:
        """Call once there is room."""
        self._waiting.append(call)
