"""A fleet that does at once what it is asked, and a catalogue of its streams: for tests of the management API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from connector.core.fleet import LaneView, StreamView
from connector.core.status import StreamStatus
from connector.errors import ControlUnavailableError
from connector.management import Definition, Place
from connector.model import Target

WORKER = "127.0.0.1:8083"
_CONNECTION = {Target.RUNNING: "live", Target.PAUSED: "stopped", Target.STOPPED: "stopped"}


class FakeFleet:
    """Streams in one worker's hands; ``asked`` tells what was asked of it, in order."""

    def __init__(self, *names: str) -> None:
        self.worker = WORKER
        self.asked: list[tuple[str, str, object]] = []
        self.away = False
        self.unowned = False
        """Whether no worker has the lanes: what is asked waits for one."""
        self.places: dict[str, Place] = {name: Place(0, 4) for name in names}
        self._views = {
            name: StreamView(
                name, 0, Target.RUNNING, WORKER, StreamStatus(stream=name, state="live", position=4, per_s=1.5)
            )
            for name in names
        }

    def change(self, name: str, **fields: object) -> None:
        """Set fields of a stream's status."""
        status = self._views[name].status
        for field, value in fields.items():
            setattr(status, field, value)

    def put(self, view: StreamView) -> None:
        """Have a stream as this view says."""
        self._views[view.name] = view

    def kept(self, stream: str) -> StreamView:
        """A stream that there is."""
        return self._views[stream]

    async def cluster_id(self) -> str | None:
        """See :class:`connector.management.Fleet`."""
        return None if self.away else "MkU3OEVBNTcwNTJENDM2Qg"

    async def refresh(self) -> None:
        """See :class:`connector.management.Fleet`."""

    def view(self, stream: str) -> StreamView | None:
        """See :class:`connector.management.Fleet`."""
        view = self._views.get(stream)
        return replace(view, worker=None, status=None) if view is not None and self.unowned else view

    def views(self) -> Sequence[StreamView]:
        """See :class:`connector.management.Fleet`."""
        return [view for name in sorted(self._views) if (view := self.view(name)) is not None]

    def lanes(self) -> Sequence[LaneView]:
        """See :class:`connector.management.Fleet`."""
        found: dict[int, list[StreamView]] = {}
        for view in self.views():
            found.setdefault(view.lane, []).append(view)
        return [
            LaneView(lane, next((v.worker for v in views if v.worker), None), "serving", len(views))
            for lane, views in sorted(found.items())
        ]

    async def place(self, stream: str) -> Place | None:
        """See :class:`connector.management.Fleet`."""
        self._reached()
        return self.places.get(stream)

    async def steer(self, stream: str, target: Target) -> None:
        """See :class:`connector.management.Fleet`."""
        self._reached()
        self.asked.append(("steer", stream, target))
        view = self._views[stream]
        self._views[stream] = replace(view, target=target)
        self.change(stream, state=_CONNECTION[target])

    async def restart(self, stream: str) -> None:
        """See :class:`connector.management.Fleet`."""
        self._reached()
        self.asked.append(("restart", stream, None))

    async def move(self, stream: str, position: int | None, epoch: int | None) -> bool:
        """See :class:`connector.management.Fleet`."""
        self._reached()
        self.asked.append(("move", stream, (position, epoch)))
        if position is None:
            self.places.pop(stream, None)
        else:
            self.places[stream] = Place(epoch or 0, position)
        return not self.unowned

    def _reached(self) -> None:
        if self.away:
            raise ControlUnavailableError("Kafka does not answer")


class FakeCatalogue:
    """Every stream has the same configuration."""

    version = "1.2.3"
    commit = "0123abcd"

    def config(self, stream: str) -> dict[str, str]:
        """See :class:`connector.management.Catalogue`."""
        return {"name": stream, "connector.class": "genesys-sequence", "tasks.max": "1", "topic": "t1"}

    def topics(self, stream: str) -> list[str]:
        """See :class:`connector.management.Catalogue`."""
        del stream
        return ["t1"]

    def plugins(self) -> list[str]:
        """See :class:`connector.management.Catalogue`."""
        return ["genesys-sequence"]

    def definitions(self) -> list[Definition]:
        """See :class:`connector.management.Catalogue`."""
        return [
            Definition("name", "STRING", None, "Its name.", required=True),
            Definition("topic", "STRING", None, "Its topic.", required=True),
            Definition("start", "STRING", "latest", "Where it begins.", required=False),
        ]

    def faults(self, plugin: str, config: Mapping[str, str]) -> dict[str, list[str]]:
        """See :class:`connector.management.Catalogue`."""
        del plugin
        return {name: ["required"] for name in ("name", "topic") if name not in config}
