"""What streams are to do: the record, requests, and what follows for the owner of a lane."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from connector.core.desired import Request, Step, decode, encode, granted, is_halted, next_step
from connector.errors import NotStoppedError
from connector.model import Checkpoint, DesiredState, PositionChange, Target
from tests.validation import validate

_CHANGE = PositionChange("c1", 42, 1, "by hand")
_FULL = DesiredState("wfm", Target.STOPPED, "r1", _CHANGE, (1, 7), "pat", 1_772_352_930_123)


@pytest.mark.parametrize(
    "desired",
    [
        _FULL,
        DesiredState("é"),
        DesiredState("s", Target.PAUSED, change=PositionChange("c", None)),
        DesiredState("s", by="x"),
    ],
)
def test_there_and_back(desired: DesiredState) -> None:
    """Nothing is lost but when it was written; the record is what its schema says."""
    value = encode(desired)
    validate("control", value)
    read = decode(desired.stream, value)
    assert read == replace(desired, updated_ms=0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "empty document"),
        (b"[]", "version None"),
        (b'{"v":2,"stream":"wfm"}', "version 2"),
        (b'{"v":1,"stream":"crm","state":"running"}', "key is not its stream"),
        (b'{"v":1,"stream":"wfm"}', "malformed"),
        (b'{"v":1,"stream":"wfm","state":"dancing"}', "dancing"),
        (b'{"v":1,"stream":"wfm","state":"stopped","change":{"change_id":"c"}}', "malformed"),
        (b'{"v":1,"stream":"wfm","state":"stopped","change":{"change_id":"c","position":"x"}}', "invalid literal"),
        (b'{"v":1,"stream":"wfm","state":"stopped","change":7}', "malformed"),
        (b'{"v":1,"stream":"wfm","state":"stopped","halted_at":"x"}', "malformed"),
    ],
)
def test_garbage_and_other_versions_say_what_is_wrong(value: bytes, message: str) -> None:
    """They are skipped, not obeyed; never anything but a ValueError."""
    with pytest.raises(ValueError, match=message):
        decode("wfm", value)


def test_fields_of_the_future_are_kept() -> None:
    """A worker of a newer version may have told the stream more; a request to an older one must not take it back."""
    told = decode("s", orjson.dumps({"v": 1, "stream": "s", "state": "paused", "of_the_future": {"x": 1}}))
    assert told.target is Target.PAUSED
    asked = granted(told, Request("test", Target.RUNNING), 0)
    assert asked.target is Target.RUNNING
    assert orjson.loads(encode(asked))["of_the_future"] == {"x": 1}


def test_a_request_changes_what_it_names_and_nothing_else() -> None:
    """A later resume does not erase a change, nor a change a restart."""
    stopped = granted(DesiredState("s"), Request("pat", Target.STOPPED, "r1"), 5)
    changed = granted(stopped, Request("kim", change=_CHANGE), 6)
    resumed = granted(changed, Request("pat", Target.RUNNING), 7)
    assert resumed == DesiredState("s", Target.RUNNING, "r1", _CHANGE, None, "pat", 7)


def test_what_changes_nothing_is_not_written_again() -> None:
    """The same state, whoever asks."""
    now = DesiredState("s", Target.PAUSED, by="pat", updated_ms=5)
    assert granted(now, Request("kim", Target.PAUSED), 9) is now


@pytest.mark.parametrize("target", [Target.RUNNING, Target.PAUSED])
def test_a_position_is_changed_only_while_stopped(target: Target) -> None:
    """Else the request is refused; stopping and changing in one request will do."""
    with pytest.raises(NotStoppedError, match=f"stream s is {target}"):
        granted(DesiredState("s", target), Request("pat", change=_CHANGE), 0)
    assert granted(DesiredState("s", target), Request("pat", Target.STOPPED, change=_CHANGE), 0).change is _CHANGE


def test_a_halt_told_late_does_not_stop_a_stream_that_was_resumed_from_it() -> None:
    """The lane's former owner may tell what its successor has told already."""
    halt = Request("on_gap: stop", Target.STOPPED, halted_at=(0, 9))
    halted = granted(DesiredState("s"), halt, 1)
    assert (halted.target, halted.halted_at) == (Target.STOPPED, (0, 9))
    resumed = granted(halted, Request("pat", Target.RUNNING), 2)
    assert granted(resumed, halt, 3) is resumed
    assert granted(resumed, Request("on_gap: stop", Target.STOPPED, halted_at=(1, 3)), 3).target is Target.STOPPED


_AT = Checkpoint("s", position=5)
_DONE = Checkpoint("s", position=5, command_id="c1")
_HALTED = Checkpoint("s", position=5, stopped=True)


@pytest.mark.parametrize(
    ("desired", "checkpoint", "running", "step"),
    [
        (DesiredState("s"), None, False, Step.START),
        (DesiredState("s"), _AT, False, Step.START),
        (DesiredState("s"), _AT, True, Step.REST),
        (DesiredState("s", Target.PAUSED), _AT, True, Step.STOP),
        (DesiredState("s", Target.STOPPED), _AT, True, Step.STOP),
        (DesiredState("s", Target.PAUSED), _AT, False, Step.REST),
        (DesiredState("s", Target.STOPPED, change=_CHANGE), _AT, True, Step.STOP),
        (DesiredState("s", Target.STOPPED, change=_CHANGE), _AT, False, Step.MOVE),
        (DesiredState("s", Target.STOPPED, change=_CHANGE), None, False, Step.MOVE),
        (DesiredState("s", Target.STOPPED, change=_CHANGE), _DONE, False, Step.REST),
        (DesiredState("s", Target.RUNNING, change=_CHANGE), _AT, True, Step.STOP),
        (DesiredState("s", Target.RUNNING, change=_CHANGE), _AT, False, Step.MOVE),
        (DesiredState("s", Target.RUNNING, change=_CHANGE), _DONE, False, Step.START),
        (DesiredState("s"), _HALTED, True, Step.STOP),
        (DesiredState("s"), _HALTED, False, Step.REST),
        (DesiredState("s", halted_at=(0, 4)), _HALTED, False, Step.REST),
        (DesiredState("s", halted_at=(0, 5)), _HALTED, False, Step.START),
        (DesiredState("s", halted_at=(0, 5)), _HALTED, True, Step.REST),
        (DesiredState("s", Target.STOPPED, halted_at=(0, 5)), _HALTED, False, Step.REST),
    ],
)
def test_what_the_owner_does(desired: DesiredState, checkpoint: Checkpoint | None, running: bool, step: Step) -> None:  # noqa: FBT001
    """First a change, then what the stream is to do; a stop after a gap until it is resumed from there."""
    assert next_step(desired, checkpoint, running=running) is step


def test_only_a_checkpoint_can_be_halted() -> None:
    """A stream that has not begun is none."""
    assert not is_halted(DesiredState("s"), None)
