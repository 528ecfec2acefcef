"""``ccaas-bridge`` of a version to come: every record of its own has a field that this version does not know.

``python -m tests.support.next_version run -c FILE``. Fields that may be absent are what may come
(docs/schemas.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

import orjson

from connector.cli import main as command_line
from connector.core import checkpoint, desired, status

FIELD = "of_the_next_version"

P = ParamSpec("P")


def main() -> None:
    """Change what is written, then run the command line; those who write are imported by it."""
    checkpoint.encode = _with_more(checkpoint.encode)
    desired.encode = _with_more(desired.encode)
    status.encode = _with_more(status.encode)
    command_line()


def _with_more(encode: Callable[P, bytes]) -> Callable[P, bytes]:
    def newer(*arguments: P.args, **named: P.kwargs) -> bytes:
        return orjson.dumps({**orjson.loads(encode(*arguments, **named)), FIELD: {"since": 1}})

    return newer


if __name__ == "__main__":
    main()
