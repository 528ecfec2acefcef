"""What the configuration says, in the words of Kafka Connect: a stream is a connector, a kind of platform a plugin.

Nothing secret is in it: secrets are left out, and addresses come without their query.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from connector import __version__
from connector.build import commit
from connector.management import Definition
from connector.settings import KINDS, Settings, StreamSettings
from connector.settings.fields import explain
from connector.settings.stream import StreamBufferSettings

CLASS, TASKS = "connector.class", "tasks.max"
_TEXTS = ("key", "redact", "subscribe", "queues", "users")
_LISTS = (*_TEXTS, "routes")


class Catalogue:
    """Implements :class:`connector.management.Catalogue`."""

    def __init__(self, settings: Settings) -> None:
        self.version = __version__
        self.commit = commit()
        self.reconfigured(settings)

    def reconfigured(self, settings: Settings) -> None:
        """The configuration is another from now on."""
        self._settings = settings
        self._streams = {stream.name: stream for stream in settings.streams}

    def config(self, stream: str) -> dict[str, str]:
        """See :class:`connector.management.Catalogue`."""
        settings = self._streams[stream]
        platform = self._settings.platform_of(settings)
        own = dict(_flat(settings, ""))
        return {**own, CLASS: platform.kind, TASKS: "1", **dict(_flat(platform, "platform."))}

    def topics(self, stream: str) -> list[str]:
        """See :class:`connector.management.Catalogue`."""
        return list(self._streams[stream].topics())

    def plugins(self) -> list[str]:
        """See :class:`connector.management.Catalogue`."""
        return list(KINDS)

    def definitions(self) -> list[Definition]:
        """See :class:`connector.management.Catalogue`."""
        return _DEFINITIONS

    def faults(self, plugin: str, config: Mapping[str, str]) -> dict[str, list[str]]:
        """See :class:`connector.management.Catalogue`."""
        found: dict[str, list[str]] = {}
        try:
            StreamSettings.model_validate(_document(config))
        except ValidationError as error:
            for fault in explain(error, StreamSettings):
                key = ".".join(map(str, fault.location[:2] if fault.location[0] == "buffer" else fault.location[:1]))
                found.setdefault(key, []).append(fault.message)
        platform = self._settings.platforms.get(config.get("platform", ""))
        if platform is None and "platform" not in found:
            found["platform"] = [f"is not among the platforms: {', '.join(self._settings.platforms)}"]
        elif platform is not None and platform.kind != plugin:
            found["platform"] = [f"is of kind {platform.kind}, not {plugin}"]
        if config.get(TASKS, "1") != "1":
            found[TASKS] = ["should be 1: a stream is read by one task"]
        return found


def _flat(section: BaseModel, prefix: str) -> Iterator[tuple[str, str]]:
    """Every value below a section that may be shown, as text."""
    for name, value in section:
        key = f"{prefix}{name}"
        if isinstance(value, BaseModel):
            yield from _flat(value, f"{key}.")
        elif not isinstance(value, SecretStr | dict) and value is not None:
            yield key, _text(name, value)


def _text(name: str, value: Any) -> str:  # noqa: ANN401  # any value of a setting
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        if any(isinstance(member, BaseModel) for member in value):
            return json.dumps([member.model_dump(mode="json") for member in value])
        return ",".join(map(str, value))
    return urlsplit(value)._replace(query="").geturl() if name.endswith("_url") else str(value)


def _document(config: Mapping[str, str]) -> dict[str, Any]:
    """A flat configuration as a stream's section: keys that are not a stream's are the platform's, or Connect's own."""
    document: dict[str, Any] = {
        name: config[name] for name in StreamSettings.model_fields if name in config and name not in _LISTS
    }
    document |= {name: config[name].split(",") for name in _TEXTS if config.get(name)}
    if config.get("routes"):
        document["routes"] = _parsed(config["routes"])
    buffer = {
        name: config[f"buffer.{name}"] for name in StreamBufferSettings.model_fields if f"buffer.{name}" in config
    }
    return {**document, "buffer": buffer} if buffer else document


def _parsed(text: str) -> Any:  # noqa: ANN401  # any JSON
    try:
        return json.loads(text)
    except ValueError:
        return text


def _definition(name: str, field: FieldInfo) -> Definition:
    default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    shown = None if default is None else _text(name, default)
    kind = "LIST" if name in _LISTS else "INT" if isinstance(default, int) else "STRING"
    return Definition(name, kind, shown, field.description or "", required=field.is_required())


_DEFINITIONS = [
    Definition(CLASS, "STRING", None, "The kind of the stream's platform.", required=True),
    Definition(TASKS, "INT", "1", "A stream is read by one task.", required=False),
    *(_definition(name, field) for name, field in StreamSettings.model_fields.items() if name != "buffer"),
    *(_definition(f"buffer.{name}", field) for name, field in StreamBufferSettings.model_fields.items()),
]
