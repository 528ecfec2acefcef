"""Which commit runs: told by the distribution, asked of git in a checkout, or unknown."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def _commit_of(directory: Path) -> str:
    """What a package in this directory says of itself."""
    program = "from connector.build import commit; print(commit())"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=directory, capture_output=True, text=True, check=True
    ).stdout


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_a_checkout_asks_git() -> None:
    """And says where files are not as committed."""
    if not (_ROOT / ".git").exists():
        pytest.skip("a source distribution")
    assert _commit_of(_ROOT).strip().removesuffix("-dirty") == _git("rev-parse", "HEAD")


@pytest.mark.parametrize("told", ["4f2c1e0b", ""])
def test_a_wheel_says_what_it_was_built_from(tmp_path: Path, told: str) -> None:
    """The revision that the build was told; without git or a word, nothing is made up."""
    source = tmp_path / "src"
    (source / "connector").mkdir(parents=True)
    for name in (
        "pyproject.toml",
        "hatch_build.py",
        "README.md",
        "LICENSE",
        "connector/__init__.py",
        "connector/build.py",
    ):
        (source / name).write_bytes((_ROOT / name).read_bytes())
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "dist")]
    subprocess.run(build, cwd=source, env={"CCAAS_REVISION": told, "PATH": ""}, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    assert _commit_of(tmp_path / "installed").strip() == (told or "unknown")
