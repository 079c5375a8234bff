"""The page of a real server in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from experiments.example_server import NOW, answer, month
from mora.errors import SourceUnavailable
from mora.web.answer import Answer
from tests.browsing import browsing, tab
from tests.web.making import Site, site

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real chromium; skipped where there is none."""
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def made() -> Answer:
    return answer(12)


@pytest.fixture
def served(made: Answer, tmp_path: Path) -> Iterator[Site]:
    """A server with an answer and a month of its record."""
    with site(tmp_path, now=NOW) as found:
        month(found.record, made)
        found.live.answered("", made)
        yield found


def test_it_shows_what_changed_the_trend_and_every_workload(browser: Browser, served: Site) -> None:
    with tab(browser, f"http://127.0.0.1:{served.port}/") as seen:
        text = seen.page.inner_text("main")
        assert "Since yesterday" in text
        assert "CPU that no workload needs fell from" in text
        assert "12 workloads" in seen.page.inner_text("header")
        colours = seen.page.eval_on_selector_all(
            "main > section canvas, main section canvas",
            """(all) => all.map((one) => new Set(new Uint32Array(
              one.getContext("2d").getImageData(0, 0, one.width, one.height).data.buffer)).size)""",
        )
        assert len(colours) == 2
        assert all(count > 10 for count in colours)
        seen.page.query_selector_all("#workloads .open")[0].click()
        seen.page.wait_for_selector("dialog[open] figure.chart")
        seen.page.keyboard.press("Escape")
        assert seen.faults() == []


def test_a_link_leads_to_the_page_of_a_namespace(browser: Browser, served: Site, made: Answer) -> None:
    space = made.namespaces[0]
    with tab(browser, f"http://127.0.0.1:{served.port}/?namespace={space}") as seen:
        here = seen.page.query_selector("nav a[aria-current]")
        assert here is not None
        assert here.inner_text() == space
        rows = seen.page.query_selector_all("#workloads tbody tr")
        assert {row.get_attribute("data-namespace") for row in rows} == {space}
        links = {one.get_attribute("href") for one in seen.page.query_selector_all("nav a")}
        assert links == {"./", *(f"?namespace={name}" for name in made.namespaces)}


def test_in_the_dark_and_while_prometheus_is_away_it_is_readable(browser: Browser, served: Site) -> None:
    served.live.failed("", SourceUnavailable("Prometheus does not answer.", hint="Is it up?"))
    with tab(browser, f"http://127.0.0.1:{served.port}/", color_scheme="dark") as seen:
        told = seen.page.inner_text("[role=status]")
        assert "The refresh fails since" in told
        assert "What is shown is the last good answer." in told
        assert seen.faults() == []
