"""The worker's memory: full, and who is called when there is room."""

from __future__ import annotations

from connector.buffer import WorkerBuffer


def test_full_at_its_limit() -> None:
    """Not below it."""
    buffer = WorkerBuffer(100)
    buffer.add(99)
    assert not buffer.full
    buffer.add(1)
    assert buffer.full


def test_who_waits_is_called_once_a_quarter_is_free() -> None:
    """Everybody once, in order; not while it fills, nor at the first byte that leaves."""
    buffer, called = WorkerBuffer(100), list[str]()
    buffer.add(100)
    buffer.wait(lambda: called.append("a"))
    buffer.wait(lambda: called.append("b"))
    buffer.add(-25)
    buffer.add(0)
    buffer.add(3)
    assert called == []
    buffer.add(-4)
    assert called == ["a", "b"]
    buffer.add(-10)
    assert called == ["a", "b"]


def test_who_is_called_may_fill_it_again() -> None:
    """A waiter that waits again is called the next time."""
    buffer, called = WorkerBuffer(100), list[int]()

    def call() -> None:
        called.append(buffer.used_bytes)
        buffer.add(100 - buffer.used_bytes)
        buffer.wait(call)

    buffer.add(100)
    buffer.wait(call)
    buffer.add(-50)
    buffer.add(-60)
    assert called == [50, 40]
