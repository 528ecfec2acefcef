"""The guide's snapshot endpoint: ``{"sequenceId"|"offset": N, "asOf": ms, "conversations": [{…}, …]}``.

The body is spooled: to disk beyond some size, and mapped from there, so that a state of many conversations costs no
memory of the worker's. Conversations are cut out byte for byte, as events are.
"""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import AsyncIterable, Iterator
from tempfile import SpooledTemporaryFile, gettempdir
from typing import Any

import msgspec
import orjson

from connector.core.pointer import compile_pointer
from connector.errors import DialError
from connector.model import DialFailure, FailureKind

_IN_MEMORY_BYTES = 16 * 1024 * 1024
_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])

Spool = SpooledTemporaryFile[bytes]


class SpooledSnapshot:
    """Implements :class:`connector.ports.Snapshot`."""

    def __init__(self, spool: Spool, body: bytes | mmap.mmap, position_field: str) -> None:
        """Raises ``ValueError`` where the body is not a snapshot."""
        self._spool = spool
        self._body = body
        top = _TOP.decode(body)
        # everything but the conversations is small
        small: Any = {name: orjson.loads(memoryview(raw)) for name, raw in top.items() if name != "conversations"}
        position, as_of = compile_pointer(position_field)(small), small.get("asOf")
        if type(position) is not int or position < 0:
            raise ValueError(f"it has no position at {position_field}")
        self.position = position
        self.as_of_ms: int | None = as_of if type(as_of) is int else None
        self._conversations = _ELEMENTS.decode(top["conversations"]) if "conversations" in top else []

    def __len__(self) -> int:
        """See :class:`connector.ports.Snapshot`."""
        return len(self._conversations)

    def conversations(self) -> Iterator[bytes]:
        """See :class:`connector.ports.Snapshot`."""
        return (bytes(raw) for raw in self._conversations)

    def close(self) -> None:
        """See :class:`connector.ports.Snapshot`."""
        self._conversations = []
        self._spool.close()  # the map goes with its last view


async def read_snapshot(chunks: AsyncIterable[bytes], position_field: str) -> SpooledSnapshot:
    """Spool a body and read it.

    Raises ``ValueError`` where it is not a snapshot, ``OSError`` where there is no room, and what ``chunks`` raises.
    """
    spool: Spool = SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - closed with the snapshot
    try:
        async for chunk in chunks:
            spool.write(chunk)
        return await asyncio.to_thread(_parse, spool, position_field)
    except BaseException:
        spool.close()
        raise


def no_room(error: OSError) -> DialError:
    """The spool does not fit."""
    detail = f"no room for the snapshot in {gettempdir()} ({error.strerror}); free some, or set TMPDIR"
    return DialError(DialFailure(FailureKind.NETWORK, detail))


def _parse(spool: Spool, position_field: str) -> SpooledSnapshot:
    if spool.tell() > _IN_MEMORY_BYTES:
        spool.flush()
        return SpooledSnapshot(spool, mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ), position_field)
    spool.seek(0)
    return SpooledSnapshot(spool, spool.read(), position_field)
