"""The topics that a stream of Genesys Cloud wants now: ``{id}`` stands for every queue or user of certain names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector.core.channels import Kind, expand, kinds_of, matching
from connector.model import Token
from connector.platforms.genesys_api import GenesysApi
from connector.ports import Clock

_PATHS: Mapping[Kind, str] = {"queues": "/api/v2/routing/queues", "users": "/api/v2/users"}


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """``topics`` as configured; ``names``: globs over the names of queues and users; asked again after ``every_s``."""

    topics: Sequence[str]
    names: Mapping[Kind, Sequence[str]]
    every_s: float


class TopicList:
    """Asks the platform for ids no more often than it must."""

    def __init__(self, api: GenesysApi, plan: TopicPlan, clock: Clock) -> None:
        self._api = api
        self._plan = plan
        self._clock = clock
        self._kinds = kinds_of(plan.topics)
        self._current: list[str] = []
        self._due = 0.0

    @property
    def every_s(self) -> float:
        """How long what was wanted and subscribed may be left alone."""
        return self._plan.every_s

    async def current(self, token: Token) -> list[str]:
        """The topics, each once. Raises :class:`connector.errors.DialError` where ids cannot be had."""
        now = self._clock.now()
        if not self._current or (self._kinds and now >= self._due):
            ids = {kind: await self._ids(token, kind) for kind in sorted(self._kinds)}
            self._current, self._due = expand(self._plan.topics, ids), now + self._plan.every_s
        return self._current

    async def _ids(self, token: Token, kind: Kind) -> list[str]:
        names = {str(e["id"]): str(e.get("name", "")) async for e in self._api.pages(token, _PATHS[kind]) if "id" in e}
        return matching(names, self._plan.names.get(kind, ("*",)))
