"""What an operator's change of position makes of a checkpoint."""

from __future__ import annotations

import pytest

from connector.core.relocation import relocated
from connector.model import Checkpoint, DeadLetterId, Gap, GapReason, PositionChange

_KNOWN = Checkpoint("s", 1, 50, 1000, 2000, {"t": {0: 9}}, command_id="c0")
_DIRTY = Checkpoint("s", 1, 50, dead_letters=(DeadLetterId(1, "ab"),))
_IN_SNAPSHOT = Checkpoint("s", 1, 50, snapshot_id="s-1", snapshot_records=3)


def _gap(first: int, last: int, time_ms: int | None = None) -> Gap:
    return Gap(1, first, last, time_ms, None, GapReason.OPERATOR)


@pytest.mark.parametrize(
    ("known", "position", "epoch", "to", "gap"),
    [
        (_KNOWN, 80, None, (1, 80), _gap(51, 80, 1000)),
        (_KNOWN, 80, 0, (1, 80), _gap(51, 80, 1000)),
        (_KNOWN, 51, 1, (1, 51), _gap(51, 51, 1000)),
        (_KNOWN, 50, None, (1, 50), None),
        (_KNOWN, 20, None, (2, 20), None),
        (_KNOWN, 20, 1, (2, 20), None),
        (_KNOWN, 20, 7, (7, 20), None),
        (_KNOWN, 80, 7, (7, 80), None),
        (_KNOWN, None, None, (2, None), None),
        (_KNOWN, None, 7, (7, None), None),
        (_DIRTY, 50, None, (2, 50), None),
        (_IN_SNAPSHOT, 50, None, (2, 50), None),
        (_IN_SNAPSHOT, 51, None, (1, 51), _gap(51, 51)),
        (Checkpoint("s"), 20, None, (0, 20), None),
        (None, 20, None, (0, 20), None),
        (None, 20, 3, (3, 20), None),
        (None, None, None, (0, None), None),
    ],
)
def test_where_it_goes_on(
    known: Checkpoint | None, position: int | None, epoch: int | None, to: tuple[int, int | None], gap: Gap | None
) -> None:
    """Forward in the epoch, with a gap record for what is left out; back in a new epoch: marks only grow."""
    found = relocated("s", known, PositionChange("c1", position, epoch, "by hand"))
    made = found.move.to
    assert (made.epoch, made.position) == to
    assert found.gap == gap
    assert (made.command_id, made.reason, made.anew) == ("c1", "by hand", position is None)
    assert (made.snapshot_id, made.snapshot_records, made.dead_letters) == (None, 0, ())
    assert found.move.base == (None if known is None else known.mark)
    assert known is None or made.mark >= known.mark
