"""Redaction: what must not pass does not, and everything else keeps its bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.pointer import compile_pointer
from connector.core.redaction import Redaction

_SECRET = "tel:+49891234"


@pytest.mark.parametrize(
    ("pointers", "raw", "value", "found"),
    [
        (["/a"], b'{"a":1,"b":2}', b'{"a":null,"b":2}', ["/a"]),
        (["/a/b"], b'{"a":{"b":"x","c":1.0},"d":1e2}', b'{"a":{"b":null,"c":1.0},"d":1e2}', ["/a/b"]),
        (["/a/1/n"], b'[{"n":1}]', b'[{"n":1}]', []),
        (["/a/1/n"], b'{"a":[{"n":1},{"n":2}]}', b'{"a":[{"n":1},{"n":null}]}', ["/a/1/n"]),
        (["/a"], b'{ "b" : [1 , 2] }', b'{ "b" : [1 , 2] }', []),
        (["/a", "/b"], b'{"b":12345678901234567890123}', b'{"b":null}', ["/b"]),
        (["/a"], b'{"b":12345678901234567890123,"a":""}', b'{"b":12345678901234567890123,"a":null}', ["/a"]),
        (["/x~1y"], b'{"x/y":1}', b'{"x/y":null}', ["/x~1y"]),
        (["/a"], b'{"a":1,"a":2}', b'{"a":null}', ["/a"]),
        (["/\xc3\xa9".encode("latin-1").decode()], '{"é":1}'.encode(), '{"é":null}'.encode(), ["/é"]),
        (["/a/b"], b'{"a":"text"}', b'{"a":"text"}', []),
        (["/a"], b'"text"', b'"text"', []),
        (["/a"], b"{broken", b"null", [""]),
        (["/a/b"], b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", b"null", [""]),
    ],
)  # fmt: skip
def test_table(pointers: list[str], raw: bytes, value: bytes, found: list[str]) -> None:
    """The value after, and which pointers led somewhere; what cannot be cut goes whole."""
    assert Redaction(pointers).apply(raw) == (value, found)


def test_whole_value_goes() -> None:
    """Whatever it is."""
    assert Redaction(whole=True).apply(b"{broken") == (b"null", [""])


_members = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers() | st.text(max_size=3), max_size=3)
_documents = st.recursive(
    _members, lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c"]), inner) | st.lists(inner, max_size=3)
)
_pointers = st.lists(st.sampled_from(["a", "b", "c", "0", "1"]), min_size=1, max_size=3).map(
    lambda steps: "/" + "/".join(steps)
)


@given(_documents, st.lists(_pointers, max_size=3))
def test_nothing_is_left_where_a_pointer_leads(document: object, pointers: list[str]) -> None:
    """Each pointer leads to null or nowhere afterwards, and what no pointer touches is as it was."""
    raw = json.dumps(document).encode()
    value, found = Redaction(pointers).apply(raw)
    after = json.loads(value)
    assert all(compile_pointer(pointer)(after) is None for pointer in pointers)
    assert (value == raw) >= (not found)
