"""Shows a play while it runs: a live picture where there is a terminal, plain lines where there is none."""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

from rich.console import Console, RenderableType
from rich.live import Live

from connector.demo.play import Play
from connector.demo.view import Now, Stage, line, picture

_FRAME_S: Final = 0.125
_LINE_S: Final = 1.0


class Show(Protocol):
    """What the audience gets."""

    async def run(self, play: Play) -> None:
        """Show the play until cancelled; the last of it too."""
        ...


class LivePicture:
    """Draws eight times a second; the last picture stays on the screen."""

    def __init__(self, console: Console, stage: Stage) -> None:
        self._console = console
        self._stage = stage

    async def run(self, play: Play) -> None:
        """See :meth:`Show.run`."""
        with Live(console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    live.update(self._picture(play), refresh=True)
                    await asyncio.sleep(_FRAME_S)
            finally:
                live.update(self._picture(play), refresh=True)

    def _picture(self, play: Play) -> RenderableType:
        size = self._console.size
        return picture(self._stage, play.state, now(play), size.width, size.height)


class PlainLines:
    """Writes a line a second."""

    def __init__(self, console: Console, stage: Stage) -> None:
        self._console = console
        self._told = 0
        self._say(f"simulated platform {stage.platform}, bridge, {stage.kafka}; metrics {stage.metrics}")

    async def run(self, play: Play) -> None:
        """See :meth:`Show.run`."""
        try:
            while True:
                await asyncio.sleep(_LINE_S)
                self._line(play)
        finally:
            if len(play.state.news) > self._told:
                self._line(play)

    def _line(self, play: Play) -> None:
        self._say(line(play.state, now(play), self._told))
        self._told = len(play.state.news)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def now(play: Play) -> Now:
    """The instants that a picture shows."""
    return Now(time.time_ns() // 1_000_000, play.played_s(), play.token_left_s())
