"""A real browser: Debian's chromium, driven by playwright. What a page asks of a network, or complains of, is noted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# What axe calls a fault that keeps people from using a page.
SERIOUS = ("serious", "critical")


def chromium() -> str:
    """The path of a chromium; without one the test is skipped, and fails in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("REQUIRE_ALL_TOOLS"):
            pytest.fail("no chromium here: apt-get install chromium")
        pytest.skip("no chromium here: apt-get install chromium")
    return found


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser without a window. It runs an event loop of its own: no other one may run meanwhile."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    # As root, which a container's tests are, chromium has no sandbox.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments, timeout=120_000)
        yield browser
        browser.close()


@dataclass
class Tab:
    """An open page. asked: the addresses it asked for, its own first. said: errors and warnings of its console."""

    page: Page
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What axe-core finds that keeps people from using the page as it is now: the rule, and where."""
        from axe_playwright_python.sync_playwright import Axe

        found = cast("dict[str, Any]", Axe().run(self.page).response)
        return [
            f"{one['id']}: {node['html'][:120]}"
            for one in found["violations"]
            if one["impact"] in SERIOUS
            for node in one["nodes"]
        ]


@contextmanager
def tab(browser: Browser, address: str, **options: Any) -> Iterator[Tab]:
    """A page, loaded and ready; afterwards it must have asked for nothing but itself, and complained of nothing.

    options: of the browser's context, such as color_scheme="dark" or viewport={"width": 390, "height": 844}.
    """
    context = browser.new_context(**options)
    # A machine that has much to do is slow; nothing here is timed.
    context.set_default_timeout(120_000)
    page = context.new_page()
    seen = Tab(page)
    page.on("request", lambda request: seen.asked.append(request.url))
    page.on("console", lambda message: seen.said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.said.append(str(error)))
    page.goto(address)
    page.wait_for_selector("html[data-ready=yes]")
    yield seen
    assert seen.said == [], seen.said  # no error, no warning
    assert {one.partition("#")[0] for one in seen.asked} == {address.partition("#")[0]}, seen.asked
    context.close()


def written(folder: Path, text: str, name: str = "page.html") -> str:
    """The address of a page that is written into a folder."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path.as_uri()
