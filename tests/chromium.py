"""A browser for tests: the machine's chromium, driven by Playwright, that sees nothing but this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

NAMES = ("chromium", "chromium-browser", "google-chrome")
NEARBY = {"127.0.0.1", "localhost", None}
# Tests run as root in containers, where chromium's own sandbox cannot.
OPTIONS = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run")
# A busy machine is no reason for a test to fail.
TIMEOUT = 120_000


def find_chromium() -> str:
    """Give the path of a chromium, or skip the test."""
    path = next((path for name in NAMES if (path := shutil.which(name))), None)
    if path is None:
        pytest.skip("there is no chromium on this machine: apt-get install chromium")
    return path


# Of a module, and not of the session: while Playwright is on, no other test could run an event loop of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a headless chromium, once per file of tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: the extra dev has it")
    path = find_chromium()
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=list(OPTIONS))
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open an empty page; the test fails if the page asked another machine for anything, or a script of it failed."""
    asked: list[str] = []
    failures: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    context = browser.new_context(accept_downloads=True)
    context.set_default_timeout(TIMEOUT)
    context.route(lambda url: urlsplit(url).hostname not in NEARBY, refuse)
    opened = context.new_page()
    opened.on("pageerror", lambda error: failures.append(str(error)))
    yield opened
    context.close()
    assert not asked, f"the page reached for the network: {asked}"
    assert not failures, f"scripts of the page failed: {failures}"
