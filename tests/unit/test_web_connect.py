"""The management API against what a real Kafka Connect worker answered to the same requests.

``fixtures/kafka-connect-4.3.0.json`` is a protocol of a distributed worker (exactly-once source support on) with one
``FileStreamSource`` connector ``s1``: what was asked in which of its states, and what it said.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from connector.core.access import Guard
from connector.model import Target
from connector.web.cluster import Cluster
from connector.web.connectors import Connectors
from connector.web.loggers import Loggers
from connector.web.server import Listener
from tests.fakes.control import FakeControl
from tests.fakes.fleet import FakeCatalogue, FakeFleet

_RECORDED = json.loads((Path(__file__).parents[1] / "fixtures" / "kafka-connect-4.3.0.json").read_text())
_OPEN_MAPS = {"config", "partition", "offset", "value", "definition"}
"""Objects whose members are the connector's own."""
_TARGETS = {"RUNNING": Target.RUNNING, "PAUSED": Target.PAUSED, "STOPPED": Target.STOPPED}
_DIFFERENT = {
    # an unknown name is unknown everywhere; Connect keeps topics of names it never had
    ("RUNNING", "GET /connectors/nope/topics"): 404,
    # nothing is ever deleted here, whatever its name
    ("RUNNING", "DELETE /connectors/nope"): 405,
    # a stopped connector has no task; Connect forwards to a leader that it does not find
    ("STOPPED", "POST /connectors/s1/tasks/0/restart"): 404,
    # a scope that there is not; Connect takes it for none, and changes nothing
    ("RUNNING", "PUT /admin/loggers/org.apache.kafka.connect.runtime?scope=bogus"): 400,
}
_OTHER_BODY = {
    ("STOPPED", "POST /connectors/s1/restart?includeTasks=true"),  # a stopped connector has no task
    ("STOPPED", "GET /connectors/s1/topics"),  # the configured topics, whether written yet or not
    ("RUNNING", "GET /connectors/s1/config"),  # all of it is the connector's own
    ("RUNNING", "GET /admin/loggers"),  # the process's own
}
_REFUSED = 400
"""What a body that cannot be used gets; Connect says 500."""
_PARTITION = {"filename": "/data/in.txt"}


class Api:
    """The API over a fake fleet, and a client."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self.fleet = FakeFleet("s1")
        catalogue = FakeCatalogue()
        routes = [
            *Connectors(self.fleet, catalogue).routes(),
            *Cluster(self.fleet, catalogue, Loggers(FakeControl())).routes(),
        ]
        self.listener = Listener(routes, Guard())
        self.client = client

    async def ask(self, request: str, body: Any = None, headers: Any = None) -> tuple[int, Any]:  # noqa: ANN401 - JSON
        """Status and parsed body; None for no body."""
        method, _, path = request.partition(" ")
        host, port = self.listener.addresses[0]
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        sent = {"Content-Type": "application/json"} if data is not None else {}
        url = f"http://{host}:{port}{path}"
        async with self.client.request(
            method, url, data=data, headers={**sent, **(headers or {})}, allow_redirects=False
        ) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """Listening on a free port."""
    async with aiohttp.ClientSession() as client:
        api = Api(client)
        await api.listener.start("127.0.0.1:0")
        yield api
        await api.listener.stop()


def shape(value: Any, *, free: bool = False) -> Any:  # noqa: ANN401 - JSON
    """A JSON value without what is the connector's own: names of members and kinds of values."""
    if isinstance(value, dict):
        return {} if free else {key: shape(member, free=key in _OPEN_MAPS) for key, member in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) else "text or null"


def ours(value: Any) -> Any:  # noqa: ANN401 - JSON
    """The same request in the words of this connector."""
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.replace(json.dumps(_PARTITION), json.dumps({"stream": "s1"}))
    for name in ("org.apache.kafka.connect.file.FileStreamSourceConnector", "FileStreamSource"):
        text = text.replace(name, "genesys-sequence")
    return text if isinstance(value, str) else json.loads(text)


@pytest.mark.parametrize(
    "recorded", _RECORDED, ids=lambda each: f"{each['phase']} {each['request']} {each.get('body', '')}"[:110]
)
async def test_answers_as_kafka_connect_does(api: Api, recorded: dict[str, Any]) -> None:
    """Same status, same shape, same messages; where not, it is in the table above."""
    phase, request = recorded["phase"], recorded["request"]
    await api.fleet.steer("s1", _TARGETS[phase])
    if recorded.get("answer") == {"offsets": []}:
        api.fleet.places.clear()
    status, answer = await api.ask(ours(request), ours(recorded.get("body")), recorded.get("headers"))
    wanted = _DIFFERENT.get((phase, request), _REFUSED if recorded["status"] == 500 else recorded["status"])
    assert status == wanted, answer
    if status != recorded["status"]:
        assert answer.keys() == {"error_code", "message"}
    elif "answer" not in recorded:
        assert answer is None
    elif status >= 400:
        assert answer == ours(recorded["answer"])
    elif (phase, request) not in _OTHER_BODY:
        assert shape(answer) == shape(recorded["answer"])
