"""Channels of Genesys Cloud's Notifications API: which topics go on which, and which channel to use again. Pure.

Facts: a channel takes 1,000 topics; the topics of one thing can be told in one, ``prefix?a&b``, of 200 characters; a
user and OAuth client have 20 channels, the next silences another; a channel lives for 24 hours after it was last
subscribed, and dies with the token that made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from connector.model import Token

TOPICS_A_CHANNEL = 1000
COMBINED_CHARACTERS = 200
PLACEHOLDER = "{id}"

Kind = str
"""What an id in a topic stands for: ``queues`` or ``users``."""
_KINDS: Mapping[str, Kind] = {"queues": "queues", "users": "users", "agent": "users"}


def kind_of(topic: str) -> Kind | None:
    """What ``{id}`` in a topic stands for, by the word before it; None where nothing lists such ids."""
    words = topic.split(".")
    if PLACEHOLDER not in words:
        return None
    return _KINDS.get(words[max(0, words.index(PLACEHOLDER) - 1)])


def kinds_of(topics: Iterable[str]) -> set[Kind]:
    """The lists that topics need to be complete."""
    return {kind for topic in topics if (kind := kind_of(topic)) is not None}


def matching(names: Mapping[str, str], patterns: Sequence[str]) -> list[str]:
    """The ids (id → name) whose name one of the globs takes, sorted."""
    return sorted(id_ for id_, name in names.items() if any(fnmatchcase(name, pattern) for pattern in patterns))


def expand(topics: Sequence[str], ids: Mapping[Kind, Sequence[str]]) -> list[str]:
    """Topics with every id in the place of ``{id}``, each once."""
    found: dict[str, None] = {}
    for topic in topics:
        kind = kind_of(topic)
        for id_ in ids.get(kind, ()) if kind is not None else ("",):
            found[topic.replace(PLACEHOLDER, id_)] = None
    return list(found)


def spread(topics: Sequence[str], limit: int = TOPICS_A_CHANNEL) -> list[tuple[str, ...]]:
    """The topics of each channel; combined where they do not fit on one as they are."""
    told = list(topics) if len(topics) <= limit else combine(topics)
    return [tuple(told[begin : begin + limit]) for begin in range(0, len(told), limit)]


def combine(topics: Iterable[str]) -> list[str]:
    """Topics that differ in their last word alone, told in one."""
    words: dict[str, list[str]] = {}
    for topic in topics:
        prefix, _, last = topic.rpartition(".")
        words.setdefault(topic if "?" in topic else prefix, []).append(last)
    found: list[str] = []
    for prefix, lasts in words.items():
        found += [prefix] if "?" in prefix else _joined(prefix, lasts)
    return found


def _joined(prefix: str, lasts: Sequence[str]) -> list[str]:
    groups: list[list[str]] = []
    for last in lasts:
        if groups and len(prefix) + 1 + len("&".join([*groups[-1], last])) <= COMBINED_CHARACTERS:
            groups[-1].append(last)
        else:
            groups.append([last])
    return [f"{prefix}.{group[0]}" if len(group) == 1 else f"{prefix}?{'&'.join(group)}" for group in groups]


def rearranged(
    groups: Sequence[tuple[str, ...]], wanted: Iterable[str], limit: int = TOPICS_A_CHANNEL
) -> list[tuple[str, ...]]:
    """The topics of channels that are open, once others are wanted: who stays, stays where it is.

    What does not fit any more is left out: it comes with the next connection.
    """
    left = dict.fromkeys(wanted)
    kept = [[topic for topic in group if topic in left] for group in groups]
    for topic in [topic for group in kept for topic in group]:
        left.pop(topic, None)
    for group in kept:
        room = list(left)[: limit - len(group)]
        group.extend(room)
        for topic in room:
            del left[topic]
    return [tuple(group) for group in kept]


@dataclass(frozen=True, slots=True)
class Channel:
    """``uri`` is a secret: who has it reads the events. ``dies_at_s``: when the token that made it does."""

    id: str
    uri: str = field(repr=False)
    generation: int
    dies_at_s: float | None


class Channels:
    """The channels that one stream has made and does not use at present."""

    def __init__(self) -> None:
        self._idle: list[Channel] = []

    def released(self, channel: Channel) -> None:
        """It is free for the next connection."""
        self._idle.append(channel)

    def take(self, token: Token, now: float) -> Channel | None:
        """A channel to use again, if it is still there: one made with this token, or one that outlived its own.

        One whose token is about to die would take the new connection with it.
        """
        for channel in self._idle:
            if channel.generation == token.generation or _outlived(channel, now):
                self._idle.remove(channel)
                return channel
        return None


def _outlived(channel: Channel, now: float) -> bool:
    return channel.dies_at_s is None or now >= channel.dies_at_s
