"""``ccaas-bridge demo`` as a user starts it: a process, its output, its exit code, and what it leaves behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.support.processes import Child, listening

_PROGRAM = Path(sys.executable).with_name("ccaas-bridge")
_TIMEOUT_S = 90.0  # far more than a run takes, for a machine that is busy with other things
_VERDICT = re.compile(
    r"^verdict: (?P<events>\d+) events, (?P<rotations>\d+) rotations, 0 lost, 0 duplicated, 0 out of order: held$",
    re.MULTILINE,
)


class Demo:
    """A demo that runs, with a directory for temporary files that must be empty at the end."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._log = directory / "demo.log"
        self._temporary = directory / "tmp"
        self._temporary.mkdir()
        environment = {**os.environ, "TMPDIR": str(self._temporary), "FORCE_COLOR": "1"}
        self.child = Child([str(_PROGRAM), "demo", *arguments], self._log, env=environment)

    @property
    def output(self) -> str:
        """Everything it wrote so far, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self._log.read_text())

    def until(self, text: str) -> None:
        """Return once it has written this."""
        deadline = time.monotonic() + _TIMEOUT_S
        while text not in self.output:
            assert self.child.exit_code() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)  # its output is all there is to wait for

    def left_nothing(self) -> None:
        """No process of its group, no open port, no temporary file."""
        with pytest.raises(ProcessLookupError):
            os.killpg(self.child.pid, 0)
        ports = re.findall(r"127\.0\.0\.1:(\d+)", self.output.split("\n", 1)[0])
        assert len(ports) == 3  # platform, embedded broker, metrics
        assert not [port for port in ports if listening(int(port))]
        assert not list(self._temporary.iterdir())


@contextlib.contextmanager
def _demo(directory: Path, *arguments: str) -> Iterator[Demo]:
    demo = Demo(directory, *arguments)
    try:
        yield demo
    finally:
        demo.child.kill()


def _names_on(kafka: str, name: str) -> list[str]:
    """The topics and groups whose name begins so."""
    admin = AdminClient({"bootstrap.servers": kafka})
    groups = admin.list_consumer_groups().result(10).valid or []
    found = [*admin.list_topics(timeout=10).topics, *(group.group_id for group in groups)]
    return [each for each in found if each.startswith(name)]


def test_demo_needs_nothing_and_holds(tmp_path: Path) -> None:
    """One command: rotations, a reset, a 1008, and the ledger finds everything once and in order."""
    with _demo(tmp_path, "--seconds", "15") as demo:
        assert demo.child.wait(_TIMEOUT_S) == 0, demo.output
        verdict = _VERDICT.search(demo.output)
        assert verdict is not None, demo.output
        assert int(verdict["events"]) >= 15 * 200
        assert int(verdict["rotations"]) >= 1
        assert "the platform resets the TCP connection" in demo.output
        assert "lost: 1008" in demo.output
        demo.left_nothing()


def test_piped_it_writes_a_line_a_second_at_most(tmp_path: Path) -> None:
    """Lines about the run carry the time since the start; no two of them the same second."""
    with _demo(tmp_path, "--seconds", "4") as demo:
        assert demo.child.wait(_TIMEOUT_S) == 0, demo.output
        told_at_s = [float(at_s) for at_s in re.findall(r"^ *(\d+\.\d) s  ", demo.output, re.MULTILINE)]
    assert len(told_at_s) >= 4
    pauses_s = [after - before for before, after in itertools.pairwise(told_at_s)]
    assert min(pauses_s[:-1]) > 0.7  # the last line is the end, whenever it comes; times are sampled


def test_on_a_terminal_it_draws(tmp_path: Path) -> None:
    """The picture is drawn and stays, the cursor comes back, the verdict is below."""
    ours, theirs = pty.openpty()
    command = [str(_PROGRAM), "demo", "--seconds", "3"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment, start_new_session=True) as process:
        os.close(theirs)
        drawn = b"".join(_until_closed(ours))
        os.close(ours)
        assert process.wait(_TIMEOUT_S) == 0, drawn.decode()
    text = drawn.decode()
    assert "Ctrl-C ends it" in text
    assert text.index("\x1b[?25l") < text.index("\x1b[?25h") < text.index("verdict: ")


def _until_closed(terminal: int) -> Iterator[bytes]:
    with contextlib.suppress(OSError):  # how a terminal says that nobody has its other end any more
        while data := os.read(terminal, 65536):
            yield data


@pytest.mark.parametrize("moment", ["joining the group", "  playing: live", "the platform resets"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, moment: str) -> None:
    """At the start, in the middle, in the middle of trouble: exit code 130, soon."""
    with _demo(tmp_path, "--seconds", "20") as demo:
        demo.until(moment)
        demo.child.signal(signal.SIGINT)
        assert demo.child.wait(15) == 130
        assert "verdict" not in demo.output
        assert "Traceback" not in demo.output
        demo.left_nothing()


def test_demo_on_a_real_cluster_removes_what_it_made(tmp_path: Path, kafka: str) -> None:
    """It holds there as well, says what its names are, and deletes them."""
    with _demo(tmp_path, "--kafka", kafka, "--seconds", "8") as demo:
        demo.until("  playing: live")
        found = re.search(r"called (ccaas-demo-[0-9a-f]{8})$", demo.output, re.MULTILINE)
        assert found is not None, demo.output
        assert f"{found[1]}.events" in _names_on(kafka, found[1])
        assert demo.child.wait(_TIMEOUT_S) == 0, demo.output
        assert _VERDICT.search(demo.output)
        assert "Deleted from Kafka" in demo.output
        assert not _names_on(kafka, found[1])


def test_ctrl_c_removes_what_it_made_on_a_real_cluster(tmp_path: Path, kafka: str) -> None:
    """Also when it is interrupted."""
    with _demo(tmp_path, "--kafka", kafka) as demo:
        demo.until("  playing: live")
        demo.child.signal(signal.SIGINT)
        assert demo.child.wait(30) == 130
        found = re.search(r"called (ccaas-demo-[0-9a-f]{8})$", demo.output, re.MULTILINE)
        assert found is not None, demo.output
        assert not _names_on(kafka, found[1])


def test_a_cluster_that_is_not_there_is_a_missing_prerequisite(tmp_path: Path) -> None:
    """Exit code 3 and a sentence, no traceback."""
    with _demo(tmp_path, "--kafka", "127.0.0.1:1") as demo:
        assert demo.child.wait(30) == 3
        assert "Kafka at 127.0.0.1:1 does not answer" in demo.output
        assert "Traceback" not in demo.output
