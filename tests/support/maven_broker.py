"""Apache Kafka as a child process: one KRaft node from Maven's jars, to be killed, frozen and started again.

Needs a JDK >= 17, and Maven the first time; the jars are kept under ``$XDG_CACHE_HOME/ccaas-kafka-bridge`` for later
runs. Ports are chosen free, below the range from which clients get theirs, so that no client of anybody can take a
killed broker's port before it starts again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.endtxn_proxy import EndTxnProxy
from tests.support.finder import UnavailableError
from tests.support.processes import Child, listening

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_POM: Final = Path(__file__).with_name("pom.xml")
_CLUSTER_ID: Final = "MkU3OEVBNTcwNTJENDM2Qg"
_MIN_JAVA: Final = 17
_START_TIMEOUT_S: Final = 60.0
_START_ATTEMPTS: Final = 3
_DOWNLOAD_TIMEOUT_S: Final = 600.0

QUICK_START: Final = ("-XX:TieredStopAtLevel=1",)
"""Java's first compiler only: a broker of a few minutes does not earn back what the second one costs."""

_DEFAULTS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXY:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.segment.bytes": "1048576",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.segment.bytes": "1048576",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.session.timeout.ms": "4000",  # a killed broker must let its own former session end before it serves again
    "broker.heartbeat.interval.ms": "500",
    "num.partitions": "4",
    "auto.create.topics.enable": "false",
    "log.index.size.max.bytes": "1048576",
    "log.cleaner.dedupe.buffer.size": "8388608",
}


class BrokerUnavailableError(UnavailableError):
    """No broker can be had here; the message says what is missing and how to get it."""


