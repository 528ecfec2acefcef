"""What a stream is to do: the control record, what a request makes of it, and what follows for the lane's owner.

CONTRACT.md "Topics", KAFKA.md 17.
A record is a stream's whole desired state, so that the last one says all, whatever was missed before it. A change of
position is done once: it carries an id, which the checkpoint that it makes remembers as its ``command_id``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

import orjson

from connector.core.instants import rfc3339
from connector.errors import NotStoppedError
from connector.model import Checkpoint, DesiredState, PositionChange, Target

VERSION = 1
RESERVED = "$"
"""Keys that begin so are no streams' but workers' notices."""
BY_GAP = "on_gap: stop"
"""Who asked where nobody did: the stream met a gap."""

Place = tuple[int, int]
"""Epoch and position."""
_FIELDS = frozenset({"v", "stream", "state", "restart_id", "change", "halted_at", "updated_at", "by"})


# ---------------------------------------------------------------------- the record


def encode(desired: DesiredState) -> bytes:
    """The record's value."""
    change, halted_at = desired.change, desired.halted_at
    return orjson.dumps(
        {
            "v": VERSION,
            "stream": desired.stream,
            "state": desired.target,
            "restart_id": desired.restart_id,
            "change": None
            if change is None
            else {
                "change_id": change.change_id,
                "epoch": change.epoch,
                "position": _text(change.position),
                "reason": change.reason,
            },
            "halted_at": None if halted_at is None else {"epoch": halted_at[0], "position": _text(halted_at[1])},
            "updated_at": rfc3339(desired.updated_ms),
            "by": desired.by,
            **desired.unknown,
        }
    )


def decode(stream: str, value: bytes) -> DesiredState:
    """A record's value. Raises ``ValueError`` for what is no record of this stream, or of another major version."""
    fields = orjson.loads(value)
    if not isinstance(fields, dict) or fields.get("v") != VERSION:
        version = fields.get("v") if isinstance(fields, dict) else None
        raise ValueError(f"it has version {version!r}; this bridge reads version {VERSION}")
    if fields.get("stream") != stream:
        raise ValueError("its key is not its stream")
    try:
        return DesiredState(
            stream,
            Target(fields["state"]),
            fields.get("restart_id"),
            _change(fields.get("change")),
            _place(fields.get("halted_at")),
            str(fields.get("by", "")),
            unknown={name: fields[name] for name in fields.keys() - _FIELDS},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is malformed: {error!r}") from error


def _change(fields: Mapping[str, Any] | None) -> PositionChange | None:
    if fields is None:
        return None
    position, epoch = fields["position"], fields.get("epoch")
    return PositionChange(
        str(fields["change_id"]),
        None if position is None else int(position),
        None if epoch is None else int(epoch),
        str(fields.get("reason", "")),
    )


def _place(fields: Mapping[str, Any] | None) -> Place | None:
    return None if fields is None else (int(fields["epoch"]), int(fields["position"]))


def _text(position: int | None) -> str | None:
    return None if position is None else str(position)


# ---------------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. ``halted_at``: the stream met a gap there and stops (``on_gap: stop``)."""

    by: str
    target: Target | None = None
    restart_id: str | None = None
    change: PositionChange | None = None
    halted_at: Place | None = None


def granted(now: DesiredState, request: Request, wall_ms: int) -> DesiredState:
    """What a stream is to do after a request; ``now`` itself where nothing changes.

    Raises ``NotStoppedError`` for a change of a stream that is not to be stopped.
    """
    if request.halted_at is not None and now.halted_at is not None and request.halted_at <= now.halted_at:
        return now  # told before, by this worker or the lane's former owner; it may have been resumed since
    target = request.target or now.target
    if request.change is not None and target is not Target.STOPPED:
        raise NotStoppedError(f"stream {now.stream} is {target}: a position is changed only while it is stopped")
    asked = replace(
        now,
        target=target,
        restart_id=request.restart_id or now.restart_id,
        change=request.change or now.change,
        halted_at=request.halted_at or now.halted_at,
    )
    return now if asked == now else replace(asked, by=request.by, updated_ms=wall_ms)


# ---------------------------------------------------------------------- what follows


class Step(Enum):
    """What the owner of a stream's lane does next about it."""

    REST = auto()  # as it is
    STOP = auto()  # let what was read be written, close the sockets
    MOVE = auto()  # write the checkpoint that the change makes
    START = auto()  # go on from the checkpoint


def next_step(desired: DesiredState, checkpoint: Checkpoint | None, *, running: bool) -> Step:
    """What to do about a stream whose last commit is the checkpoint.

    Asked again after each step, it ends at REST, whatever was missed, repeated or taken over in between.
    """
    pending = is_pending(desired.change, checkpoint)
    runs = desired.target is Target.RUNNING and not is_halted(desired, checkpoint)
    if running:
        return Step.STOP if pending or not runs else Step.REST
    if pending:
        return Step.MOVE
    return Step.START if runs else Step.REST


def is_pending(change: PositionChange | None, checkpoint: Checkpoint | None) -> bool:
    """Whether a change is still to be made."""
    return change is not None and (checkpoint is None or checkpoint.command_id != change.change_id)


def is_halted(desired: DesiredState, checkpoint: Checkpoint | None) -> bool:
    """Whether the stream stands where it met a gap (``on_gap: stop``), and nobody has let it go on from there."""
    return (
        checkpoint is not None
        and checkpoint.stopped
        and not (desired.target is Target.RUNNING and desired.halted_at == place(checkpoint))
    )


def place(checkpoint: Checkpoint) -> Place:
    """Where a stream stands."""
    return checkpoint.epoch, checkpoint.position or 0
