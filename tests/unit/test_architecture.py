"""The architecture, read off the source: what each part may import, and how long things may get."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PACKAGE = "connector"
_IO = ("platforms", "auth", "kafka", "registry", "web")
_COMPOSERS = ("app", "worker", "metrics_reference", "logs_reference", "check", "demo", "commands", "cli", "__main__")
"""The composition root, what it is made of, and what stands on top of it."""
_PURE_FORBIDDEN = {"asyncio", "time", "random", "logging", "structlog", "aiohttp", "confluent_kafka"}
_ASYNC_SYNTAX = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
_MAX_FUNCTION, _AIM_FUNCTION = 60, 40
_MAX_FILE, _AIM_FILE = 300, 250

_LAYERS = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("check", "demo", "logs_reference"),
    ("app",),
    ("worker",),
    ("supervisor",),
    ("lane_streams",),
    ("stream",),
    ("ports", "core"),
    ("model", "errors"),
)
"""From the top down; a module imports its own layer or lower ones. Modules that are not named are leaves of I/O."""

_FILES = sorted((_ROOT / _PACKAGE).rglob("*.py"))


def _name(path: Path) -> str:
    return str(path.relative_to(_ROOT))


@pytest.fixture(params=_FILES, ids=_name)
def source(request: pytest.FixtureRequest) -> Path:
    """Each file of the package."""
    path: Path = request.param
    return path


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=_name(path))


def _part(path: Path) -> str:
    """The first name below the package: ``core`` for ``connector/core/ledger.py``, ``app`` for ``connector/app.py``."""
    return path.relative_to(_ROOT / _PACKAGE).parts[0].removesuffix(".py")


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield other
                yield from _runtime_nodes(other)
            continue
        yield child
        yield from _runtime_nodes(child)


def _imports(path: Path, *, types_too: bool = True) -> set[str]:
    """The full names of imported modules; of ``from connector import x`` both ``connector`` and ``connector.x``."""
    tree = _tree(path)
    found: set[str] = set()
    package = list(path.relative_to(_ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(tree) if types_too else _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def _parts_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in _imports(path) if name.startswith(f"{_PACKAGE}.")}


def test_core_is_pure(source: Path) -> None:
    """``connector/core`` decides: no event loop, clock, chance, log, network; no async syntax either."""
    if _part(source) != "core":
        return
    roots = {name.split(".")[0] for name in _imports(source, types_too=False)}
    assert not roots & _PURE_FORBIDDEN
    tree = _tree(source)
    assert not [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, _ASYNC_SYNTAX)]
    types_only = {name for name in _imports(source) if name.split(".")[0] in _PURE_FORBIDDEN}
    assert types_only <= {"random", "random.Random"}


def test_io_packages_never_import_each_other(source: Path) -> None:
    """Platforms, auth, kafka and web meet in ``app`` and behind ``ports`` only; there are no exceptions."""
    part = _part(source)
    if part in _IO:
        assert not (_parts_imported(source) & set(_IO)) - {part}


def test_only_the_composition_root_imports_io(source: Path) -> None:
    """Real clients are built by ``app`` (with its plans and observer, and what stands on top of it), nowhere else."""
    part = _part(source)
    if part not in (*_IO, *_COMPOSERS):
        assert not _parts_imported(source) & set(_IO)


def test_imports_point_down(source: Path) -> None:
    """The order of ``_LAYERS``; an I/O package, like every other leaf, stands on ports and core."""
    layer_of = {part: depth for depth, layer in enumerate(_LAYERS) for part in layer}
    part = _part(source)
    # leaves (I/O packages, settings, audit, the simulator …) are level with ports: neither stream nor above
    own = layer_of.get(part, layer_of["stream"] + 1)
    upward = {other for other in _parts_imported(source) - {part} if layer_of.get(other, own) < own}
    assert not upward


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_functions_and_files_stay_short(source: Path) -> None:
    """No function beyond 60 lines, no file beyond 300."""
    lines = _lines(source)
    assert lines <= _MAX_FILE
    assert not {name: length for name, length in _functions(source) if length > _MAX_FUNCTION}


def test_report_what_wants_splitting() -> None:
    """Not a verdict: lists what is beyond the aim of 250 lines a file and 40 a function, for the next reader."""
    assert _FILES, "the package has moved"
    files = [f"{_name(path)}: {_lines(path)} lines" for path in _FILES if _lines(path) > _AIM_FILE]
    functions = [
        f"{_name(path)}: {name} has {length} lines"
        for path in _FILES
        for name, length in _functions(path)
        if length > _AIM_FUNCTION
    ]
    print("\n".join(files + functions))  # noqa: T201  # shown by pytest -rP