class MavenBroker:
    """One Kafka node with a data directory of its own. Created stopped and formatted; :meth:`start` runs it.

    With ``proxied``, :attr:`proxy` stands in front of a second listener, which advertises the proxy: clients of
    ``broker.proxy.bootstrap`` stay behind the proxy, those of ``broker.bootstrap`` never meet it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        proxied: bool = False,
        settings: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
        java_options: Sequence[str] = QUICK_START,
    ) -> None:
        """``listeners``: more of them, each with its protocol (``SSL``, ``SASL_SSL``); see :meth:`bootstrap_of`."""
        self._java = _java()
        self._classpath = f"{_jars()}/*"
        self._directory = directory
        self._settings = dict(settings or {})
        self._protocols = dict(listeners or {})
        self._more: dict[str, int] = {}
        self._java_options = tuple(java_options)
        self._proxy = EndTxnProxy() if proxied else None
        self._child: Child | None = None
        self._started_once = False
        directory.mkdir(parents=True, exist_ok=True)
        self._choose_ports()
        self._format()

    @property
    def bootstrap(self) -> str:
        """``host:port`` of the listener without a proxy; the same across restarts."""
        return f"127.0.0.1:{self._port}"

    def bootstrap_of(self, listener: str) -> str:
        """``host:port`` of one of the further listeners."""
        return f"127.0.0.1:{self._more[listener]}"

    @property
    def proxy(self) -> EndTxnProxy:
        """The proxy of a broker made with ``proxied``."""
        if self._proxy is None:
            raise ValueError("this broker was made without proxied=True")
        return self._proxy

    def start(self) -> None:
        """Start on the same data and ports; returns when clients are served."""
        if self._child is not None:
            raise ValueError("the broker runs already")
        for attempt in range(1, _START_ATTEMPTS + 1):
            child = self._launch()
            if self._served(child):
                self._child, self._started_once = child, True
                return
            tail = child.log_tail()
            child.kill()
            if self._started_once or attempt == _START_ATTEMPTS:
                break
            self._choose_ports()  # somebody was faster to take one of them
        raise BrokerUnavailableError(f"Kafka did not start; the end of {child.log}:\n{tail}")

    def kill(self) -> None:
        """SIGKILL, as a power cut; the data stay. Works on a frozen broker too."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._running().signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._running().signal(signal.SIGCONT)

    def restore(self) -> None:
        """Have it serve again, whatever a test that failed has left: frozen, killed, ended by itself."""
        if self._child is not None and self._child.exit_code() is None:
            self.thaw()
        else:
            self.kill()
            self.start()

    def fill_disk(self, size_bytes: int) -> None:
        """No file can grow beyond this size any more, as on a full disk; a broker started again is free of it."""
        pid = self._running().pid
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, most))

    def wait_ended(self, timeout_s: float) -> None:
        """Return once the broker has ended by itself; raises subprocess.TimeoutExpired."""
        self._running().wait(timeout_s)

    def close(self) -> None:
        """End the broker and its proxy and delete the data. Idempotent."""
        self.kill()
        if self._proxy is not None:
            self._proxy.close()
        shutil.rmtree(self._directory / "data", ignore_errors=True)

    def _running(self) -> Child:
        if self._child is None:
            raise ValueError("the broker does not run")
        return self._child

    def _launch(self) -> Child:
        options = ["-Xmx768m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        options += self._java_options
        command = [self._java, *options, "-cp", self._classpath, "kafka.Kafka", str(self._properties_file)]
        return Child(command, self._directory / "broker.log")

    def _served(self, child: Child) -> bool:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                child.wait(0.05)
            except subprocess.TimeoutExpired:
                if listening(self._port):
                    return True
            else:
                return False
        return False

    @property
    def _properties_file(self) -> Path:
        return self._directory / "server.properties"

    def _choose_ports(self) -> None:
        self._port, controller, second, *more = free_ports(3 + len(self._protocols))
        self._more = dict(zip(self._protocols, more, strict=True))
        listeners = {"PLAINTEXT": self._port, "CONTROLLER": controller, **self._more}
        advertised = {"PLAINTEXT": self._port, **self._more}
        protocols = [f"{name}:{protocol}" for name, protocol in self._protocols.items()]
        if self._proxy is not None:
            self._proxy.target = ("127.0.0.1", second)
            listeners["PROXY"] = second
            advertised["PROXY"] = self._proxy.port
        properties = {
            **_DEFAULTS,
            "listeners": _listeners(listeners),
            "advertised.listeners": _listeners(advertised),
            "listener.security.protocol.map": ",".join([_DEFAULTS["listener.security.protocol.map"], *protocols]),
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(self._directory / "data"),
            **self._settings,
        }
        self._properties_file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))

    def _format(self) -> None:
        arguments = ["format", "--cluster-id", _CLUSTER_ID, "--config", str(self._properties_file)]
        command = [self._java, *QUICK_START, "-cp", self._classpath, "kafka.tools.StorageTool", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BrokerUnavailableError(f"Kafka's storage could not be formatted: {done.stderr[-2000:]}")


def _listeners(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())


def require_kafka() -> None:
    """Return where a broker can be had, its jars fetched; raises BrokerUnavailableError."""
    _java()
    _jars()


def free_ports(count: int) -> list[int]:
    """Distinct ports on which nothing listens now, outside the ephemeral range of Linux and macOS."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(15_000, 32_000), 200):
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise BrokerUnavailableError("no free ports on 127.0.0.1 between 15000 and 32000")


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    if java is None:
        raise BrokerUnavailableError(f"there is no java; install a JDK >= {_MIN_JAVA}")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < _MIN_JAVA:
        raise BrokerUnavailableError(f"{java} is too old for Kafka ({told.strip()!r}); install a JDK >= {_MIN_JAVA}")
    return java


def _jars() -> Path:
    """The directory with Kafka's jars; fetched once, whoever comes first of several test runs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ccaas-kafka-bridge"
    cache.mkdir(parents=True, exist_ok=True)
    jars = cache / f"kafka-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():
            _download(jars)
    return jars


def _download(jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerUnavailableError("there is no mvn to fetch Kafka with; install Maven")
    with tempfile.TemporaryDirectory(dir=jars.parent) as directory:
        target = Path(directory) / "jars"
        command = [maven, "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies", f"-DoutputDirectory={target}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as exc:
            raise BrokerUnavailableError(f"Maven did not get Kafka within {_DOWNLOAD_TIMEOUT_S:.0f} s") from exc
        if done.returncode != 0:
            raise BrokerUnavailableError(f"Maven could not get Kafka: {done.stdout[-2000:]}")
        target.rename(jars)
