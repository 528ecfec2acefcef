"""The environment as a second document: ``CCAAS__KAFKA__BOOTSTRAP_SERVERS`` is ``kafka.bootstrap_servers``.

Names of members of a mapping (platforms, client properties, headers) have letters that an environment variable
cannot have. A segment means the member of the file that is written like it (``GENESYS_EU``: ``genesys-eu``); where the
file has none: a platform in lower case, a client property with dots, a header with hyphens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from connector.settings.root import ENV_DELIMITER, ENV_PREFIX, env_segment
from connector.settings.secret_files import FILE_SUFFIX

_ANY = "*"
# Mappings with free names: their path, and what an underscore in a variable's name stands for in a new member.
_FREE_NAMES = {
    ("platforms",): "_",
    ("kafka", "client"): ".",
    ("platforms", _ANY, "headers"): "-",
    ("platforms", _ANY, "auth", "extra_parameters"): "_",
}


@dataclass(frozen=True, slots=True)
class Overlay:
    """What the environment sets: a document to lay over the file's, and which variable set which path."""

    values: dict[str, Any]
    origins: dict[tuple[str, ...], str]
    unknown: list[str]


class _Source(EnvSettingsSource):
    """pydantic-settings' reading of typed, nested variables; a value that is not JSON is left for the field's check."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ANN401  # pydantic-settings' signature
        """Decode a list or mapping."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def read_environment(environ: Mapping[str, str], document: Mapping[str, Any], model: type[BaseSettings]) -> Overlay:
    """Read every variable with the prefix; ``document``, the file's, lends the spelling of free names."""
    variables, origins, unknown = {}, {}, []
    for name, value in sorted(environ.items()):
        if not name.upper().startswith(ENV_PREFIX):
            continue
        path = _path(name[len(ENV_PREFIX) :].split(ENV_DELIMITER), document)
        if path[0] not in model.model_fields or "" in path:
            unknown.append(name)
            continue
        variables[ENV_PREFIX.lower() + ENV_DELIMITER.join(path)] = value
        origins[path] = name
    source = _Source(model, case_sensitive=False)
    source.env_vars = variables
    return Overlay(source(), origins, unknown)


def _path(segments: list[str], document: Mapping[str, Any]) -> tuple[str, ...]:
    """The path that segments of a variable's name mean."""
    path: list[str] = []
    pattern: list[str] = []
    here: Any = document
    for segment in segments:
        separator = _FREE_NAMES.get(tuple(pattern))
        name = segment.lower() if separator is None else _member(segment, here, separator)
        path.append(name)
        pattern.append(name if separator is None else _ANY)
        here = here.get(name) if isinstance(here, Mapping) else None
    return tuple(path)


def _member(segment: str, members: Any, separator: str) -> str:  # noqa: ANN401  # whatever the file holds there
    """The name of a member of a mapping with free names."""
    for name in members if isinstance(members, Mapping) else ():
        if env_segment(str(name)) == segment.upper():
            return str(name)
    suffix = FILE_SUFFIX if segment.lower().endswith(FILE_SUFFIX) and separator != "_" else ""
    stem = segment.lower().removesuffix(FILE_SUFFIX) if suffix else segment.lower()
    return stem.replace("_", separator) + suffix
