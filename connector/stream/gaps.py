"""What follows a gap, by ``on_gap`` (CONTRACT.md): a snapshot, nothing, or an operator."""

from __future__ import annotations

from collections.abc import Callable

from connector import telemetry
from connector.model import Gap
from connector.stream.outbox import Outbox
from connector.stream.parts import Parts, StreamPlan
from connector.stream.rebuild import Rebuild


class Gaps:
    """Records the gaps of one stream."""

    def __init__(self, plan: StreamPlan, parts: Parts, outbox: Outbox, halt: Callable[[], None]) -> None:
        """``halt``: nothing more is read until an operator lets the stream go on."""
        self._plan = plan
        self._envelope = parts.envelope
        self._observe = parts.shared.observe
        self._outbox = outbox
        self._halt = halt
        self.rebuild = Rebuild(plan, parts, outbox)

    def record(self, gap: Gap) -> None:
        """Write the gap record, in its place, and do what follows it."""
        self._observe(telemetry.GapRecorded(self._plan.name, gap))
        outbox, entry = self._outbox, self._envelope.gap(gap)
        if self._plan.on_gap == "snapshot":
            self.rebuild.gap(entry, gap)
            return
        outbox.turn_epoch(gap.epoch)
        if self._plan.on_gap == "continue":
            outbox.add(entry)
        else:
            outbox.stop_with(entry)
            self._halt()
