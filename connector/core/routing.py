"""From an event's type to its topic: the first route that matches, else the stream's own topic."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from types import MappingProxyType
from typing import NamedTuple

from connector.core.redaction import Redaction
from connector.model import Serialise

_CACHE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Route:
    """Events whose type matches the glob go to ``topic``, without what ``redaction`` removes; ``urgent``: at once."""

    event_type: str
    topic: str
    urgent: bool = False
    redaction: Redaction | None = None


class Destination(NamedTuple):
    """Where an event goes. ``serialise`` None: its value stays the platform's, byte for byte."""

    topic: str
    urgent: bool
    redaction: Redaction | None = None
    serialise: Serialise | None = None


class Router:
    """Routes of one stream. Types are few, so answers are remembered (up to a bound: types come from outside)."""

    def __init__(
        self,
        topic: str,
        routes: Sequence[Route] = (),
        redaction: Redaction | None = None,
        serialise: Mapping[str, Serialise] = MappingProxyType({}),
    ) -> None:
        """``redaction``: of what no route takes, and of snapshots. ``serialise``: of topics with a schema."""
        self.default = Destination(topic, urgent=False, redaction=redaction, serialise=serialise.get(topic))
        self._routes = [
            (re.compile(translate(r.event_type)), Destination(r.topic, r.urgent, r.redaction, serialise.get(r.topic)))
            for r in routes
        ]
        self._known: dict[str, Destination] = {}
        self.topics = tuple(dict.fromkeys([topic, *(r.topic for r in routes)]))

    def route(self, event_type: str) -> Destination:
        """The destination of an event of this type."""
        known = self._known.get(event_type)
        if known is None:
            matching = (destination for pattern, destination in self._routes if pattern.match(event_type))
            known = next(matching, self.default)
            if len(self._known) < _CACHE_LIMIT:
                self._known[event_type] = known
        return known
