"""Servers that Maven has as an archive: unpacked once, and kept under ``$XDG_CACHE_HOME/ccaas-kafka-bridge``."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PATIENCE_S: Final = 300.0


class DistributionError(Exception):
    """It cannot be had here; the message says what is missing."""


def distribution(pom: Path, build: Sequence[str] = ()) -> Path:
    """The directory with what the POM depends on, made by whoever comes first of several test runs.

    ``build``: a shell script in it, and its arguments, that is run once.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ccaas-kafka-bridge"
    cache.mkdir(parents=True, exist_ok=True)
    made_by = hashlib.sha256(pom.read_bytes() + repr(list(build)).encode()).hexdigest()[:12]
    home = cache / f"{pom.stem.removesuffix('-pom')}-{made_by}"
    with (cache / f"{pom.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.is_dir():
            _make(home, pom, build)
    return home


def _make(home: Path, pom: Path, build: Sequence[str]) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise DistributionError("there is no mvn to fetch it with")
    with tempfile.TemporaryDirectory(dir=home.parent) as directory:
        options = [f"-DoutputDirectory={directory}", f"-DmarkersDirectory={directory}/markers"]
        _run([maven, "-q", "-B", "-f", str(pom), "dependency:unpack-dependencies", *options], "Maven could not get it")
        shutil.rmtree(Path(directory) / "markers")
        parts = list(Path(directory).iterdir())
        unpacked = parts[0] if len(parts) == 1 else Path(directory)
        if build:
            _run(["bash", str(unpacked / build[0]), *build[1:]], "it could not be built")
        shutil.copytree(unpacked, home, symlinks=True)


def _run(command: list[str], fault: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as exc:
        raise DistributionError(f"{fault} within {_PATIENCE_S:.0f} s") from exc
    if done.returncode != 0:
        raise DistributionError(f"{fault}: {(done.stdout + done.stderr)[-2000:]}")
