"""Where the configuration comes from, to be read again while the worker runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from connector.errors import ConfigurationError
from connector.settings.loading import load, named_files
from connector.settings.root import Settings

Print = tuple[tuple[str, int, int, int] | None, ...]
"""What a file is known by: its path, the time of its last change, its inode (Kubernetes swaps a link), its size."""


class ConfigurationSource:
    """A file and the environment. Its methods block."""

    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = dict(environ)

    def read(self) -> Settings:
        """As :func:`connector.settings.load`."""
        return load(self._path, self._environ)

    def fingerprint(self) -> Print:
        """Differs once the file, or a file that it names (secrets), is another."""
        return tuple(_print(path) for path in self._files())

    def _files(self) -> Iterator[Path]:
        if self._path is not None:
            yield self._path
        try:
            yield from named_files(self._path, self._environ)
        except ConfigurationError:
            return  # it is told when it is read


def _print(path: Path) -> tuple[str, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_mtime_ns, found.st_ino, found.st_size
