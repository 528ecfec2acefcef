"""The configuration file: YAML (and so JSON), read safely, with duplicate keys refused."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml


class YamlFaultError(Exception):
    """The file cannot be read as a mapping; the message has the line, but nothing of the content."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader takes the last of two equal keys in silence; this one refuses them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  # PyYAML's signature
        """Build a mapping after looking for keys that come twice."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"the key {key.value} comes twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The file's mapping; an empty file is an empty one. Raises :class:`YamlFaultError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise YamlFaultError("is not UTF-8 text") from None
    except OSError as error:
        raise YamlFaultError(f"cannot be read: {error.strerror or 'unknown error'}") from error
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506  # a subclass of SafeLoader
    except yaml.YAMLError as error:
        raise YamlFaultError(_where_and_what(error)) from None
    except (ValueError, TypeError, RecursionError):  # such as a date in the 13th month, or 1,000 brackets
        raise YamlFaultError("is not valid YAML") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise YamlFaultError("should be a mapping of keys to values")
    return document


def _where_and_what(error: yaml.YAMLError) -> str:
    """Line, column and problem; not the snippet, and no name of a tag or an alias: they may be pieces of a secret."""
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    if isinstance(error, yaml.composer.ComposerError | yaml.constructor.ConstructorError):
        return f"{where}not valid YAML: a bad key, alias or tag (values that begin with *, & or ! need quotes)"
    return f"{where}not valid YAML: {getattr(error, 'problem', None) or 'a character that YAML does not allow'}"
