"""JSON pointers (RFC 6901)."""

from __future__ import annotations

import pytest

from connector.core.pointer import compile_pointer

DOCUMENT = {"a": 1, "": 0, "m~n": 8, "a/b": 2, "list": ["x", {"y": 3}], "none": None, "nested": {"0": 4}}


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("/a", 1),
        ("/", 0),
        ("/m~0n", 8),
        ("/a~1b", 2),
        ("/list/0", "x"),
        ("/list/1/y", 3),
        ("/nested/0", 4),
        ("/none", None),
        ("/none/deeper", None),
        ("/missing", None),
        ("/list/2", None),
        ("/list/-", None),
        ("/list/01", None),
        ("/list/²", None),
        ("/a/b", None),
        ("/list/0/x", None),
    ],
)
def test_what_a_pointer_leads_to(pointer: str, found: object) -> None:
    """None where it leads nowhere."""
    assert compile_pointer(pointer)(DOCUMENT) == found


@pytest.mark.parametrize("document", [None, [], "text", 5])
@pytest.mark.parametrize("pointer", ["/a", "/a/b"])
def test_document_may_be_anything(document: object, pointer: str) -> None:
    """The platform decides."""
    assert compile_pointer(pointer)(document) is None


@pytest.mark.parametrize("pointer", ["", "a", "a/b"])
def test_not_a_pointer(pointer: str) -> None:
    """A mistake in the configuration."""
    with pytest.raises(ValueError, match="is not a JSON pointer"):
        compile_pointer(pointer)
