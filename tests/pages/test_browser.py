"""The page of recommendations as a person uses it, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from experiments.example_fleet import recommended
from mora.domain import Reason, Recommendation
from mora.outputs.html import render
from mora.outputs.patch import text_of
from mora.pages.charts import Bar, Chart, Line
from mora.pages.page import render as plain
from mora.pages.page import section
from mora.quantities import parse_cpu
from tests.browsing import Tab, tab, written

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "device_scale_factor": 2}


@pytest.fixture(scope="module")
def fleet() -> list[Recommendation]:
    return recommended(26)


@pytest.fixture(scope="module")
def address(fleet: list[Recommendation], tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("page"), render(fleet))


def names(seen: Tab) -> list[str]:
    """The workloads of the rows that are shown, in their order."""
    return [one.inner_text() for one in seen.page.query_selector_all("#workloads tbody tr:not([hidden]) .open")]


def column(seen: Tab, number: int) -> list[str]:
    rows = seen.page.query_selector_all(f"#workloads tbody tr:not([hidden]) > :nth-child({number})")
    return [one.inner_text() for one in rows]


def open_workload(seen: Tab, name: str) -> None:
    seen.page.get_by_role("button", name=name, exact=True).first.click()
    seen.page.wait_for_selector("dialog[open]")


def ink(seen: Tab, selector: str) -> Sequence[int]:
    """How many different colours each canvas shows: one that is not drawn on has a single one."""
    found: list[int] = seen.page.eval_on_selector_all(
        f"{selector} canvas",
        """(all) => all.map((one) => {
          const dots = new Uint32Array(one.getContext("2d").getImageData(0, 0, one.width, one.height).data.buffer);
          return new Set(dots).size;
        })""",
    )
    return found


def test_every_container_has_a_row_and_what_needs_a_look_is_first(browser: Browser, address: str) -> None:
    with tab(browser, address) as seen:
        assert seen.page.title() == "MOrA recommendations"
        assert seen.page.inner_text(".tiles").count("freed") == 2
        states = column(seen, 3)
        assert states[0] == "OOM-killed"
        assert len(states) == 30  # 26 workloads, and the exporters of four of them
        assert seen.page.inner_text("#count") == "30 rows"


def test_a_click_on_a_heading_sorts_figures_from_the_highest_and_again_from_the_lowest(
    browser: Browser, address: str
) -> None:
    with tab(browser, address) as seen:
        heading = seen.page.get_by_role("columnheader", name="CPU request")
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == "descending"
        now = [text.partition("→")[0].split()[0] for text in column(seen, 5)]
        shown = [parse_cpu(text) for text in now if text[0].isdigit()]
        assert shown == sorted(shown, reverse=True)
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == "ascending"
        assert column(seen, 5)[-1].startswith("not set")  # what has no figure is last both ways
        seen.page.get_by_role("columnheader", name="Workload", exact=True).get_by_role("button").click()
        assert names(seen) == sorted(names(seen))


def test_a_search_and_filters_narrow_the_rows_and_their_count_is_read_out(browser: Browser, address: str) -> None:
    with tab(browser, address) as seen:
        seen.page.get_by_role("searchbox").fill("payments gate")
        assert set(names(seen)) == {"gateway"}
        assert seen.page.inner_text("#count") == "1 of 30 rows"
        seen.page.get_by_role("searchbox").fill("")
        seen.page.get_by_role("combobox", name="Namespace").select_option("shop")
        seen.page.get_by_role("combobox", name="State").select_option("killed")
        assert names(seen) == ["api"]
        seen.page.get_by_role("combobox", name="State").select_option("")
        seen.page.get_by_role("combobox", name="Kind").select_option("StatefulSet")
        assert names(seen) == ["thumbnails"]
        seen.page.get_by_role("searchbox").fill("no such thing")
        assert names(seen) == []


def test_a_workload_opens_with_its_charts_reasons_and_patch(
    browser: Browser, address: str, fleet: list[Recommendation]
) -> None:
    advice = next(one for one in fleet if (one.workload.namespace, one.workload.name) == ("shop", "api"))
    with tab(browser, address) as seen:
        open_workload(seen, "api")
        assert seen.page.inner_text("#workload-title") == "Deployment shop/api"
        assert seen.page.url.endswith("#shop/deployment/api")
        figures = seen.page.query_selector_all("dialog figure.chart")
        assert [one.query_selector("figcaption").inner_text() for one in figures] == ["CPU", "Memory"]  # type: ignore[union-attr]
        assert all(colours > 20 for colours in ink(seen, "dialog"))
        legend = figures[1].inner_text()
        for words in ("highest use", "request now", "limit now 512 MiB", "recommended", "upper bound", "OOM kill (4)"):
            assert words in legend
        body = seen.page.inner_text("#workload-body")
        for reason in advice.main.memory_request.reasons:
            assert reason.text in body
        patch = text_of(advice)
        assert patch is not None
        assert seen.page.inner_text("dialog pre").strip() == patch.replace("THIS_FILE", "patch.yaml").strip()
        seen.page.keyboard.press("Escape")
        assert not seen.page.is_visible("dialog")
        assert seen.page.evaluate("document.activeElement.textContent") == "api"  # the focus is where it was
        assert ink(seen, "dialog") == []


def test_the_patch_is_copied_as_it_is_applied(browser: Browser, address: str, fleet: list[Recommendation]) -> None:
    with tab(browser, address, permissions=["clipboard-read", "clipboard-write"]) as seen:
        open_workload(seen, "api")
        seen.page.get_by_role("button", name="Copy the patch").click()
        seen.page.wait_for_selector("text=Copied")
        copied = seen.page.evaluate("navigator.clipboard.readText()")
        assert copied.endswith(seen.page.text_content("dialog pre"))
        assert copied.startswith("# Deployment shop/api")
        assert "\nspec:\n" in copied


def test_without_a_clipboard_the_patch_is_copied_as_by_hand(browser: Browser, address: str) -> None:
    with tab(browser, address) as seen:
        seen.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        open_workload(seen, "api")
        seen.page.get_by_role("button", name="Copy the patch").click()
        seen.page.wait_for_selector("text=Copied")
        assert "spec:" in seen.page.evaluate("String(getSelection())")


def test_throttling_is_marked_and_a_limit_far_above_is_named(browser: Browser, address: str) -> None:
    with tab(browser, f"{address}#shop/deployment/gateway") as seen:
        assert "CPU throttled" in seen.page.inner_text("dialog figure.chart >> nth=0")
    with tab(browser, f"{address}#shop/deployment/frontend") as seen:
        cpu = seen.page.inner_text("dialog figure.chart >> nth=0")
        assert "limit now" in cpu


def test_a_line_is_hidden_and_shown_by_its_button(browser: Browser, address: str) -> None:
    with tab(browser, f"{address}#shop/deployment/api") as seen:
        before = seen.page.locator("dialog canvas").first.evaluate("(one) => one.toDataURL()")
        button = seen.page.get_by_role("button", name=re.compile("^request now")).first
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        assert seen.page.locator("dialog canvas").first.evaluate("(one) => one.toDataURL()") != before
        button.click()
        assert button.get_attribute("aria-pressed") == "true"


def test_one_goes_through_the_workloads_in_the_order_of_the_table_by_keys_alone(browser: Browser, address: str) -> None:
    with tab(browser, address) as seen:
        seen.page.keyboard.press("/")
        seen.page.keyboard.type("shop")
        order = list(dict.fromkeys(names(seen)))
        seen.page.locator("#workloads .open").locator("visible=true").first.focus()
        seen.page.keyboard.press("Enter")
        found = []
        for _ in order:
            found.append(seen.page.inner_text("#workload-title").rpartition("/")[2])
            seen.page.keyboard.press("j")
        assert found == order
        seen.page.keyboard.press("k")
        assert seen.page.inner_text("#workload-title").rpartition("/")[2] == order[-1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Browser, address: str, scheme: str) -> None:
    with tab(browser, address, color_scheme=scheme, bypass_csp=True) as seen:
        assert seen.faults() == []
        open_workload(seen, "api")
        assert seen.faults() == []


def test_a_phone_shows_all_of_it_without_scrolling_sideways(browser: Browser, address: str) -> None:
    with tab(browser, address, **PHONE, bypass_csp=True) as seen:
        fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert seen.page.evaluate(fits)
        assert not seen.page.get_by_role("columnheader", name="Confidence").is_visible()
        assert seen.faults() == []
        open_workload(seen, "api")
        assert seen.page.evaluate(fits)
        assert seen.page.eval_on_selector("dialog", "(one) => one.scrollWidth <= one.clientWidth")


def test_in_the_dark_text_is_light(browser: Browser, address: str) -> None:
    shade = "(one) => getComputedStyle(one).backgroundColor"
    with tab(browser, address, color_scheme="dark") as seen:
        dark = seen.page.eval_on_selector("body", shade)
        seen.page.emulate_media(color_scheme="light")
        assert seen.page.eval_on_selector("body", shade) != dark


HOSTILE = "<img src=x onerror=alert(1)></script><script>document.title='owned'</script>"


def test_hostile_text_of_a_cluster_runs_nothing(browser: Browser, fleet: list[Recommendation], tmp_path: Path) -> None:
    why = (Reason("source", HOSTILE),)
    main = replace(fleet[0].main, reasons=why, container=HOSTILE)
    mean = replace(fleet[0], reasons=why, containers=(main, *fleet[0].others))
    with tab(browser, written(tmp_path, render([mean, *fleet[1:3]]))) as seen:
        assert seen.page.title() == "MOrA recommendations"
        assert HOSTILE in seen.page.inner_text("#workloads")
        open_workload(seen, mean.workload.name)
        assert HOSTILE in seen.page.inner_text("#workload-body")
        assert seen.page.query_selector("img") is None
        assert seen.page.title() == "MOrA recommendations"


def test_the_page_lets_no_script_run_that_it_was_not_made_with(
    browser: Browser, fleet: list[Recommendation], tmp_path: Path
) -> None:
    inside = "</main><script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
    page = render(fleet[:2]).replace("</main>", inside, 1)
    with tab(browser, written(tmp_path, page)) as seen:
        assert seen.page.title() == "MOrA recommendations"
        assert sum("Content Security Policy" in one for one in seen.said) >= 2
        assert not seen.page.evaluate("fetch('http://127.0.0.1:9/').then(() => true, () => false)")
        seen.said.clear()  # and the requests that were refused
        seen.asked[1:] = []


def test_a_page_without_a_workload_says_so(browser: Browser, tmp_path: Path) -> None:
    with tab(browser, written(tmp_path, render([]))) as seen:
        assert "There is no workload to show." in seen.page.inner_text("header")


def test_bars_and_points_of_rows_are_drawn_beside_their_names(browser: Browser, tmp_path: Path) -> None:
    bars = Chart("Bars", [-1.0, 2.0], bars=[Bar(0, 2.0, "bad"), Bar(1, -1.0, "c1")], rows=["CPU", "trend"])
    points = [Line("high value", [0.0, None], "bad", "points"), Line("low value", [None, 1.0], "c1", "points")]
    swarm = Chart("Swarm", [-1.0, 2.0], points, rows=["CPU", "trend"], unit="cores")
    page = plain("plain.html", title="Rows", sections=[section("Rows", charts=[bars, swarm])])
    with tab(browser, written(tmp_path, page)) as seen:
        drawn = seen.page.eval_on_selector_all(
            "figure canvas",
            """(all) => all.map((one) => {
              const dots = one.getContext("2d").getImageData(0, 0, one.width, one.height).data;
              const rows = new Set(), blue = new Set();
              for (let at = 0; at < dots.length; at += 4) {
                const row = Math.floor(at / 4 / one.width);
                if (dots[at] > 180 && dots[at + 1] < 80 && dots[at + 3] > 200) rows.add(row);
                if (dots[at + 2] > 150 && dots[at] < 60 && dots[at + 3] > 200) blue.add(row);
              }
              return [Math.max(...rows), Math.min(...blue), rows.size, blue.size];
            })""",
        )
        # The first row is on top, in red; the second below it, in blue.
        assert len(drawn) == 2
        assert all(red < blue and reds > 3 and blues > 3 for red, blue, reds, blues in drawn)
        assert seen.faults() == []
