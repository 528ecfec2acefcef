"""JSON pointers (RFC 6901), as far as an event is looked into with them."""

from __future__ import annotations

import pytest

from connector.core.pointer import compile_pointer

_DOCUMENT: dict[str, object] = {
    "a": 1,
    "": "empty",
    " ": "space",
    "m~n": "tilde",
    "a/b": "slash",
    "~1": "escaped twice",
    "é": "accent",
    "null": None,
    "deep": {"a": [10, {"b": "found"}], "0": "zero", "": {"": "nothing"}},
    "list": [[1, 2], "x"],
}


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("/a", 1), ("/", "empty"), ("/ ", "space"), ("/m~0n", "tilde"), ("/a~1b", "slash"), ("/~01", "escaped twice"),
        ("/é", "accent"), ("/null", None), ("/missing", None), ("/deep/a/0", 10), ("/deep/a/1/b", "found"),
        ("/deep/0", "zero"), ("/deep//", "nothing"), ("/list/0/1", 2), ("/deep/a/2", None), ("/deep/a/-", None),
        ("/deep/a/-1", None), ("/deep/a/00", None), ("/deep/a/01", None), ("/deep/a/+1", None), ("/deep/a/²", None),
        ("/deep/a/9999999999999999999999", None), ("/a/b", None), ("/null/x", None), ("/deep/a/0/x", None),
    ],
)  # fmt: skip
def test_pointer_leads_there_or_nowhere(pointer: str, found: object) -> None:
    """Escapes in RFC 6901's order; an index is a number without sign and leading zeros."""
    assert compile_pointer(pointer)(_DOCUMENT) == found


@pytest.mark.parametrize("document", [None, 1, "a", [], [{"a": 1}], True])
def test_pointer_into_something_else_leads_nowhere(document: object) -> None:
    """What is not an object has no members."""
    assert compile_pointer("/a")(document) is None
    assert compile_pointer("/a/b")(document) is None


@pytest.mark.parametrize("pointer", ["", "a", "a/b", "#/a"])
def test_what_is_no_pointer_is_refused(pointer: str) -> None:
    """The whole document is never what is meant."""
    with pytest.raises(ValueError, match="not a JSON pointer"):
        compile_pointer(pointer)
