"""One stream of the platform: its log, what of it can still be asked for, and its bytes for the wire. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from connector.simulator.events import EventWriter
from connector.simulator.poison import Poison, PoisonOrder, make_poison
from connector.simulator.settings import SimulatorSettings
from connector.simulator.timeline import Positions, Timeline
from connector.simulator.wire import Opcode, frame, header

_BURST_EVENTS = 128  # events encoded in one go: about a socket buffer's worth


class Item(NamedTuple):
    """What stands at one position: an event, or a poison that a reader cannot use."""

    epoch: int
    position: int
    data: bytes
    poison: bool = False


class Start(NamedTuple):
    """Where a new socket begins: after ``slot``. ``expired``: the asked position was too old and is not honoured."""

    slot: int
    expired: bool = False


class PositionGoneError(Exception):
    """The asked position is older than the retention, and the platform refuses it with status 410."""


@dataclass(frozen=True, slots=True)
class _Override:
    """Something special at a slot: a poison instead of the event, or a wrong event time (platform's ms)."""

    poison: Poison | None = None
    time_ms: int | None = None


class StreamLog:
    """A stream's history, from a timeline, positions and a writer. Instants are seconds on the machine's clock."""

    def __init__(self, name: str, settings: SimulatorSettings, writer: EventWriter, start_s: float) -> None:
        self.name = name
        self.timeline = Timeline(start_s, settings.rate, settings.backlog)
        self.positions = Positions()
        self._settings = settings
        self._writer = writer
        self._overrides: dict[int, _Override] = {}
        self._prepared: list[bytes] = []

    # What exists ----------------------------------------------------------------------------------------------

    def item(self, slot: int) -> Item:
        """What the slot holds."""
        mark = self.positions.mark_of(slot)
        position = slot - mark.shift
        special = self._overrides.get(slot)
        if special is not None and special.poison is not None:
            return Item(mark.epoch, position, special.poison.data, poison=True)
        instant_s = self.timeline.time_of(slot)
        time_ms = round((instant_s + self._settings.clock_skew_s) * 1000)
        if special is not None and special.time_ms is not None:
            time_ms = special.time_ms
        emitted_ms = round(instant_s * 1000)
        return Item(mark.epoch, position, self._writer.write(self.name, slot, position, time_ms, emitted_ms))

    def items(self, through_slot: int) -> Iterator[Item]:
        """The whole history in order."""
        return map(self.item, range(1, through_slot + 1))

    def poisoned(self) -> list[tuple[int, int]]:
        """(epoch, position) of every poison in the sequence."""
        slots = (slot for slot, special in self._overrides.items() if special.poison is not None)
        return [(self.positions.mark_of(slot).epoch, self.positions.position_of(slot)) for slot in sorted(slots)]

    def position_at(self, now_s: float) -> int:
        """The current position: that of the newest slot."""
        return self.positions.position_of(self.timeline.head(now_s))

    def conversations(self, now_s: float) -> list[dict[str, Any]]:
        """The conversations that are going on, as the snapshot shows them."""
        return self._writer.active(self.name, self.timeline.head(now_s))

    def resume(self, asked: int | None, now_s: float) -> Start:
        """Where a socket that asks for this position begins.

        None: at the present. A position ahead of the present: there too; but after a reset of the sequence such a
        position belongs to the former epoch, and the new epoch is delivered from its beginning.
        Raises :class:`PositionGoneError`.
        """
        head = self.timeline.head(now_s)
        if asked is None or head == 0:
            return Start(head)
        after = self.positions.last_slot_up_to(asked, head)
        begin = self.positions.last_slot_up_to(asked - 1, head) if self._settings.resume == "at" else after
        if asked > self.positions.position_of(head) and self.positions.mark_of(head).epoch > 0:
            after = begin = self.positions.epoch_start(head) - 1
        gone = self.timeline.head(now_s - self._settings.retention_s)
        if after >= gone:
            return Start(max(begin, gone))
        if self._settings.expired_position == "refuse":
            raise PositionGoneError(f"position {asked} is older than {self._settings.retention_s:g} s")
        return Start(head if self._settings.expired_position == "head" else gone, expired=True)

    # What faults change ---------------------------------------------------------------------------------------

    def poison(self, now_s: float, order: PoisonOrder) -> None:
        """Put a poison at the next position, at once."""
        slot = self.timeline.push(now_s)
        position = self.positions.position_of(slot)
        poison = make_poison(order, self._settings.position_name, position)
        self._overrides[slot] = _Override(poison=poison)

    def misdate(self, now_s: float, time_ms: int) -> None:
        """Produce an event at once whose ``eventTime`` is this instant, whatever the clock says."""
        self._overrides[self.timeline.push(now_s)] = _Override(time_ms=time_ms)

    def jump(self, now_s: float, count: int) -> None:
        """Leave out the next ``count`` positions."""
        self.positions.jump(self.timeline.head(now_s) + 1, count)

    def reset(self, now_s: float) -> None:
        """Start the sequence again at 1 with the next event."""
        self.positions.reset(self.timeline.head(now_s) + 1)

    # Bytes for the wire ---------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Encode the backlog's frames ahead of time: costs its size in memory, makes sending nearly free."""
        whole = self._settings.backlog // _BURST_EVENTS
        have = len(self._prepared)
        self._prepared += [self._encode(i * _BURST_EVENTS, (i + 1) * _BURST_EVENTS) for i in range(have, whole)]

    def burst(self, after_slot: int, through_slot: int) -> tuple[int, bytes]:
        """Frames of the next slots, as many as fit a burst: (the last slot in it, the bytes)."""
        chunk, within = divmod(after_slot, _BURST_EVENTS)
        last = min(through_slot, (chunk + 1) * _BURST_EVENTS)
        if within == 0 and chunk < len(self._prepared) and last - after_slot == _BURST_EVENTS:
            return last, self._prepared[chunk]
        return last, self._encode(after_slot, last)

    def _encode(self, after_slot: int, last: int) -> bytes:
        batch: list[bytes] = []
        out: list[bytes] = []
        plain = self._settings.batch == 1
        for slot in range(after_slot + 1, last + 1):
            special = self._overrides.get(slot) if self._overrides else None
            poison = special.poison if special is not None else None
            data = poison.data if poison is not None else self.item(slot).data
            if poison is not None and (plain or not poison.embeddable):
                out += [*_array_frames(batch), frame(poison.opcode, data)]
                batch = []
            elif plain:
                out += (header(Opcode.TEXT, len(data)), data)
            else:
                batch.append(data)
                if len(batch) == self._settings.batch:
                    out += _array_frames(batch)
                    batch = []
        out += _array_frames(batch)
        return b"".join(out)


def _array_frames(batch: list[bytes]) -> list[bytes]:
    """A batch as one frame: an object alone, or an array with the spacing of a platform that prints prettily."""
    if not batch:
        return []
    return [frame(Opcode.TEXT, batch[0] if len(batch) == 1 else b"[ " + b" ,\n".join(batch) + b" ]")]
