"""A checkpoint told from records alone is the one that was committed with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from connector.core.checkpoint import advance
from connector.core.recovery import StreamRecovery
from connector.model import Batch, Checkpoint, DeadLetterId, Entry

_ITEMS = st.lists(
    st.tuples(st.sampled_from(["event", "unreadable", "refused", "gap", "epoch"]), st.integers(0, 2)), max_size=25
)
"""What comes, and in which partition an event, or whether an unreadable item stands for a position."""


@given(_ITEMS, st.randoms(use_true_random=False))
def test_recovered_is_committed(items: list[tuple[str, int]], chance: Random) -> None:
    """Events, dead letters behind a position and in the place of one, gaps, new epochs; told in any order."""
    committed = Checkpoint("wfm", position=0)
    recovery = StreamRecovery("wfm")
    epoch, position, ordinal = 0, 0, 0
    offsets = {0: -1, 1: -1, 2: -1}
    tellings: list[Callable[[], None]] = []
    for number, (kind, partition) in enumerate(items):
        if kind == "epoch":
            epoch, position, ordinal = epoch + 1, 0, 0
            continue
        written: dict[str, dict[int, int]] = {}
        if kind == "unreadable":
            ordinal += 1
            letter = DeadLetterId(ordinal, f"{number:064x}", covers=partition > 0)
            entry = Entry(position, ordinal, "d", "wfm", b"", [], 0, None, letter.sha256, covers=letter.covers)
            tellings.append(partial(recovery.dead_letter, (epoch, position), letter))
        else:
            position, ordinal = position + (3 if kind == "gap" else 1), 0
            time_ms = number if kind == "event" else None
            entry = Entry(position, 0, "t", "k", b"", [], 0, time_ms)
            if kind == "event":
                offsets[partition] += 1
                written = {"t": {partition: offsets[partition]}}
                tellings.append(partial(recovery.event, (epoch, position), time_ms))
                tellings.append(partial(recovery.written, "t", partition, offsets[partition]))
            else:
                tellings.append(partial(recovery.accounted, (epoch, position)))
        committed = advance(committed, [Batch("wfm", 0, epoch, [entry])], written)
    chance.shuffle(tellings)
    for tell in tellings:
        tell()
    found = recovery.checkpoint()
    assert found == (committed if tellings else None)
