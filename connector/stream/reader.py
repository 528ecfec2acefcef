"""What a stream's sockets tell whoever reads them."""

from __future__ import annotations

from typing import Protocol

from connector.core.steps import HoleState


class Reader(Protocol):
    """What a connection needs of its pipeline."""

    def dialling(self, socket: int) -> int | None:
        """A socket is about to be opened; returns the position it resumes at, the newest there is."""
        ...

    def opened(self, socket: int) -> None:
        """A socket is open: from now on it brings events."""
        ...

    def frame(self, socket: int, frame: bytes) -> None:
        """A message arrived."""
        ...

    def proven(self, socket: int) -> None:
        """The platform has shown that the socket brings all that was asked for."""
        ...

    def position_refused(self) -> None:
        """The platform says that it no longer has the position: the next dial asks for its present."""
        ...

    def oversize(self, socket: int) -> None:
        """A message was too large to be read; the socket ends with it."""
        ...

    def silent(self, socket: int) -> None:
        """A socket will not show what is missing."""
        ...

    def closed(self, socket: int, *, lapsed: bool = False) -> None:
        """A socket, or its dial, has ended: nothing more comes from it. ``lapsed``: as :class:`Closed` has it."""
        ...

    def hole(self) -> HoleState:
        """What the ledger knows of the first hole, now."""
        ...
