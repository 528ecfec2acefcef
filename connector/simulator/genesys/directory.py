"""The queues and users of the organisation, and how its REST lists show them. Pure."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

_QUEUES = ("Billing", "Claims", "Kundenservice", "New Business", "Retention", "Rückfragen", "Sales", "Soporte", "VIP")
_DEPARTMENTS = ("Service", "Sales")
_NAMES = uuid.UUID("6f1f0c1e-4a4e-4c5e-9d0b-0d6c7e3c9a11")
DIVISION = {"id": str(uuid.uuid5(_NAMES, "division")), "name": "Home", "selfUri": ""}


def made_id(seed: int, what: str) -> str:
    """The same UUID for the same seed and text."""
    return str(uuid.uuid5(_NAMES, f"{seed}/{what}"))


@dataclass(frozen=True, slots=True)
class Entity:
    """A queue or a user; ``department`` is a user's."""

    entity_id: str
    name: str
    department: str = ""


class Directory:
    """Who and what there is; changes are the administrators'."""

    def __init__(self, seed: int, queues: int, users: int) -> None:
        self._seed = seed
        names = [
            f"{_QUEUES[i % len(_QUEUES)]}{f' {i // len(_QUEUES) + 1}' * (i >= len(_QUEUES))}" for i in range(queues)
        ]
        self.queues = [Entity(made_id(seed, f"queue/{name}"), name) for name in names]
        self.users: list[Entity] = []
        for number in range(1, users + 1):
            self.add_user(f"Agent {number:03}", _DEPARTMENTS[number % len(_DEPARTMENTS)])

    def add_queue(self, name: str) -> str:
        """One queue more; returns its id."""
        self.queues.append(Entity(made_id(self._seed, f"queue/{name}"), name))
        return self.queues[-1].entity_id

    def add_user(self, name: str, department: str) -> str:
        """One user more; returns the id."""
        self.users.append(Entity(made_id(self._seed, f"user/{name}"), name, department))
        return self.users[-1].entity_id

    def rename_queue(self, old: str, new: str) -> None:
        """Another name for the queue, which keeps its id."""
        self.queues = [Entity(each.entity_id, new) if each.name == old else each for each in self.queues]

    def remove_queue(self, name: str) -> None:
        """One queue less, for conversations that begin from now on."""
        self.queues = [each for each in self.queues if each.name != name]

    def queues_named(self, name: str | None, ids: Sequence[str]) -> list[Entity]:
        """Queues by name (asterisks at its ends stand for anything) or ids; sorted by name."""
        chosen = [each for each in self.queues if not ids or each.entity_id in ids]
        return sorted((each for each in chosen if name is None or _fits(each.name, name)), key=lambda each: each.name)

    def users_by_id(self, ids: Sequence[str]) -> list[Entity]:
        """All users, or those with these ids."""
        return [each for each in self.users if not ids or each.entity_id in ids]

    def users_found(self, criteria: Iterable[Mapping[str, Any]]) -> list[Entity]:
        """Users that meet every criterion of a search."""
        wanted = list(criteria)
        return [each for each in self.users if all(_meets(each, criterion) for criterion in wanted)]


def queue_json(queue: Entity) -> dict[str, Any]:
    """A queue as the REST API gives it."""
    return {
        "id": queue.entity_id,
        "name": queue.name,
        "division": DIVISION,
        "memberCount": 0,
        "selfUri": f"/api/v2/routing/queues/{queue.entity_id}",
    }


def user_json(user: Entity) -> dict[str, Any]:
    """A user as the REST API gives it."""
    address = f"{user.name.lower().replace(' ', '.')}@example.org"
    return {
        "id": user.entity_id,
        "name": user.name,
        "division": DIVISION,
        "department": user.department,
        "email": address,
        "username": address,
        "state": "active",
        "version": 1,
        "selfUri": f"/api/v2/users/{user.entity_id}",
    }


def page_of(entities: Sequence[Entity], size: int, number: int) -> Sequence[Entity]:
    """The entities on a page; pages count from 1."""
    return entities[(number - 1) * size : number * size]


def listing(path: str, query: Mapping[str, Sequence[str]], total: int, size: int, number: int) -> dict[str, Any]:
    """What stands around the entities of a page: numbers, and the addresses of other pages."""
    pages = max(1, math.ceil(total / size))

    def uri(page: int) -> str:
        others = [(name, value) for name, values in query.items() for value in values if name != "pageNumber"]
        return f"{path}?{urlencode([*others, ('pageNumber', page)])}"

    around = {
        "pageSize": size, "pageNumber": number, "total": total, "pageCount": pages,
        "firstUri": uri(1), "lastUri": uri(pages), "selfUri": uri(number),
    }  # fmt: skip
    if number < pages:
        around["nextUri"] = uri(number + 1)
    if number > 1:
        around["previousUri"] = uri(number - 1)
    return around


def _fits(name: str, wanted: str) -> bool:
    bare = wanted.strip("*").casefold()
    own = name.casefold()
    if wanted.startswith("*") and wanted.endswith("*"):
        return bare in own
    if wanted.endswith("*"):
        return own.startswith(bare)
    return own.endswith(bare) if wanted.startswith("*") else own == bare


def _meets(user: Entity, criterion: Mapping[str, Any]) -> bool:
    shown = user_json(user)
    texts = [str(shown.get(name, "")).casefold() for name in criterion.get("fields", ())]
    values = [str(each).casefold() for each in (criterion.get("values") or [criterion.get("value", "")])]
    match criterion.get("type"):
        case "STARTS_WITH":
            return any(text.startswith(value) for text in texts for value in values)
        case "CONTAINS":
            return any(value in text for text in texts for value in values)
        case _:  # EXACT, TERM, TERMS
            return any(value == text for text in texts for value in values)
