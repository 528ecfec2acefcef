"""From a file and the environment to :class:`Settings`, or to every fault at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from connector.errors import ConfigurationError
from connector.settings.environment import Overlay, read_environment
from connector.settings.fields import explain, unknown_key
from connector.settings.root import Settings
from connector.settings.secret_files import FILE_SUFFIX, LOCATION_SUFFIX, Fault
from connector.settings.yaml_file import YamlFaultError, read_yaml


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the file (none: the environment alone); variables with the prefix ``CCAAS__`` win over it.

    Raises :class:`ConfigurationError` with one line for each fault, ``path: what is wrong``, in the order of the
    file. No message holds a value of the configuration.
    """
    merged, overlay = _document(path, environ)
    faults = [Fault((str(key),), unknown_key(str(key), Settings)) for key in merged if key not in Settings.model_fields]
    faults += [Fault((name,), "no such setting (environment variable)") for name in overlay.unknown]
    try:
        settings = Settings(**{key: value for key, value in merged.items() if key in Settings.model_fields})
    except ValidationError as error:
        faults += explain(error, Settings)
    if faults:
        raise ConfigurationError("\n".join([_title(path, len(faults)), *(_line(fault, overlay) for fault in faults)]))
    return settings


def named_files(path: Path | None, environ: Mapping[str, str]) -> Iterator[Path]:
    """Files that the configuration names: secrets, keys, certificates. Raises as :func:`load`."""
    merged, _ = _document(path, environ)
    yield from _named(merged)


def _named(value: object) -> Iterator[Path]:
    if isinstance(value, Mapping):
        for key, member in value.items():
            if str(key).endswith((FILE_SUFFIX, LOCATION_SUFFIX)) and isinstance(member, str):
                yield Path(member)
            else:
                yield from _named(member)
    elif isinstance(value, list):
        for member in value:
            yield from _named(member)


def _document(path: Path | None, environ: Mapping[str, str]) -> tuple[dict[Any, Any], Overlay]:
    """The file's document with the environment laid over it."""
    try:
        document = read_yaml(path) if path is not None else {}
    except YamlFaultError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    overlay = read_environment(environ, document, Settings)
    return _merge(document, overlay.values), overlay


def _title(path: Path | None, faults: int) -> str:
    return f"{path or 'environment'}: {faults} {'fault' if faults == 1 else 'faults'}"


def _line(fault: Fault, overlay: Overlay) -> str:
    """Write one fault; where the value came from a variable, with the variable's name."""
    location = [str(part) for part in fault.location if part != "[key]"]
    origin = next(
        (
            overlay.origins[key]
            for end in range(len(location), 0, -1)
            if (key := tuple(location[:end])) in overlay.origins
        ),
        None,
    )
    if origin is None:
        return f"  {'.'.join(location)}: {fault.message}"
    json_hint = "; lists and mappings are JSON there" if re.search(r"list|tuple|mapping", fault.message) else ""
    return f"  {'.'.join(location)}: {fault.message} (from {origin}{json_hint})"


def _merge(below: Mapping[Any, Any], above: Mapping[Any, Any]) -> dict[Any, Any]:
    """Lay ``above`` over ``below``: mappings are joined, all else is replaced.

    A secret above displaces its file below and the other way round.
    """
    merged = dict(below)
    for key, value in above.items():
        name = str(key)
        merged.pop(f"{name}{FILE_SUFFIX}", None)
        if name.endswith(FILE_SUFFIX):
            merged.pop(name.removesuffix(FILE_SUFFIX), None)
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
