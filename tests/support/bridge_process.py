"""``ccaas-bridge run`` as users run it: a process with a configuration file, signals, probes, metrics and logs."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.maven_broker import free_ports
from tests.support.processes import Child

_PROGRAM = (str(Path(sys.executable).with_name("ccaas-bridge")),)
_PROBE_TIMEOUT_S = 2.0

Configuration = dict[str, Any]
"""A configuration as CONTRACT.md writes it in YAML; JSON is YAML."""


def configuration(  # noqa: PLR0913  # each has its place in the file; all by name
    *,
    group: str,
    kafka: str,
    platform_url: str,
    streams: Sequence[Mapping[str, Any]],
    kind: str = "genesys-sequence",
    retention_s: float = 120,
    refresh_buffer_s: float = 300,
    lanes: int = 4,
    platform: Mapping[str, Any] | None = None,
    **sections: Any,  # noqa: ANN401  # any section of the file, as it stands there
) -> Configuration:
    """CONTRACT.md's minimum against a simulator at ``platform_url`` (``http://host:port``), on a free HTTP port.

    ``streams``: as in the file; platform ``sim`` and ``start: earliest`` are filled in. ``platform``: more settings of
    the platform; ``sections``: more top-level ones (``commit={...}``), which win over what is here.
    """
    (port,) = free_ports(1)
    auth = {
        "grant": "client_credentials",
        "token_url": f"{platform_url}/token",
        "client_id": "bridge",
        "client_secret": "secret",
        "refresh_buffer_seconds": refresh_buffer_s,
    }
    return {
        "version": 1,
        "group": group,
        "kafka": {"bootstrap_servers": kafka},
        "lanes": lanes,
        "platforms": {
            "sim": {
                "kind": kind,
                "stream_url": f"{platform_url.replace('http', 'ws', 1)}/stream/{{channel}}",
                "snapshot_url": f"{platform_url}/summary",
                "retention_seconds": retention_s,
                "auth": auth,
                **(platform or {}),
            }
        },
        "streams": [{"platform": "sim", "start": "earliest", **stream} for stream in streams],
        "http": {"listen": f"127.0.0.1:{port}"},
        **sections,
    }


class BridgeProcess:
    """One worker. Created stopped; :meth:`start` may be called again after it ended, with the same files."""

    def __init__(self, directory: Path, config: Configuration, *, name: str = "bridge") -> None:
        self.file = directory / f"{name}.yaml"
        self.program: Sequence[str] = _PROGRAM
        self._log = directory / f"{name}.log"
        self._listen = str(config["http"]["listen"])
        self._child: Child | None = None
        self._told_bytes = 0
        directory.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(config, indent=1))

    def start(self, env: Mapping[str, str] | None = None) -> None:
        """Start the process, with these environment variables besides ours; :meth:`ready` waits for it."""
        if self._child is not None and self._child.exit_code() is None:
            raise ValueError("the bridge runs already")
        command = [*self.program, "run", "-c", str(self.file)]
        self._child = Child(command, self._log, env={**os.environ, **(env or {})})

    @property
    def url(self) -> str:
        """Where it serves HTTP."""
        return f"http://{self._listen}"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running().pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.exit_code() is None

    def ready(self, timeout_s: float = 30.0) -> None:
        """Return once ``/health/ready`` answers 200; raises TimeoutError, with the log's end if it has exited."""
        child = self._running()
        deadline = time.monotonic() + timeout_s
        while self.status("/health/ready") != 200:
            if child.exit_code() is not None:
                raise RuntimeError(f"the bridge exited with {child.exit_code()}:\n{child.log_tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready within {timeout_s} s:\n{child.log_tail()}")
            time.sleep(0.05)  # there is nothing to wait on but the answer itself

    def status(self, path: str) -> int | None:
        """The HTTP status of a GET; None where nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=_PROBE_TIMEOUT_S) as answer:  # noqa: S310  # http, ours
                return int(answer.status)
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code
        except OSError:
            return None

    def metrics(self) -> dict[str, float]:
        """Every sample of ``/metrics``: ``name`` or ``name{label="value",…}``, labels sorted, to its value."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=_PROBE_TIMEOUT_S) as answer:  # noqa: S310  # http, ours
            text = answer.read().decode()
        return {
            _sample_name(sample.name, sample.labels): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def log_lines(self) -> list[dict[str, Any]]:
        """The JSON lines logged so far, over all starts; lines that are none (a library's own) are left out."""
        return _parsed(self.log_text().splitlines())

    def new_log_lines(self) -> list[dict[str, Any]]:
        """The JSON lines since the last call: cheap enough to look at many times a second."""
        if not self._log.exists():
            return []
        with self._log.open("rb") as log:
            log.seek(self._told_bytes)
            fresh = log.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._told_bytes += len(whole)
        return _parsed(whole.decode(errors="replace").splitlines())

    def log_text(self) -> str:
        """Everything it printed, over all starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM; the exit code. Killed and subprocess.TimeoutExpired raised if it does not end in time."""
        child = self._running()
        child.signal(signal.SIGTERM)
        try:
            return child.wait(timeout_s)
        finally:
            child.kill()

    def wait(self, timeout_s: float = 30.0) -> int:
        """The exit code of a process that ends by itself."""
        return self._running().wait(timeout_s)

    def kill9(self) -> None:
        """SIGKILL to the process group; returns when it has ended. Idempotent."""
        if self._child is not None:
            self._child.kill()

    def freeze(self) -> None:
        """SIGSTOP."""
        self._running().signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._running().signal(signal.SIGCONT)

    def _running(self) -> Child:
        if self._child is None:
            raise ValueError("the bridge was never started")
        return self._child


def _parsed(lines: Sequence[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for line in lines:
        try:
            parsed = json.loads(line)
        except ValueError:
            continue
        if isinstance(parsed, dict):
            found.append(parsed)
    return found


def _sample_name(name: str, labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
    return f"{name}{{{pairs}}}" if labels else name
