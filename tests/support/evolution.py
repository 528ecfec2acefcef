"""What may change in a published schema within a major version, and what may not (docs/schemas.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_WORDS = {"description", "title", "$comment", "examples"}


def incompatibilities(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Where ``new`` breaks a reader of ``old`` records, or a reader with ``old`` meets records it can't take.

    Words may change, and optional fields may come; everything else about what was published stays.
    """
    for keyword in sorted({*old, *new} - _WORDS - {"properties"}):
        if old.get(keyword) != new.get(keyword):
            yield f"{path}/{keyword}: {old.get(keyword)!r} became {new.get(keyword)!r}"
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, schema in before.items():
        if name not in after:
            yield f"{path}/{name}: is gone"
        elif isinstance(schema, Mapping) and isinstance(after[name], Mapping):
            yield from incompatibilities(schema, after[name], f"{path}/{name}")
        elif schema != after[name]:
            yield f"{path}/{name}: {schema!r} became {after[name]!r}"
