"""What every benchmark stands on: a broker, a scratch directory, and the bridge as a process."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient

from connector.simulator import SimulatorSettings
from tests.bench.platform import Platform
from tests.support.bridge_process import Configuration
from tests.support.broker import create_topic, fresh_name
from tests.support.maven_broker import MavenBroker
from tests.support.processes import Child

PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Rig:
    """``bridge_command``: what runs the service; ``-c FILE`` is added. ``quick``: smaller, for a look."""

    broker: MavenBroker
    directory: Path
    bridge_command: Sequence[str]
    quick: bool

    def topic(self, prefix: str) -> str:
        """Create a topic of a name of its own."""
        name = fresh_name(prefix)
        create_topic(self.broker.bootstrap, name, PARTITIONS)
        return name

    def delete(self, *topics: str) -> None:
        """Delete topics, to give their disk back."""
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap})
        for future in admin.delete_topics(list(topics)).values():
            future.result(30)

    @contextlib.contextmanager
    def platform(self, settings: SimulatorSettings, *, prepared: Sequence[str] = ()) -> Iterator[Platform]:
        """A simulator while it is needed."""
        platform = Platform(self.directory, settings, prepared=prepared)
        try:
            yield platform
        finally:
            platform.close()

    @contextlib.contextmanager
    def bridge(self, config: Configuration) -> Iterator[Child]:
        """The bridge while it is needed; its log is beside its configuration."""
        file = self.directory / f"{config['group']}.yaml"
        file.write_text(json.dumps(config, indent=1))
        bridge = Child([*self.bridge_command, "-c", str(file)], file.with_suffix(".log"))
        try:
            yield bridge
        finally:
            bridge.kill()

    def helper(self, module: str, *arguments: str) -> Child:
        """Another process of the benchmarks: ``python -m module arguments``."""
        return Child([sys.executable, "-m", module, *arguments], self.directory / f"{module}.log")


def wait_until(what: str, condition: Callable[[], bool], bridge: Child, timeout_s: float) -> None:
    """Look ten times a second; raises RuntimeError, with the bridge's log, where it does not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if bridge.exit_code() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {timeout_s:g} s; the bridge's log ends:\n{bridge.log_tail()}")
        time.sleep(0.1)
