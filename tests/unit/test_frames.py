"""From a message to its events, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.frames import Event, FrameReader, Unread

READER = FrameReader("/sequenceId")
DEEP = b"[" * 2000 + b"]" * 2000


def read(frame: bytes) -> list[object]:
    """Positions of events, and reasons of what is none."""
    return [item.position if isinstance(item, Event) else item.reason for item in READER.read(frame)]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"sequenceId":7}',
        b' {"sequenceId" : 7, "n": 1.0, "e": 1e3} \n',
        b'{"sequenceId":7,"t":"\\u00e4\\/\xc3\xa4"}',
        b'{"sequenceId":7,"sequenceId":7}',
    ],
)
def test_event_is_its_own_bytes(raw: bytes) -> None:
    """Alone it is the whole message; in an array its own element, spacing apart."""
    (event,) = READER.read(raw)
    assert isinstance(event, Event)
    assert (event.position, event.raw) == (7, raw)
    items = READER.read(b" [\n" + raw + b"\t,  " + raw + b"]")
    assert [item.raw for item in items] == [raw.strip()] * 2
    assert all(isinstance(item, Event) and item.document["sequenceId"] == 7 for item in items)


@pytest.mark.parametrize(
    ("frame", "items"),
    [
        (b"[]", []),
        (b"{}", ["no_position"]),
        (b'{"sequenceId":null}', ["no_position"]),
        (b'{"sequenceId":"7"}', ["bad_position"]),
        (b'{"sequenceId":7.0}', ["bad_position"]),
        (b'{"sequenceId":true}', ["bad_position"]),
        (b'{"sequenceId":0}', ["bad_position"]),
        (b'{"sequenceId":-1}', ["bad_position"]),
        (b"7", ["not_an_object"]),
        (b'"text"', ["not_an_object"]),
        (b"[7,null]", ["not_an_object", "not_an_object"]),
        (b"", ["not_json"]),
        (b"ping", ["not_json"]),
        (b"\xff\xfe\x00", ["not_json"]),
        (b'{"sequenceId":7', ["not_json"]),
        (DEEP, ["not_json"]),
    ],
)
def test_what_is_no_event(frame: bytes, items: list[object]) -> None:
    """It is returned in its place, with a reason, and its bytes are kept."""
    assert read(frame) == items
    assert all(item.raw in frame for item in READER.read(frame))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"sequenceId":6,"t":"\xff"}', "not_json"),
        (b'{"sequenceId":6,"n":NaN}', "not_json"),
        (b'{"sequenceId":6,"d":' + DEEP + b"}", "not_json"),
        (b'{"t":"]}\\",["}', "no_position"),
        (b'{"sequenceId":[}', None),
    ],
)
def test_bad_element_does_not_take_the_good_ones_with_it(bad: bytes, reason: str | None) -> None:
    """Unless its brackets don't pair: then nobody can tell where it ends."""
    frame = b'[{"sequenceId":5}, ' + bad + b' ,{"sequenceId":7}]'
    assert read(frame) == (["not_json"] if reason is None else [5, reason, 7])


@pytest.mark.parametrize(
    "frame",
    [
        b'[{"sequenceId":5}',
        b'[{"sequenceId":5},NaN] and more',
        b'[NaN,{"sequenceId":5}',
        b"[NaN}",
        b'[NaN,"open]',
        b"[NaN" + b" " * (4 * 1024 * 1024) + b"]",
    ],
)
def test_not_cleanly_an_array(frame: bytes) -> None:
    """The message is one unreadable item."""
    assert READER.read(frame) == [Unread("not_json", frame)]


def test_parsers_that_disagree_on_depth() -> None:
    """One goes deeper than the other; the elements are cut by their brackets."""
    deep = b"[" * 1000 + b"]" * 1000
    assert read(b"[" + deep + b', {"sequenceId":5}]') == ["not_an_object", 5]


def test_nested_position() -> None:
    """The pointer may lead deeper."""
    (event,) = FrameReader("/meta/offset").read(b'{"meta":{"offset":3}}')
    assert isinstance(event, Event)
    assert event.position == 3


@given(st.binary(max_size=80) | st.text(alphabet='[]{},:"\\ 7asequncId', max_size=40).map(str.encode))
def test_any_bytes_are_read(frame: bytes) -> None:
    """Never an exception, and nothing is made up."""
    assert all(item.raw in frame for item in READER.read(frame))
