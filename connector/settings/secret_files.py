"""Secrets from files: ``client_secret_file`` in place of ``client_secret``, and faults that never show a value."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr

Location = tuple[str | int, ...]
FILE_SUFFIX = "_file"
LOCATION_SUFFIX = ".location"
"""How librdkafka's properties end that name a key's or a certificate's file."""


class Fault(NamedTuple):
    """Something wrong at ``location``, a path below a section; ``message`` repeats no value."""

    location: Location
    message: str


def read_secret_files(document: dict[str, Any], names: Iterable[str]) -> list[Fault]:
    """Put the content of each ``{name}_file`` under ``name``, stripped; what is wrong with them comes back."""
    faults = []
    for name in names:
        path = document.get(f"{name}{FILE_SUFFIX}")
        if not isinstance(path, str | Path):
            continue
        location: Location = (f"{name}{FILE_SUFFIX}",)
        if document.get(name) is not None:
            faults.append(Fault(location, f"given together with {name}; keep one of them"))
            continue
        try:
            document[name] = SecretStr(Path(path).read_text(encoding="utf-8").strip())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            shown = f" ({path})" if Path(path).is_absolute() else ""  # else it may be the secret, put here by mistake
            faults.append(Fault(location, f"cannot be read: {reason}{shown}"))
    return faults


def read_member_files(members: dict[str, Any]) -> list[Fault]:
    """Do the same for a mapping of free names: every ``{name}_file`` gives way to ``name``."""
    names = [str(name).removesuffix(FILE_SUFFIX) for name in members if str(name).endswith(FILE_SUFFIX)]
    faults = read_secret_files(members, names)
    for name in names:
        if not isinstance(members.pop(f"{name}{FILE_SUFFIX}"), str | Path):
            faults.append(Fault((f"{name}{FILE_SUFFIX}",), "should be the path of a file"))
    return faults
