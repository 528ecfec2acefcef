"""The status page's files and events, without a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import requests

from connector.web.page import _MOST_VIEWERS
from connector.web.rows import Difference, lane_row, stream_row
from tests.fakes.fleet import FakeFleet
from tests.support.api_server import ServedApi, served_api


@pytest.fixture
def api() -> Iterator[ServedApi]:
    """Two streams."""
    with served_api("wfm", "crm") as api:
        yield api


def rows(fleet: FakeFleet) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """As the page gets them."""
    return [stream_row(view) for view in fleet.views()], [lane_row(view) for view in fleet.lanes()]


def test_only_what_changed_is_told() -> None:
    """All at first; then nothing, then one stream, then which are left."""
    fleet, unseen = FakeFleet("a", "b"), Difference()
    first = unseen.since(*rows(fleet))
    assert [row["name"] for row in first["streams"]] == first["names"] == ["a", "b"]
    assert [lane["streams"] for lane in first["lanes"]] == [2]
    assert unseen.since(*rows(fleet)) == {"streams": []}
    fleet.change("b", position=2**60)
    (changed,) = unseen.since(*rows(fleet))["streams"]
    assert (changed["name"], changed["position"]) == ("b", str(2**60))
    assert unseen.since(rows(fleet)[0][:1], [])["names"] == ["a"]


def test_a_stream_of_which_nobody_tells() -> None:
    """Unassigned, and everything else unknown."""
    fleet = FakeFleet("a")
    fleet.unowned = True
    ((row,), _) = rows(fleet)
    assert (row["phase"], row["worker"], row["position"], row["state"]) == ("UNASSIGNED", None, None, "unknown")


def test_the_page_needs_nothing_from_outside(api: ServedApi) -> None:
    """Its parts are its own, and its policy lets nothing else in, nor inline code."""
    page = requests.get(f"{api.url}/ui", timeout=5)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    for part in re.findall(r'(?:href|src)="(ui/[^"]+)"', page.text):
        answer = requests.get(f"{api.url}/{part}", timeout=5)
        assert answer.status_code == 200
        assert not re.search(r"https?://(?!www\.w3\.org)", answer.text)
    for part in ("index.html", "..%2Fserver.py", "nothing.js"):
        assert requests.get(f"{api.url}/ui/{part}", timeout=5).status_code == 404
    assert requests.get(api.url, headers={"Accept": "text/html"}, timeout=5).url == f"{api.url}/ui"
    assert requests.get(f"{api.url}/ui/", timeout=5).url == f"{api.url}/ui"


def test_events_flow(api: ServedApi) -> None:
    """The whole first, with the security headers; changes follow."""
    with requests.get(f"{api.url}/ui/events", stream=True, timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        lines = (json.loads(line[6:]) for line in answer.iter_lines() if line)
        first = next(lines)
        assert [row["name"] for row in first["streams"]] == ["crm", "wfm"]
        assert first["worker"] == api.fleet.worker
        api.fleet.change("wfm", state="refused")
        changed = next(message for message in lines if message["streams"])
        assert [(row["name"], row["phase"]) for row in changed["streams"]] == [("wfm", "FAILED")]


def test_viewers_are_limited(api: ServedApi) -> None:
    """The last is told why; who leaves makes room."""
    open_ones = [requests.get(f"{api.url}/ui/events", stream=True, timeout=10) for _ in range(_MOST_VIEWERS)]
    assert requests.get(f"{api.url}/ui/events", stream=True, timeout=10).status_code == 503
    for each in open_ones:
        each.close()
