"""Kafka Connect's clients, unmodified, against the management API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from kafka_connect import KafkaConnect
from kafka_connect_healthcheck.health import Health

from connector.core.access import Guard
from connector.model import Target
from tests.fakes.fleet import WORKER
from tests.support.api_server import ServedApi, served_api

TOKEN = "operators-token-0123456789"


@pytest.fixture
def api() -> Iterator[ServedApi]:
    """Two streams."""
    with served_api("wfm", "crm") as api:
        yield api


def test_kafka_connect_py_reads(api: ServedApi) -> None:
    """What it lists, describes and filters."""
    client = KafkaConnect(api.url)
    assert client.get_cluster_info()["kafka_cluster_id"] == "MkU3OEVBNTcwNTJENDM2Qg"
    assert client.list_connectors() == ["crm", "wfm"]
    assert client.list_connectors(pattern="w.*", state="RUNNING") == ["wfm"]
    assert client.list_connectors(expand="status")["wfm"]["status"]["tasks"][0]["state"] == "RUNNING"
    assert client.get_connector("wfm")["tasks"] == [{"connector": "wfm", "task": 0}]
    assert client.get_connector_config("wfm")["connector.class"] == "genesys-sequence"
    assert client.get_connector_status("wfm")["connector"]["worker_id"] == WORKER
    assert client.list_connector_tasks("wfm")[0]["id"] == {"connector": "wfm", "task": 0}
    assert client.get_connector_task_status("wfm", 0)["state"] == "RUNNING"
    assert client.list_connector_topics("wfm") == {"wfm": {"topics": ["t1"]}}
    assert [plugin["class"] for plugin in client.list_connector_plugins()] == ["genesys-sequence"]


def test_kafka_connect_py_steers(api: ServedApi) -> None:
    """Pause, resume, stop and restart, one and all."""
    client = KafkaConnect(api.url)
    client.pause_connector("wfm")
    assert client.get_connector_status("wfm")["connector"]["state"] == "PAUSED"
    client.resume_connector("wfm")
    client.restart_connector("wfm")
    client.restart_connector("wfm", include_tasks=True)
    client.restart_connector_task("wfm", 0)
    client.stop_all_connectors()
    assert client.get_connector_status("crm")["tasks"] == []
    steered = [(what, stream) for what, stream, _ in api.fleet.asked]
    assert steered == [
        ("steer", "wfm"), ("steer", "wfm"), ("restart", "wfm"), ("restart", "wfm"), ("restart", "wfm"),
        ("steer", "crm"), ("steer", "wfm"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        lambda client: client.create_connector({"name": "new", "config": {}}),
        lambda client: client.update_connector("wfm", {"topic": "other"}),
        lambda client: client.delete_connector("wfm"),
    ],
)
def test_streams_are_declared_in_the_file(api: ServedApi, change: Any) -> None:  # noqa: ANN401 - a call
    """Nothing creates, changes or deletes one here."""
    with pytest.raises(requests.HTTPError, match="405"):
        change(KafkaConnect(api.url))


def test_kafka_connect_py_shows_its_token() -> None:
    """As the password of Basic authentication."""
    with served_api("wfm", guard=Guard(TOKEN)) as api:
        assert KafkaConnect(api.url, auth=f"operator:{TOKEN}").list_connectors() == ["wfm"]
        with pytest.raises(requests.HTTPError, match="401"):
            KafkaConnect(api.url, auth="operator:another").list_connectors()


def health(api: ServedApi, worker: str | None = None) -> dict[str, Any]:
    """What kafka-connect-healthcheck says."""
    check = Health(api.url, worker, ["FAILED", "UNASSIGNED"], "", 0, ["CONNECTOR", "TASK"])
    found: dict[str, Any] = check.get_health_result()
    return found


def test_kafka_connect_healthcheck(api: ServedApi) -> None:
    """Healthy, then not: with why."""
    assert health(api)["healthy"]
    assert health(api, WORKER)["healthy"]
    api.fleet.change("wfm", state="refused", trouble="forbidden (HTTP 403)")
    sick = health(api)
    assert not sick["healthy"]
    traces = [failure.get("trace", "") for failure in sick["failures"] if failure["type"] == "task"]
    assert "forbidden (HTTP 403)" in traces[0]
    api.fleet.unowned = True
    assert {failure["state"] for failure in health(api)["failures"]} == {"UNASSIGNED"}


def test_offsets(api: ServedApi) -> None:
    """KIP-875: read any time, changed while stopped; told apart: done, and will be done."""
    offsets = f"{api.url}/connectors/wfm/offsets"
    partition = {"stream": "wfm"}
    assert requests.get(offsets, timeout=5).json() == {
        "offsets": [{"partition": partition, "offset": {"position": "4", "epoch": 0}}]
    }
    move = {"offsets": [{"partition": partition, "offset": {"position": "1700", "epoch": 3}}]}
    assert requests.patch(offsets, json=move, timeout=5).status_code == 400
    requests.put(f"{api.url}/connectors/wfm/stop", timeout=5).raise_for_status()
    assert requests.patch(offsets, json=move, timeout=5).status_code == 200
    assert requests.get(offsets, timeout=5).json() == move
    api.fleet.unowned = True
    assert requests.delete(offsets, timeout=5).status_code == 202
    assert api.fleet.asked == [
        ("steer", "wfm", Target.STOPPED),
        ("move", "wfm", (1700, 3)),
        ("move", "wfm", (None, None)),
    ]


@pytest.mark.parametrize("position", [-1, 1.5, "x", True, [], {"a": 1}, str(2**63), "\u0664"])
def test_a_position_that_is_none_changes_nothing(api: ServedApi, position: object) -> None:
    """400, and nothing is asked of the owner."""
    requests.put(f"{api.url}/connectors/wfm/stop", timeout=5).raise_for_status()
    move = {"offsets": [{"partition": {"stream": "wfm"}, "offset": {"position": position}}]}
    assert requests.patch(f"{api.url}/connectors/wfm/offsets", json=move, timeout=5).status_code == 400
    assert [what for what, *_ in api.fleet.asked] == ["steer"]


def test_kafka_away_is_told(api: ServedApi) -> None:
    """503 with what to do, where the answer or the order needs Kafka; views go on."""
    api.fleet.away = True
    assert requests.get(f"{api.url}/connectors/wfm/status", timeout=5).status_code == 200
    assert requests.get(api.url, timeout=5).json()["kafka_cluster_id"] is None
    for method, path in (("PUT", "pause"), ("POST", "restart"), ("GET", "offsets")):
        answer = requests.request(method, f"{api.url}/connectors/wfm/{path}", timeout=5)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json() == {"error_code": 503, "message": "Kafka does not answer"}
