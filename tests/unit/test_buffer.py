"""The worker's memory: full, who is called when there is room, and what belongs to each stream."""

from __future__ import annotations

from connector.stream.buffer import WorkerBuffer

LIMIT = 160


def _buffer(streams: int = 1) -> WorkerBuffer:
    """One whose shared part is 150, and whose streams share 10."""
    return WorkerBuffer(LIMIT, streams)


def test_full_at_its_limit() -> None:
    """Not below it."""
    buffer = _buffer()
    buffer.add(149)
    assert not buffer.full(149)
    buffer.add(1)
    assert buffer.full(150)


def test_a_stream_with_little_in_hand_goes_on() -> None:
    """Whoever fills the buffer, and however long: each stream has a part of its own."""
    buffer = _buffer(streams=2)
    buffer.add(150)
    assert [buffer.full(size) for size in (0, 4, 5)] == [False, False, True]


def test_all_streams_together_stay_within_the_limit() -> None:
    """Each takes what it may, one byte at a time."""
    buffer, in_hand = _buffer(streams=3), [0, 0, 0]
    while not all(buffer.full(size) for size in in_hand):
        for stream, size in enumerate(in_hand):
            if not buffer.full(size):
                in_hand[stream] += 1
                buffer.add(1)
    assert buffer.used_bytes <= LIMIT


def test_who_waits_is_called_once_a_quarter_is_free() -> None:
    """Everybody once, in order; not while it fills, nor at the first byte that leaves."""
    buffer, called = _buffer(), list[str]()
    buffer.add(150)
    buffer.wait(lambda: called.append("a"))
    buffer.wait(lambda: called.append("b"))
    buffer.add(-37)
    buffer.add(0)
    buffer.add(3)
    assert called == []
    buffer.add(-4)
    assert called == ["a", "b"]
    buffer.add(-10)
    assert called == ["a", "b"]


def test_who_is_called_may_fill_it_again() -> None:
    """A waiter that waits again is called the next time."""
    buffer, called = _buffer(), list[int]()

    def call() -> None:
        called.append(buffer.used_bytes)
        buffer.add(150 - buffer.used_bytes)
        buffer.wait(call)

    buffer.add(150)
    buffer.wait(call)
    buffer.add(-50)
    buffer.add(-60)
    assert called == [100, 90]
