"""The status page in a real browser: Chromium, driven by Playwright, over a fake fleet.

Needs Debian's ``chromium`` (or Chrome) on the path; ``CCAAS_CHROMIUM`` names another one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from connector.core.access import Guard
from connector.model import Target
from tests.support.api_server import ServedApi, served_api
from tests.support.show import show

pytestmark = pytest.mark.tools

_PATIENCE_MS = 30_000
TOKEN = "operators-token-0123456789"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CCAAS_CHROMIUM") or next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("no browser: apt-get install chromium, or set CCAAS_CHROMIUM")
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Viewer:
    """A page, what it asked for, and what it complained of."""

    def __init__(self, page: Page, api: ServedApi) -> None:
        self.page, self.api = page, api
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.set_default_timeout(_PATIENCE_MS)
        page.goto(f"{api.url}/ui")
        page.wait_for_selector("tbody tr")

    def open(self, stream: str) -> None:
        """Open the dialog of a stream."""
        self.page.get_by_role("button", name=stream, exact=True).click()


@pytest.fixture
def few(browser: Browser) -> Iterator[Viewer]:
    """Three streams: two need help."""
    with served_api(fleet=show(3)) as api:
        page = browser.new_page()
        yield Viewer(page, api)
        page.close()


def test_three_streams(few: Viewer) -> None:
    """Those that need help first, with why; nothing from outside, no complaint."""
    page = few.page
    names = page.locator("tbody .name").all_inner_texts()
    assert names == ["crm-screenpop-hamburg", "speech-analytics-hamburg", "wfm-adherence-hamburg"]
    expect(page.locator("tbody tr").nth(0)).to_contain_text("circuit breaker is open")
    expect(page.locator("tbody tr").nth(2)).to_contain_text("RUNNING")
    expect(page.get_by_role("status").first).to_contain_text("live, by")
    assert all(url.startswith(few.api.url) for url in few.requests if not url.startswith("data:"))
    assert few.complaints == []


def test_it_is_live(few: Viewer) -> None:
    """What changes shows by itself, and what matters is announced."""
    few.api.fleet.change("wfm-adherence-hamburg", state="refused", trouble="<b>forbidden</b>")
    row = few.page.locator("tbody tr", has_text="wfm-adherence")
    expect(row).to_contain_text("FAILED")
    expect(row).to_contain_text("<b>forbidden</b>")
    expect(few.page.locator("#news")).to_contain_text("3 failed")


@pytest.mark.parametrize(("verb", "target"), [("Pause", Target.PAUSED), ("Restart", None)])
def test_steering_asks_first(few: Viewer, verb: str, target: Target | None) -> None:
    """Nothing is asked of the worker before it is confirmed."""
    few.open("wfm-adherence-hamburg")
    dialog = few.page.get_by_role("dialog")
    dialog.get_by_role("button", name=verb).click()
    dialog.get_by_role("button", name="Not now").click()
    assert few.api.fleet.asked == []
    dialog.get_by_role("button", name=verb).click()
    dialog.locator("#one-do").click()
    expect(dialog.locator("#one-said")).to_contain_text("asked for")
    what = "restart" if target is None else "steer"
    assert few.api.fleet.asked == [(what, "wfm-adherence-hamburg", target)]
    if target is Target.PAUSED:
        expect(dialog.locator("#one-phase")).to_contain_text("PAUSED")
        expect(dialog.get_by_role("button", name="Resume")).to_be_visible()


def test_the_worker_gone_is_told(browser: Browser) -> None:
    """What is shown is old then, and the page says so."""
    with served_api(fleet=show(3)) as api:
        page = browser.new_page()
        viewer = Viewer(page, api)
        expect(page.locator("#link")).to_contain_text("live")
    expect(page.locator("#link")).to_contain_text("does not answer")
    assert viewer.page.locator("tbody tr").count() == 3
    page.close()


def test_a_thousand_streams_by_keyboard(browser: Browser) -> None:
    """Found by typing, gone through by arrows, opened by Enter, closed by Escape."""
    with served_api(fleet=show(1000)) as api:
        page = browser.new_page()
        Viewer(page, api)
        assert page.locator("tbody tr").count() == 1000
        expect(page.locator("#phases")).to_contain_text("1,000")
        page.keyboard.press("/")
        page.keyboard.type("wfm-adherence-leeds")
        expect(page.locator("tbody tr")).to_have_count(24)
        page.keyboard.press("Tab")
        first = page.evaluate("document.activeElement.closest('th') ? 'head' : document.activeElement.textContent")
        while first == "head":
            page.keyboard.press("Tab")
            first = page.evaluate("document.activeElement.closest('th') ? 'head' : document.activeElement.textContent")
        page.keyboard.press("ArrowDown")
        second = page.evaluate("document.activeElement.textContent")
        assert (first, second) == ("wfm-adherence-leeds", "wfm-adherence-leeds-1")
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog", name=second)).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        assert page.evaluate("document.activeElement.textContent") == second
        page.fill("#find", "")
        page.get_by_text("failed").first.click()
        expect(page.locator("tbody tr")).to_have_count(2)
        page.close()


def test_dark_where_the_reader_wants_it(browser: Browser) -> None:
    """By the system's setting."""
    with served_api(fleet=show(3)) as api:
        shades = []
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme)
            Viewer(page, api)
            shades.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            page.close()
        assert shades == ["rgb(245, 246, 244)", "rgb(17, 22, 20)"]


def test_a_guarded_page_asks_for_the_token(browser: Browser) -> None:
    """As the password of the browser's own question; then all of it works, steering too."""
    with served_api(fleet=show(3), guard=Guard(TOKEN)) as api:
        context = browser.new_context(http_credentials={"username": "me", "password": TOKEN})
        viewer = Viewer(context.new_page(), api)
        viewer.open("wfm-adherence-hamburg")
        viewer.page.get_by_role("button", name="Pause").click()
        viewer.page.locator("#one-do").click()
        expect(viewer.page.locator("#one-said")).to_contain_text("asked for")
        assert api.fleet.asked == [("steer", "wfm-adherence-hamburg", Target.PAUSED)]
        context.close()


def test_a_reader_is_told_that_it_may_not(browser: Browser) -> None:
    """And nothing changes."""
    with served_api(fleet=show(3), guard=Guard(read_token=TOKEN)) as api:
        context = browser.new_context(http_credentials={"username": "me", "password": TOKEN})
        viewer = Viewer(context.new_page(), api)
        viewer.open("wfm-adherence-hamburg")
        viewer.page.get_by_role("button", name="Pause").click()
        viewer.page.locator("#one-do").click()
        expect(viewer.page.locator("#one-said")).to_contain_text("may read only")
        assert api.fleet.asked == []
        context.close()
