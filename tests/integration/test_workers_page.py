"""The status page of a real group in a real browser: what is clicked is done, by whichever worker has the stream."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support.fleet import Fleet, streams
from tests.support.scenario import platform

if TYPE_CHECKING:
    from tests.support.stage import Stage

pytestmark = pytest.mark.tools

_PATIENCE_MS = 60_000


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's ``chromium`` or Chrome; ``CCAAS_CHROMIUM`` names another one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CCAAS_CHROMIUM") or next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("no browser: apt-get install chromium, or set CCAAS_CHROMIUM")
    expect.set_options(timeout=_PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def _opened(browser: Browser, url: str) -> Page:
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(_PATIENCE_MS)
    await page.goto(f"{url}/ui")
    await page.wait_for_selector("tbody tr")
    return page


async def _click(page: Page, stream: str, verb: str) -> None:
    """Open the stream's dialog, ask for it, say yes, close."""
    await page.get_by_role("button", name=stream, exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name=verb, exact=True).click()
    await dialog.locator("#one-do").click()
    await expect(dialog.locator("#one-said")).to_contain_text("asked for")
    await page.keyboard.press("Escape")


async def test_what_is_clicked_is_done(alone: Stage, browser: Browser, tmp_path: Path) -> None:
    """Pause, resume and restart, on a page of each worker, of streams that other workers have."""
    async with Fleet(alone, platform(rate=20), *streams(3, lanes=3), workers=3, lanes=3) as it:
        await it.ready()
        await it.all_flowing(5)
        pages = [await _opened(browser, worker.url) for worker in it.workers]
        for page in pages:
            await expect(page.locator("tbody .badge.RUNNING")).to_have_count(3)
            await expect(page.locator("#sum-workers")).to_have_text("3")
            await expect(page.locator("#sum-lanes")).to_have_text("3 of 3")
        first, second, third = (str(stream["name"]) for stream in streams(3, lanes=3))
        await _click(pages[0], first, "Pause")
        for page in pages:
            await expect(page.locator("tr", has_text=first).locator(".badge")).to_have_text("PAUSED")
        await it.until(lambda: not it.open_sockets(first), "its socket is closed")
        opened = len(it.sockets(second))
        await _click(pages[1], second, "Restart")
        await it.until(lambda: len(it.sockets(second)) > opened, "its socket is opened again")
        await _click(pages[2], first, "Resume")
        for page in pages:
            await expect(page.locator("tbody .badge.RUNNING")).to_have_count(3)
        await it.alone(first)
        await pages[0].screenshot(path=tmp_path / "three.png")
        assert it.story("stream told what to do", stream=third) == []
        await it.all_flowing(5)
        await it.finish()


async def test_a_thousand_streams_of_three_workers(alone: Stage, browser: Browser, tmp_path: Path) -> None:
    """All are shown on any worker's page, each as its own worker has it."""
    given = streams(1000, lanes=6)
    settings = platform(rate=0.05)
    async with Fleet(alone, settings, *given, workers=3, lanes=6) as it:
        await it.ready()
        page = await _opened(browser, it.workers[0].url)
        await expect(page.locator("tbody tr")).to_have_count(1000)
        await expect(page.locator("#phases")).to_contain_text("1,000")
        await page.locator("label.chip", has_text="running").click()
        await expect(page.locator("tbody tr")).to_have_count(1000)
        for name, size, scheme in (
            ("light", (1440, 900), "light"),
            ("dark", (1440, 900), "dark"),
            ("narrow", (420, 860), "light"),
        ):
            await page.set_viewport_size({"width": size[0], "height": size[1]})
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            await asyncio.sleep(1.5)  # the next second's numbers
            await page.screenshot(path=tmp_path / f"{name}.png")
        await page.fill("#find", str(given[-1]["name"]))
        await page.keyboard.press("Tab")
        await page.get_by_role("button", name=str(given[-1]["name"]), exact=True).click()
        await expect(page.get_by_role("dialog")).to_contain_text("Rotations")
        await page.screenshot(path=tmp_path / "dialog.png")
