"""What an operator's change of position makes of a checkpoint (KAFKA.md 17).

Each position of a stream is there once in an epoch, and marks only grow: so a step forward leaves a gap record for what
it leaves out, and a step back begins a new epoch, in which the platform's replay counts anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from connector.core.envelope import Envelope
from connector.model import Batch, Checkpoint, Gap, GapReason, Mark, Move, PositionChange


@dataclass(frozen=True, slots=True)
class Relocation:
    """The checkpoint to write, on which one it was decided, and what is left out."""

    move: Move
    gap: Gap | None


def relocated(stream: str, known: Checkpoint | None, change: PositionChange) -> Relocation:
    """What a change makes of a stream's checkpoint; None: it has not begun."""
    now = known or Checkpoint(stream)
    epoch, position = max(change.epoch or 0, now.epoch), change.position
    if known is not None and (position is None or Mark(epoch, position, 0, 0) < known.mark):
        epoch = max(epoch, known.epoch + 1)
    gap = None
    if now.position is not None and position is not None and epoch == now.epoch and position > now.position:
        gap = Gap(epoch, now.position + 1, position, now.event_time_ms, None, GapReason.OPERATOR)
    to = Checkpoint(
        stream,
        epoch=epoch,
        position=position,
        anew=position is None,
        command_id=change.change_id,
        reason=change.reason or "changed by an operator",
    )
    return Relocation(Move(None if known is None else known.mark, to), gap)


def moving(stream: str, relocation: Relocation, incarnation: int, envelope: Envelope) -> Batch:
    """The batch that changes the position; the envelope has been told the present before."""
    gap, to = relocation.gap, relocation.move.to
    entries = [] if gap is None else [envelope.gap(gap)]
    size = sum(len(entry.value) for entry in entries)
    return Batch(stream, incarnation, to.epoch, entries, size, urgent=True, move=relocation.move)
