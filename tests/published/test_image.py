"""The image: its recipe followed step by step on this machine, and by an engine where one runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

from connector import __version__
from tests.support.maven_broker import free_ports
from tests.support.processes import Child, listening

_ROOT: Final = Path(__file__).parents[2]
_BUILD_TIMEOUT_S: Final = 600.0
_ENGINE_TIMEOUT_S: Final = 5.0


def _instructions() -> Iterator[tuple[str, str]]:
    """The Dockerfile's instructions, in order, each on one line."""
    text = re.sub(r"^\s*#.*\n", "", (_ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            instruction, _, rest = line.partition(" ")
            yield instruction, rest.strip()


def _copied() -> Iterator[tuple[list[str], str]]:
    """Sources and destination of each COPY from the build's context."""
    for instruction, rest in _instructions():
        if instruction == "COPY" and not rest.startswith("--"):
            *sources, destination = rest.split()
            yield sources, destination


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image has at ``/opt/bridge``: the build stage, followed in a directory of its own."""
    root = tmp_path_factory.mktemp("image")
    source = root / "src"
    source.mkdir()
    (root / "bin").mkdir()
    (root / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    environment = {**os.environ, "PATH": f"{root / 'bin'}:/usr/bin:/bin"}
    for instruction, rest in _instructions():
        if instruction == "FROM" and " AS " not in rest:
            break
        if instruction == "COPY":
            *sources, destination = rest.split()
            for each in sources:
                target = source / (destination if len(sources) == 1 and destination != "./" else each)
                (shutil.copytree if (_ROOT / each).is_dir() else shutil.copy)(_ROOT / each, target)
        if instruction == "RUN":
            command = re.sub(r"(?<=[ =])/(opt|dist)\b", rf"{root}/\1", f" {rest}")
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                cwd=source,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=_BUILD_TIMEOUT_S,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}"
    return root / "opt" / "bridge"


def test_hadolint_finds_nothing() -> None:
    """The Dockerfile is as its linter wants it."""
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, _ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_everything_copied_is_there_and_not_ignored() -> None:
    """``.dockerignore`` lets through just what the Dockerfile copies."""
    ignored = (_ROOT / ".dockerignore").read_text().split("\n")
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copied = {source for sources, _ in _copied() for source in sources}
    assert copied == let_through
    assert all((_ROOT / source).exists() for source in copied)


def test_lock_fits_the_project() -> None:
    """Each dependency of the project is locked, at a version that it allows, with hashes."""
    lock = (_ROOT / "requirements.lock").read_text()
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)(?= .*\\$)", lock, re.MULTILINE))
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    for requirement in map(Requirement, project["dependencies"]):
        assert requirement.specifier.contains(locked[requirement.name.lower()]), f"{requirement}: run make lock"
    assert all("--hash=sha256:" in entry for entry in re.split(r"^(?=\S)", lock, flags=re.MULTILINE) if "==" in entry)


def test_built_image_runs_and_is_healthy(built: Path, tmp_path: Path) -> None:
    """The entry point answers, serves while Kafka is away, and the health check sees both."""
    (program,) = json.loads(dict(_instructions())["ENTRYPOINT"])
    version = subprocess.run([built / "bin" / program, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.strip() == f"ccaas-bridge {__version__}"

    (port,) = free_ports(1)
    check = json.loads(dict(_instructions())["HEALTHCHECK"].partition("CMD ")[2])
    check[0] = str(built / "bin" / check[0])
    environment = {**os.environ, "CCAAS_PROBE": f"http://127.0.0.1:{port}/health/live"}
    assert subprocess.run(check, env=environment, capture_output=True, check=False).returncode != 0

    config = tmp_path / "bridge.yaml"
    auth = {"token_url": "http://127.0.0.1:9/token", "client_id": "a", "client_secret": "b"}
    platform = {"kind": "genesys-sequence", "stream_url": "ws://127.0.0.1:9/{channel}", "auth": auth}
    document = {
        "group": "image",
        "kafka": {"bootstrap_servers": "127.0.0.1:9"},
        "platforms": {"genesys": platform},
        "streams": [{"name": "wfm", "platform": "genesys", "topic": "events"}],
        "http": {"listen": f"127.0.0.1:{port}"},
    }
    config.write_text(json.dumps(document))
    child = Child([str(built / "bin" / program), "run", "-c", str(config), "--log-json"], tmp_path / "log")
    try:
        while not listening(port):
            assert child.exit_code() is None, child.log_tail()
            time.sleep(0.05)
        assert subprocess.run(check, env=environment, capture_output=True, check=False).returncode == 0
    finally:
        child.kill()


def test_image_by_an_engine() -> None:
    """Where an engine runs, it builds the image, which answers as nobody, on a read-only root, without capabilities.

    ``IMAGE_ENGINE`` names another than docker, with its options, and ``IMAGE_BUILD`` more options of its build, such as
    ``--build-arg PYTHON=…`` for a base of one's own.
    """
    engine = shlex.split(os.environ.get("IMAGE_ENGINE", "docker"))
    if not _engine_runs(engine):
        return  # the recipe was followed without one above
    tag = f"ccaas-kafka-bridge:test-{uuid.uuid4().hex[:8]}"
    _run(engine, f"build --quiet --tag {tag} {os.environ.get('IMAGE_BUILD', '')} .")
    try:
        limits = "--ulimit nofile=1024:1024 --ulimit nproc=1024:1024"
        shown = _run(engine, f"run --rm --read-only --cap-drop ALL --network none {limits} {tag} --version")
        assert shown.strip() == f"ccaas-bridge {__version__}"
        assert json.loads(_run(engine, f"image inspect {tag}"))[0]["Config"]["User"] == "10001:10001"
    finally:
        _run(engine, f"image rm {tag}")


def _engine_runs(engine: list[str]) -> bool:
    try:
        done = subprocess.run([*engine, "info"], capture_output=True, check=False, timeout=_ENGINE_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _run(engine: list[str], arguments: str) -> str:
    command = [*engine, *shlex.split(arguments)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=_BUILD_TIMEOUT_S)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
