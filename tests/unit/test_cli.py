"""The command line: exit codes and messages of the contract; nothing heavy is started."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from connector import __version__
from connector.cli import bridge
from connector.errors import ConfigurationError, LaneMismatchError, PrerequisiteError
from connector.settings import ConfigurationSource, Settings
from connector.simulator import command
from connector.simulator.genesys import GenesysSettings
from connector.simulator.settings import SimulatorSettings
from tests.unit.test_settings import minimum


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration file that is good."""
    path = tmp_path / "bridge.yaml"
    path.write_text(json.dumps(minimum()), encoding="utf-8")
    return path


def _invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(bridge, [str(argument) for argument in arguments])


def _put(monkeypatch: pytest.MonkeyPatch, module: str, **functions: Any) -> None:  # noqa: ANN401 - any function
    """Put a module with these functions in the place of a heavy one, which is not even imported then."""
    stand_in = types.ModuleType(module)
    for name, function in functions.items():
        setattr(stand_in, name, function)
    monkeypatch.setitem(sys.modules, module, stand_in)


def _put_app(monkeypatch: pytest.MonkeyPatch, outcome: int | BaseException) -> list[Settings]:
    seen: list[Settings] = []

    def run_bridge(settings: Settings, source: ConfigurationSource) -> int:
        assert source.read() == settings
        seen.append(settings)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    _put(monkeypatch, "connector.app", run_bridge=run_bridge)
    _put(monkeypatch, "connector.logs", configure_logs=lambda _level, *, json: None)  # noqa: ARG005 - its signature
    return seen


def test_version() -> None:
    """The distribution's version."""
    result = _invoke("--version")
    assert (result.exit_code, result.output) == (0, f"ccaas-bridge {__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["demo", "-h"], ["simulate", "--help"]])
def test_help(arguments: list[str]) -> None:
    """Every command explains itself."""
    result = _invoke(*arguments)
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


@pytest.mark.parametrize(
    "arguments", [[], ["rnu"], ["run", "--wat"], ["simulate", "--kind", "x"], ["demo", "--seconds", "0"]]
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    """As the contract says."""
    assert _invoke(*arguments).exit_code == 2


@pytest.mark.parametrize("code", [0, 2, 3])
def test_run_exits_with_the_bridges_code(monkeypatch: pytest.MonkeyPatch, config: Path, code: int) -> None:
    """The settings reach the bridge, its code reaches the shell."""
    seen = _put_app(monkeypatch, code)
    assert _invoke("run", "-c", config).exit_code == code
    assert [settings.group for settings in seen] == ["wfm-bridge"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("this is wrong"), 2),
        (LaneMismatchError("this is wrong"), 2),
        (PrerequisiteError("this is wrong"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_error_becomes_message_and_code(
    monkeypatch: pytest.MonkeyPatch, config: Path, error: BaseException, code: int
) -> None:
    """On stderr, one message, no traceback."""
    _put_app(monkeypatch, error)
    result = _invoke("run", "-c", config)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == ("" if code == 130 else "this is wrong\n")


def test_bad_configuration_starts_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every fault with its path on stderr, exit 2."""
    seen = _put_app(monkeypatch, 0)
    path = tmp_path / "bad.yaml"
    path.write_text("group: g\nlanes: 0\nwat: 1\n", encoding="utf-8")
    result = _invoke("run", "-c", path)
    assert (result.exit_code, result.stdout, seen) == (2, "", [])
    for fault in ("bad.yaml: 5 faults", "lanes: ", "wat: unknown key", "kafka: required", "streams: required"):
        assert fault in result.stderr


def test_run_takes_its_configuration_from_the_environment(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """Variables win over the file."""
    seen = _put_app(monkeypatch, 0)
    monkeypatch.setenv("CCAAS__LANES", "3")
    assert _invoke("run", "-c", config).exit_code == 0
    assert [settings.lanes for settings in seen] == [3]


def test_demo_passes_its_options_and_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """1: the promise did not hold."""
    seen = []

    def run_demo(kafka: str | None, seconds: float) -> int:
        seen.append((kafka, seconds))
        return 1

    _put(monkeypatch, "connector.demo", run_demo=run_demo)
    assert _invoke("demo").exit_code == 1
    assert _invoke("demo", "--kafka", "b:9092", "--seconds", "5").exit_code == 1
    assert seen == [(None, 30.0), ("b:9092", 5.0)]


def test_simulate_builds_the_simulators_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without options the simulator's own defaults, whatever they are."""
    seen = []

    async def simulate(settings: SimulatorSettings, port: int) -> None:
        seen.append((settings, port))

    monkeypatch.setattr(command, "simulate", simulate)
    assert _invoke("simulate").exit_code == 0
    arguments = ["--kind", "nice-offset", "--port", "0", "--rate", "7", "--token-life", "5", "--close-code", "4001"]
    assert _invoke("simulate", *arguments, "--retention", "9", "--opaque-tokens").exit_code == 0
    assert seen == [
        (SimulatorSettings(), 8900),
        (
            SimulatorSettings(
                kind="nice-offset", rate=7, token_life_s=5, close_code=4001, retention_s=9, opaque_tokens=True
            ),
            0,
        ),
    ]


def test_simulate_builds_the_settings_of_genesys_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is the one that is named; an option of another kind is refused by its name."""
    seen = []

    async def simulate(settings: GenesysSettings, port: int) -> None:
        seen.append((settings, port))

    monkeypatch.setattr(command, "simulate", simulate)
    kind = ("simulate", "--kind", "genesys-notifications")
    assert _invoke(*kind).exit_code == 0
    arguments = ["--client-id", "wfm", "--client-secret", "s", "--token-idle", "900", "--dead-socket", "closes"]
    assert _invoke(*kind, *arguments, "--port", "0").exit_code == 0
    assert seen == [
        (GenesysSettings(), 8900),
        (GenesysSettings(clients={"wfm": "s"}, token_idle_s=900, dead_socket="closes"), 0),
    ]
    assert _invoke(*kind, "--queues", "0").exit_code == 2
    for options in ((*kind, "--retention", "9"), ("simulate", "--queues", "3")):
        result = _invoke(*options)
        assert (result.exit_code, len(seen)) == (2, 2)
        assert f"has no {'retention_s' if '--retention' in options else 'queues'}" in result.stderr


def test_simulate_refuses_what_the_simulator_refuses() -> None:
    """Its faults are faults of the usage."""
    result = _invoke("simulate", "--rate", "-1", "--batch", "0")
    assert result.exit_code == 2
    assert "rate must not be negative" in result.stderr
    assert "batch must be at least 1" in result.stderr


def test_simulate_on_a_taken_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message instead of a traceback."""

    async def simulate(_settings: SimulatorSettings, _port: int) -> None:
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(command, "simulate", simulate)
    result = _invoke("simulate", "--port", "8901")
    assert (result.exit_code, result.stderr) == (2, "--port 8901: Address already in use\n")


def test_help_loads_nothing_heavy() -> None:
    """`python -m connector` works, and answers fast."""
    script = (
        "import sys, connector.cli; print([m for m in ('confluent_kafka', 'aiohttp', 'pydantic') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
    module = subprocess.run(
        [sys.executable, "-m", "connector", "--version"], capture_output=True, text=True, check=True
    )
    assert module.stdout == f"ccaas-bridge {__version__}\n"
