"""What differs between two configurations: what a running worker takes up, and what it refuses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
from pydantic import BaseModel

from connector.settings.platform import PlatformSettings
from connector.settings.redis import RedisSettings
from connector.settings.root import Settings

_CHANGEABLE = frozenset({"streams", "platforms"})
_RENEWABLE = frozenset({"kafka", "redis", "schema_registry"})
"""Sections whose secrets may be renewed; they are masked in a dump."""
_OWN = frozenset({"http", "tracing"})
"""Sections that workers of a group may have of their own."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of streams and platforms, by name.

    ``changed``: streams that are told to go on under other settings, their own or their platform's. ``opened``: new
    platforms, and those with another address, credential or behaviour, of which ``closed`` has the former ones too.
    ``renewed``: platforms of which nothing but a secret of the OAuth client is another: no stream need notice.
    """

    added: frozenset[str]
    removed: frozenset[str]
    changed: frozenset[str]
    opened: frozenset[str]
    closed: frozenset[str]
    renewed: frozenset[str]


def refused(old: Settings, new: Settings) -> list[str]:
    """Keys that differ and cannot change while a worker runs."""
    return sorted(
        key
        for section in Settings.model_fields
        if section not in _CHANGEABLE and not _renewed(section, getattr(old, section), getattr(new, section))
        for key in _differences(section, getattr(old, section), getattr(new, section))
    )


def _renewed(section: str, old: object, new: object) -> bool:
    """Whether nothing but passwords differ that a running worker takes up."""
    if section not in _RENEWABLE or not isinstance(old, BaseModel) or not isinstance(new, BaseModel):
        return False
    if isinstance(old, RedisSettings) and isinstance(new, RedisSettings) and old.encryption_key != new.encryption_key:
        return False
    return old.model_dump(mode="json") == new.model_dump(mode="json")


def _differences(key: str, old: object, new: object) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, BaseModel) and type(old) is type(new):
        for name in type(old).model_fields:
            yield from _differences(f"{key}.{name}", getattr(old, name), getattr(new, name))
    else:
        yield key


def difference(old: Settings, new: Settings) -> Change:
    """What a worker that runs with ``old`` has to do for ``new``."""
    before, after = ({stream.name: stream for stream in settings.streams} for settings in (old, new))
    both = old.platforms.keys() & new.platforms.keys()
    differing = {name for name in both if old.platforms[name] != new.platforms[name]}
    renewed = {name for name in differing if _only_secrets(old.platforms[name], new.platforms[name])}
    replaced = differing - renewed
    changed = {
        name for name in before.keys() & after.keys() if before[name] != after[name] or after[name].platform in replaced
    }
    return Change(
        added=frozenset(after.keys() - before.keys()),
        removed=frozenset(before.keys() - after.keys()),
        changed=frozenset(changed),
        opened=frozenset(replaced | (new.platforms.keys() - both)),
        closed=frozenset(replaced | (old.platforms.keys() - both)),
        renewed=frozenset(renewed),
    )


def _only_secrets(old: PlatformSettings, new: PlatformSettings) -> bool:
    """Whether nothing but secrets of ``auth`` differ; they are masked in a dump."""
    same_auth = old.auth.model_dump(mode="json") == new.auth.model_dump(mode="json")
    return same_auth and old.model_copy(update={"auth": new.auth}) == new


def digest(settings: Settings) -> str:
    """The same for workers that do the same: a hash of all that they must agree on, without secrets."""
    document = settings.model_dump(mode="json", exclude=set(_OWN))
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
