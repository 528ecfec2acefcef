"""Every command explains itself with an example; every command line in the documents is one; the shell completes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete

from connector.cli import COMMANDS, bridge
from tests.unit.test_settings import minimum

_ROOT = Path(__file__).parents[2]
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_CODE = re.compile(r"^```.*?\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r"(?:^|/)ccaas-bridge +([a-z][^\n>|#`]*)")


def _leaves(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield name, command
    if isinstance(command, click.Group):
        for inner, each in command.commands.items():
            yield from _leaves(f"{name} {inner}", each)


def _command(name: str) -> click.Command:
    found = bridge.get_command(click.Context(bridge), name)
    assert found is not None
    return found


_LEAVES = dict(leaf for name in COMMANDS for leaf in _leaves(name, _command(name)))


@pytest.mark.parametrize("name", _LEAVES)
def test_help_has_an_example_that_is_understood(name: str) -> None:
    """Except where nothing need be given."""
    text = _LEAVES[name].help or ""
    lines = text.replace("Example: ", "\n").splitlines()
    examples = [example for line in lines for example in _LINE.findall(line.strip())]
    assert examples or name in ("demo", "simulate")
    for example in examples:
        _parse(example)


def documented() -> list[str]:
    """Command lines in code of the documents."""
    found = []
    for page in _PAGES:
        for block, inline in _CODE.findall(page.read_text(encoding="utf-8")):
            for line in (block or inline).splitlines():
                found += [match.strip() for match in _LINE.findall(line.strip())]
    return sorted(set(found))


@pytest.mark.parametrize("line", documented())
def test_documented_command_line_is_understood(line: str) -> None:
    """Its command exists, and so do its options."""
    _parse(line)


def _parse(line: str) -> None:
    """Parse, and run nothing. A name alone is a mention."""
    words = [word.strip("[]") for word in shlex.split(line)]
    name = next(" ".join(words[:count]) for count in (2, 1) if " ".join(words[:count]) in (*_LEAVES, *COMMANDS))
    rest = words[len(name.split()) :]
    if rest:
        _LEAVES[name].make_context(name, rest)


def test_every_command_is_documented() -> None:
    """In the table of docs/commands.md."""
    page = (_ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [name for name in _LEAVES if f"`{name}`" not in page] == []


def _completed(words: list[str], incomplete: str) -> list[str]:
    shell = BashComplete(bridge, {}, "ccaas-bridge", "_CCAAS_BRIDGE_COMPLETE")
    return [item.value for item in shell.get_completions(words, incomplete)]


def test_shell_completes_commands_options_and_streams(tmp_path: Path) -> None:
    """Streams are those of the file; one that cannot be read completes nothing."""
    path = tmp_path / "bridge.yaml"
    path.write_text(json.dumps(minimum()), encoding="utf-8")
    assert _completed([], "ch") == ["check", "checkpoint"]
    assert _completed(["audit"], "--fr") == ["--from"]
    assert _completed(["audit", "-c", str(path), "--stream"], "") == ["wfm"]
    assert _completed(["audit", "-c", str(tmp_path / "none.yaml"), "--stream"], "") == []
