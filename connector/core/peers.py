"""What workers of a group run with: each tells a hash of its configuration, and those that differ are named.

A worker publishes a notice under ``$worker/{worker}`` of the control topic. It is a view, never a truth.
"""

from __future__ import annotations

import re

import orjson

WORKER_KEY = "$worker/"
TELL_EVERY_S = 20.0
_STALE_S = 65.0
_VERSION = 1
_HASH = re.compile(r"[0-9a-f]{1,64}")


def encode(configuration: str) -> bytes:
    """The notice of a worker that runs with a configuration of this hash."""
    return orjson.dumps({"v": _VERSION, "configuration": configuration})


def decode(value: bytes) -> str | None:
    """The hash in a notice; None for what is none, or of another version."""
    try:
        fields = orjson.loads(value)
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.get("v") != _VERSION:
        return None
    found = fields.get("configuration")
    return found if isinstance(found, str) and _HASH.fullmatch(found) else None


class Peers:
    """The group's workers as this one hears of them; who is silent for a minute has left."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[str, float]] = {}

    def heard(self, worker: str, configuration: str | None, now: float) -> None:
        """A worker's notice came; None: it has left."""
        if configuration is None:
            self._heard.pop(worker, None)
        else:
            self._heard[worker] = (configuration, now)

    def differing(self, own: str, now: float) -> list[str]:
        """Workers that run with another configuration than ``own``."""
        self._heard = {worker: (what, at) for worker, (what, at) in self._heard.items() if now - at < _STALE_S}
        return sorted(worker for worker, (what, _) in self._heard.items() if what != own)
