"""``python -m connector.settings_reference``: the reference page of the configuration, made from its model.

Prints the page; ``docs/configuration.md`` is this output, and a test fails when it has drifted.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import orjson
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from connector.settings import PositionSettings, Settings
from connector.settings.fields import FOREVER_S
from connector.settings.root import ENV_DELIMITER, ENV_PREFIX
from connector.settings.secret_files import FILE_SUFFIX

_INTRODUCTION = """\
# Configuration

<!-- made by `python -m connector.settings_reference`; do not edit -->

One YAML (or JSON) file, `ccaas-bridge run -c FILE`. Every value can be set by an environment variable, which wins over
the file; without a file the environment says all. Durations end in `_seconds`, sizes in `_bytes`. Unknown keys are
faults, and all faults are told at once, each with its path; nothing is started then, and the exit code is 2.

**Environment.** The path in capitals behind `CCAAS__`, joined by `__`. Lists and mappings are JSON. In names of
platforms, client properties and headers every sign but letters and digits is written `_`:
`CCAAS__KAFKA__CLIENT__SSL_CA_LOCATION` is `kafka.client.ssl.ca.location`, and
`CCAAS__PLATFORMS__GENESYS_EU__AUTH__CLIENT_SECRET` sets the secret of the file's platform `genesys-eu`. A member that
the file does not have gets its name in lower case, a client property with dots, a header with hyphens.

**Secrets** can stand in a file of their own: `client_secret_file` in place of `client_secret`. Its content is read
when the bridge starts, and stripped. Relative paths start at the working directory. In `kafka.client`, `headers` and
`extra_parameters` every key can be written so: `sasl.password_file`. No secret is ever shown in a log, a message or an
answer.

A minimal file:

```yaml
group: wfm-bridge
kafka: {bootstrap_servers: "127.0.0.1:9092"}
platforms:
  genesys:
    kind: genesys-sequence
    stream_url: wss://streams.example.com/stream/{channel}
    snapshot_url: https://api.example.com/summary
    auth: {token_url: https://login.example.com/token, client_id: wfm, client_secret_file: /run/secrets/genesys}
streams:
  - {name: wfm, platform: genesys, topic: ccaas.events}
```
"""
_FOR_STREAMS = "Streams are set as a whole: `CCAAS__STREAMS` holds the list as JSON."
_COMPOSED = (Union, types.UnionType, dict, list, tuple)
_RANGES: tuple[tuple[str, str, Callable[[list[float]], float]], ...] = (
    ("at least", "ge", max),
    ("more than", "gt", max),
    ("at most", "le", min),
)
_PLAIN_NAMES = {str: "text", int: "integer", float: "number", bool: "boolean", SecretStr: "secret"}


class Row(NamedTuple):
    """A key of the configuration, in words."""

    key: str
    kind: str
    default: str
    variable: str
    description: str


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_INTRODUCTION, *_section(Settings, "", "Top level")]).rstrip() + "\n"


def rows(model: type[BaseModel], path: str) -> Iterator[Row]:
    """The keys of a section that are values; sections within it have tables of their own."""
    for name, info in model.model_fields.items():
        if not _sections_of(info.annotation):
            key = f"{path}{name}"
            variable = "" if "[]" in key else ENV_PREFIX + ENV_DELIMITER.join(key.upper().split("."))
            description = f"{info.description}{_bounds(info)}"
            yield Row(name, _kind(info.annotation), _default(model, name, info), variable, description)


def _section(model: type[BaseModel], path: str, title: str) -> Iterator[str]:
    yield f"## {title}\n"
    if path:
        yield f"{(model.__doc__ or '').strip().splitlines()[0]}\n"
    if path == "streams[].":
        yield f"{_FOR_STREAMS}\n"
    yield "| key | type | default | environment | |\n| --- | --- | --- | --- | --- |"
    for row in rows(model, path):
        variable = f"`{row.variable}`" if row.variable else ""
        description = row.description.replace("|", r"\|")
        yield f"| `{row.key}` | {row.kind} | {row.default} | {variable} | {description} |"
    yield ""
    for name, info in model.model_fields.items():
        models = _sections_of(info.annotation)
        suffix = {dict: ".<name>", list: "[]"}.get(get_origin(info.annotation), "")  # type: ignore[arg-type]  # or None
        for inner in models:
            which = f" with {_tag(inner)}" if len(models) > 1 else _optional(info)
            yield from _section(inner, f"{path}{name}{suffix}.", f"`{path}{name}{suffix}`{which}")


def _optional(info: FieldInfo) -> str:
    return "" if info.is_required() or info.default is not None else " (optional)"


def _tag(model: type[BaseModel]) -> str:
    """What tells one of several models for the same section from the others: the first key with named values."""
    fields = model.model_fields.items()
    name, values = next((name, get_args(i.annotation)) for name, i in fields if get_origin(i.annotation) is Literal)
    return " or ".join(f"`{name}: {value}`" for value in values)


def _sections_of(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401 - any annotation
    """The models of a section; of several, its document decides which is meant. Empty where it is a value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for member in get_args(annotation) for section in _sections_of(member)]


def _kind(annotation: Any) -> str:  # noqa: ANN401 - any annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    words = [_kind(argument) for argument in arguments if origin in _COMPOSED and argument is not type(None)]
    if origin is Annotated:
        return _kind(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(words)
    if origin is dict:
        return "mapping of secrets" if words[1] == "secret" else "mapping"
    if origin is not None:
        return f"list of {words[0]}" if origin is list else f"list of {len(words)}: {words[0]}"
    return _PLAIN_NAMES.get(annotation, "path")


def _default(model: type[BaseModel], name: str, info: FieldInfo) -> str:
    if model is PositionSettings:
        return "by `kind`"
    if info.is_required():
        file = f"{name}{FILE_SUFFIX}"
        return f"**required**, or `{file}`" if file in model.model_fields else "**required**"
    value = info.get_default(call_default_factory=True, validated_data={})
    plain = isinstance(value, str) and value
    return f"`{value if plain else orjson.dumps(value).decode()}`"


def _bounds(info: FieldInfo) -> str:
    """The range of a number, as written in its constraints, the tightest where there are several."""
    told = []
    for word, name, tightest in _RANGES:
        found = [bound for m in info.metadata if (bound := getattr(m, name, None)) not in (None, FOREVER_S)]
        told += [f"{word} {tightest(found)}"] if found else []
    return f" {', '.join(told).capitalize()}." if told else ""


if __name__ == "__main__":
    sys.stdout.write(page())
