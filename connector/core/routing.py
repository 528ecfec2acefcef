"""From an event's type to its topic: the first route that matches, else the stream's own topic."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import NamedTuple

_CACHE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Route:
    """Events whose type matches the glob go to ``topic``; ``urgent`` ones commit at once."""

    event_type: str
    topic: str
    urgent: bool = False


class Destination(NamedTuple):
    """Where an event goes."""

    topic: str
    urgent: bool


class Router:
    """Routes of one stream. Types are few, so answers are remembered (up to a bound: types come from outside)."""

    def __init__(self, topic: str, routes: Sequence[Route] = ()) -> None:
        self._default = Destination(topic, urgent=False)
        self._routes = [(re.compile(translate(r.event_type)), Destination(r.topic, r.urgent)) for r in routes]
        self._known: dict[str, Destination] = {}
        self.topics = tuple(dict.fromkeys([topic, *(r.topic for r in routes)]))

    def route(self, event_type: str) -> Destination:
        """The destination of an event of this type."""
        known = self._known.get(event_type)
        if known is None:
            matching = (destination for pattern, destination in self._routes if pattern.match(event_type))
            known = next(matching, self._default)
            if len(self._known) < _CACHE_LIMIT:
                self._known[event_type] = known
        return known
