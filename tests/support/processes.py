"""Child processes that never outlive the tests: not on Ctrl-C, not when pytest itself is killed.

Every child gets a session of its own, so that Ctrl-C in the terminal reaches pytest alone, whose fixtures then end the
children in order. Should pytest die without running its fixtures, a watchdog shell, which waits for the end of a pipe
that only pytest holds, ends them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LOOPBACK = "127.0.0.1"


class Child:
    """A running program with its own process group; its output goes to ``log``."""

    def __init__(self, command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, start_new_session=True
            )
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", f"read _ || kill -s KILL -- -{self._process.pid}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id, which is also the process group's."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group; a group that has ended is left in peace."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def wait(self, timeout_s: float) -> int:
        """The exit code; raises subprocess.TimeoutExpired while it still runs after ``timeout_s``."""
        code = self._process.wait(timeout_s)
        self._release_watchdog()
        return code

    def kill(self) -> None:
        """SIGKILL to the group, frozen or not; returns when it has ended. Idempotent."""
        self.signal(signal.SIGKILL)
        self._process.wait()
        self._release_watchdog()

    def answers(self, url: str, patience_s: float) -> bool:
        """Return once it serves the URL; False where it has ended, or does not in time."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and self.exit_code() is None:
            try:
                urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - loopback
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
            else:
                return True
        return False

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the log, for messages."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _release_watchdog(self) -> None:
        if self._watchdog.stdin is not None and not self._watchdog.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._watchdog.stdin.write(b"\n")
                self._watchdog.stdin.flush()
            self._watchdog.stdin.close()
            self._watchdog.wait()


def listening(port: int) -> bool:
    """Whether something accepts connections on this port of loopback."""
    try:
        socket.create_connection((_LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
