"""The platform simulator in a process of its own.

``python -m tests.bench.platform PORT SETTINGS [STREAM …]`` serves until it is killed; the backlogs of the named
streams are encoded before it listens, so that sending them costs next to nothing. ``SETTINGS``: JSON of
:class:`connector.simulator.SimulatorSettings`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from connector.simulator import Simulator, SimulatorSettings
from tests.support.maven_broker import free_ports
from tests.support.processes import Child, listening

_CREDENTIALS = {"client_id": "bridge", "client_secret": "secret"}  # those of tests.support.bridge_process
_START_TIMEOUT_S = 120.0
_REQUEST_TIMEOUT_S = 30.0


class Platform:
    """A running simulator process; :meth:`close` ends it."""

    def __init__(self, directory: Path, settings: SimulatorSettings, *, prepared: Sequence[str] = ()) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        arguments = [str(port), json.dumps({**asdict(settings), **_CREDENTIALS}), *prepared]
        self._child = Child([sys.executable, "-m", "tests.bench.platform", *arguments], directory / "platform.log")
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not listening(port):
            if self._child.exit_code() is not None or time.monotonic() > deadline:
                self._child.kill()
                raise RuntimeError(f"the simulator does not serve:\n{self._child.log_tail()}")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def stats(self) -> dict[str, Any]:
        """Counts of everything so far."""
        return self._get("stats")

    def ledger(self, stream: str) -> dict[str, Any]:
        """What exists of a stream, and what each socket was sent."""
        return self._get("ledger?" + urllib.parse.urlencode({"stream": stream}))

    def quiet(self, seconds: float) -> None:
        """Produce no events for a while."""
        request = urllib.request.Request(  # noqa: S310  # http, ours
            f"{self.url}/_ctl/quiet",
            data=json.dumps({"seconds": seconds}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=_REQUEST_TIMEOUT_S):  # noqa: S310  # http, ours
            return

    def close(self) -> None:
        """End the process."""
        self._child.kill()

    def _get(self, what: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_ctl/{what}", timeout=_REQUEST_TIMEOUT_S) as answer:  # noqa: S310  # http, ours
            return dict(json.load(answer))


async def _serve(port: int, settings: SimulatorSettings, prepared: Sequence[str]) -> None:
    simulator = Simulator(settings)
    for stream in prepared:
        simulator.prepare(stream)
    gc.freeze()  # the prepared frames are not to be visited again
    await simulator.start(port=port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), SimulatorSettings(**json.loads(sys.argv[2])), sys.argv[3:]))
