"""``ccaas-bridge streams``: what a worker tells, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from connector.cli import bridge
from connector.core.access import Guard
from connector.top import View, span
from tests.support.api_server import ServedApi, served_api
from tests.support.show import show
from tests.unit.test_settings import minimum

TOKEN = "readers-token-0123456789"


@pytest.fixture
def api() -> Iterator[ServedApi]:
    """Three streams, two of which need help; a token is asked for."""
    with served_api(fleet=show(3), guard=Guard(read_token=TOKEN)) as api:
        yield api


def run(*arguments: str) -> Result:
    """The command, on a wide terminal that is none."""
    return CliRunner().invoke(bridge, ["streams", *arguments], env={"COLUMNS": "200"})


def test_a_table_of_those_that_need_help_first(api: ServedApi) -> None:
    """With why."""
    shown = run("--url", api.url, "--token", TOKEN)
    assert shown.exit_code == 0, shown.output
    order = [shown.output.index(name) for name in ("crm-screenpop", "speech-analytics", "wfm-adherence")]
    assert order == sorted(order)
    assert "circuit breaker is open" in shown.output
    assert "wfm-bridge: 2 failed, 1 running" in shown.output


def test_as_json_by_the_configuration(api: ServedApi, tmp_path: Path) -> None:
    """Listener and token are the configuration's; found by state."""
    http = {"listen": api.url.removeprefix("http://"), "read_token": TOKEN}
    (tmp_path / "bridge.yaml").write_text(json.dumps({**minimum(), "http": http}))
    told = json.loads(run("-c", str(tmp_path / "bridge.yaml"), "--json", "--find", "refused").output)
    assert [(row["name"], row["phase"]) for row in told["streams"]] == [("speech-analytics-hamburg", "FAILED")]
    assert told["worker"] == api.fleet.worker


def test_what_cannot_be_shown_is_told(api: ServedApi) -> None:
    """Exit code 3: the worker does not answer, or not to this token; 2: nobody said which worker."""
    refused = run("--url", api.url, "--token", "another-token-012345")
    assert (refused.exit_code, "answers 401" in refused.output) == (3, True)
    assert TOKEN not in refused.output
    away = run("--url", "http://127.0.0.1:9")
    assert (away.exit_code, "does not answer" in away.output) == (3, True)
    assert run("--url", "ftp://127.0.0.1").exit_code == 3
    assert run().exit_code == 2


def test_changes_are_put_together() -> None:
    """Rows that come later win; names that are gone go."""
    view = View()
    row = {"name": "a", "worker": "w", "phase": "RUNNING", "state": "live"}
    view.take({"streams": [row, {**row, "name": "b"}], "names": ["a", "b"], "group": "g"})
    view.take({"streams": [{**row, "phase": "FAILED"}]})
    assert [(r["name"], r["phase"]) for r in view.rows("")] == [("a", "FAILED"), ("b", "RUNNING")]
    view.take({"streams": [], "names": ["b"]})
    assert [r["name"] for r in view.rows("")] == ["b"]
    assert view.message["group"] == "g"


@pytest.mark.parametrize(
    ("ms", "text"),
    [(-5, "0 s"), (59_400, "59 s"), (61_000, "1 m 01 s"), (3_660_000, "1 h 01 m"), (200_000_000, "2 d")],
)
def test_spans(ms: int, text: str) -> None:
    """In the largest unit or two."""
    assert span(ms) == text
