"""From a frame to items, byte for byte."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.frames import Event, FrameReader, Unread

_READER = FrameReader("/sequenceId")
_DEEP = b"[" * 1010 + b"]" * 1010
_TOO_DEEP = b"[" * 2000 + b"]" * 2000

_OBJECTS = [
    b'{"sequenceId":1}',
    b' \r\n\t{ "sequenceId" : 1 , "a" : [ ] } \n',
    b'{"sequenceId":1,"n":1.0,"e":1E+2,"z":-0,"big":123456789012345678901234567890}',
    b'{"sequenceId":1,"t":"\\u00e9\\/\\"\\\\"}',
    '{"sequenceId":1,"t":"é漢🙂"}'.encode(),
    b'{"sequenceId":7,"sequenceId":1}',
    b'{"sequenceId":1,"d":' + _DEEP + b"}",
]


@pytest.mark.parametrize("frame", _OBJECTS)
def test_object_is_an_event_as_it_came(frame: bytes) -> None:
    """Spacing, escapes, numbers, duplicate keys and depth included; of duplicate positions the last counts."""
    (item,) = _READER.read(frame)
    assert type(item) is Event
    assert (item.position, item.raw) == (1, frame)
    assert item.document.keys() == orjson.loads(frame).keys()


@pytest.mark.parametrize("space", [b"", b" ", b"\r\n\t  "])
def test_array_is_cut_into_its_elements_own_bytes(space: bytes) -> None:
    """Whatever stands between them."""
    elements = [frame.strip() for frame in _OBJECTS]
    frame = space + b"[" + space + (space + b"," + space).join(elements) + space + b"]" + space
    items = _READER.read(frame)
    assert [item.raw for item in items] == elements
    assert all(type(item) is Event for item in items)


@pytest.mark.parametrize("frame", [b"[]", b" [ ] ", b"\n[\n]\n"])
def test_empty_array_has_no_items(frame: bytes) -> None:
    """Nothing came."""
    assert _READER.read(frame) == []


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "not_json"), (b"  ", "not_json"), (b"ping", "not_json"), (b"\x00\xff\xfe", "not_json"),
        (b'{"sequenceId":1', "not_json"), (b'{"sequenceId":1}x', "not_json"), (b'{"sequenceId":NaN}', "not_json"),
        (b'{"sequenceId":1,"a":Infinity}', "not_json"), (b'{"sequenceId":1,"a":"\xff"}', "not_json"),
        (b'{"sequenceId":1,"a":"\\ud800"}', "not_json"), (b'\xef\xbb\xbf{"sequenceId":1}', "not_json"),
        (b'{"sequenceId":1}{"sequenceId":2}', "not_json"), (b'[{"sequenceId":1}', "not_json"),
        (b'[{"sequenceId":1}}', "not_json"), (b'[{"sequenceId":1},"a]', "not_json"), (b"]", "not_json"),
        (b'[{"sequenceId":1}] [NaN]', "not_json"), (b'{"sequenceId":1,"d":' + _TOO_DEEP + b"}", "not_json"),
        (b"1", "not_an_object"), (b'"text"', "not_an_object"), (b"null", "not_an_object"), (b"true", "not_an_object"),
        (b"{}", "no_position"), (b'{"sequenceId":null}', "no_position"), (b'{"x":{"sequenceId":1}}', "no_position"),
        (b'{"sequenceId":"1"}', "bad_position"), (b'{"sequenceId":1.0}', "bad_position"),
        (b'{"sequenceId":true}', "bad_position"), (b'{"sequenceId":false}', "bad_position"),
        (b'{"sequenceId":0}', "bad_position"), (b'{"sequenceId":-3}', "bad_position"),
        (b'{"sequenceId":[1]}', "bad_position"), (b'{"sequenceId":18446744073709551616}', "bad_position"),
        (b'{"sequenceId":1e3}', "bad_position"), (b'{"sequenceId":{}}', "bad_position"),
    ],
)  # fmt: skip
def test_what_is_no_event_says_why(frame: bytes, reason: str) -> None:
    """As a whole, with its own bytes."""
    assert _READER.read(frame) == [Unread(reason, frame)]


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (b'{"sequenceId":2,"a":"\xff\xfe"}', "not_json"),
        (b'{"sequenceId":2,"a":NaN}', "not_json"),
        (b'{"sequenceId":2,"a":-Infinity}', "not_json"),
        (b'{"sequenceId":2,"a":"\\ud800"}', "not_json"),
        (b'{"sequenceId":02}', "not_json"),
        (b"{bad}", "not_json"),
        (b"{'sequenceId':2}", "not_json"),
        (b'{"sequenceId":2,}', "not_json"),
        (b'{"sequenceId":2,"a":"line\nbreak"}', "not_json"),
        (b'{"a":"],[{\\"","b":nope}', "not_json"),
        (b'{"sequenceId":2,"d":' + _TOO_DEEP + b"}", "not_json"),
        (b"[]", "not_an_object"),
        (b'[{"sequenceId":2}]', "not_an_object"),
        (b"7", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"a"', "not_an_object"),
        (b"{}", "no_position"),
        (b'{"sequenceId":"2"}', "bad_position"),
    ],
)
def test_bad_element_does_not_take_the_others_with_it(element: bytes, reason: str) -> None:
    """It is unread in its place, with its own bytes; its neighbours are events."""
    frame = b'[ {"sequenceId": 1} ,' + element + b', {"sequenceId": 3}]'
    first, bad, last = _READER.read(frame)
    assert bad == Unread(reason, element)
    assert (first.raw, last.raw) == (b'{"sequenceId": 1}', b'{"sequenceId": 3}')
    assert type(first) is type(last) is Event


def test_array_with_much_space_before_it_is_an_array() -> None:
    """However much."""
    items = _READER.read(b" " * 100 + b'[{"sequenceId":1},{"sequenceId":NaN}]')
    assert [type(item) for item in items] == [Event, Unread]


@pytest.mark.parametrize("frame", [b'[{"sequenceId":1},{"a":NaN},]', b'[{"sequenceId":1},,{"a":NaN}]'])
def test_stray_comma_is_no_item(frame: bytes) -> None:
    """Between the commas there is nothing to keep."""
    assert [item.raw for item in _READER.read(frame)] == [b'{"sequenceId":1}', b'{"a":NaN}']


def test_deep_element_in_an_array_is_read_as_a_deep_object_is() -> None:
    """The two parsers differ in how deep they go; the frame must not be lost for it."""
    element = b'{"sequenceId":1,"d":' + _DEEP + b"}"
    frame = b"[" + element + b"]"
    assert [item.raw for item in _READER.read(frame)] == [element]
    assert type(_READER.read(frame)[0]) is Event


def test_broken_array_beyond_some_size_is_one_item() -> None:
    """To look through it by brackets would hold up everything else."""
    frame = b'[{"sequenceId":1,"a":"' + b"x" * (4 * 1024 * 1024) + b'"},{"a":NaN}]'
    assert _READER.read(frame) == [Unread("not_json", frame)]


@pytest.mark.parametrize(
    ("pointer", "frame", "position"),
    [("/data/offset", b'{"data":{"offset":5}}', 5), ("/a~1b", b'{"a/b":6}', 6), ("/p/0", b'{"p":[7]}', 7)],
)
def test_position_stands_where_the_pointer_says(pointer: str, frame: bytes, position: int) -> None:
    """Nested, with escapes, in a list."""
    assert FrameReader(pointer).read(frame) == [Event(position, orjson.loads(frame), frame)]


def test_largest_position_that_text_can_order() -> None:
    """Twenty digits."""
    (item,) = _READER.read(b'{"sequenceId":18446744073709551615}')
    assert type(item) is Event
    assert item.position == 2**64 - 1


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


_SEPARATORS = st.sampled_from([(",", ":"), (" , ", " : "), (",\n", ":\t")])


@given(elements=st.lists(_JSON, max_size=6), separators=_SEPARATORS, ascii_only=st.booleans())
def test_any_array_is_cut_at_its_own_bytes(
    *, elements: list[object], separators: tuple[str, str], ascii_only: bool
) -> None:
    """Each element, as it was written, NaN or not."""
    texts = [json.dumps(e, separators=separators, ensure_ascii=ascii_only) for e in elements]
    frame = f"[{separators[0].join(texts)}]".encode(errors="surrogatepass")
    assert [item.raw for item in _READER.read(frame)] == [t.encode(errors="surrogatepass") for t in texts]


@given(st.binary(max_size=60) | st.text(alphabet='[]{},:"\\0123 nul', max_size=60).map(str.encode))
def test_nothing_raises(frame: bytes) -> None:
    """Whatever a platform sends; and no byte of an item comes from elsewhere."""
    for item in _READER.read(frame):
        assert item.raw in frame
