"""The page of a backtest: self-contained, and drawn by a real browser where one is installed."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mora import pipeline
from mora.backtest.fronts import Fronts, Point, with_best
from mora.backtest.policy import Series
from mora.backtest.report import render_report
from mora.backtest.run import ORACLE, Backtest, BacktestSettings, run
from mora.errors import BadInput
from tests.backtest.making import START, bumpy
from tests.browsing import browsing, tab, written

DAY = 86400
POLICIES = ("mora", "krr", "vpa", "peak", ORACLE)


def charts(page: str) -> list[dict[str, Any]]:
    """What the page draws: the frontiers of CPU and memory, then the series."""
    found = re.findall(r'<script type="application/json">(.*?)</script>', page, flags=re.DOTALL)
    return [json.loads(one) for one in found]


def drawn(page: str) -> list[str]:
    return [one["title"] for one in charts(page)[2:]]


@pytest.fixture(scope="module")
def backtest() -> Backtest:
    series = (
        bumpy("a", seed=1),
        bumpy("<b>&", seed=2, has_memory=False),
        *(bumpy(f"s{n}", seed=n) for n in range(3, 9)),
    )
    return run(series, BacktestSettings(POLICIES, warmup_seconds=10 * DAY))


@pytest.fixture(scope="module")
def page(backtest: Backtest) -> str:
    return render_report(backtest, source="<traces>.csv")


def test_the_page_says_what_was_replayed_and_has_no_value_that_is_none(page: str) -> None:
    assert "8 series of &lt;traces&gt;.csv" in page
    assert "NaN" not in json.dumps(charts(page))
    assert "<td>nan" not in page


def test_every_policy_is_on_the_frontier_in_the_table_and_over_every_series(page: str, backtest: Backtest) -> None:
    for chart in charts(page):
        assert [line["group"] for line in chart["lines"]] == list(POLICIES)
    cpu, _ = charts(page)[:2]
    for line in cpu["lines"]:
        score = backtest.scores[line["name"]]["cpu"]
        at = [x for x, value in zip(cpu["x"], line["values"], strict=True) if value is not None]
        assert at == [pytest.approx(score.samples_exceeded, rel=1e-5)]
        assert f"{line['name']}: {score.reserved_per_used:.3f} times the use reserved" in cpu["text"]
    for policy in POLICIES:
        assert page.count(f'<tr class="stays" data-of="{policy}">') == 2  # CPU and memory
    assert f"<td>{backtest.scores['krr']['cpu'].cost:.3f}</td>" in page


def test_a_reservation_is_in_force_in_its_window_and_not_in_the_warm_up(page: str, backtest: Backtest) -> None:
    chart = next(one for one in charts(page) if one["title"] == "s4: CPU")
    number = [one.id for one in backtest.series].index("s4")
    at = backtest.decisions.at[number]
    step = backtest.series[number].step_seconds
    begins = backtest.series[number].start + int(at[0]) * step
    assert chart["spans"] == [{"begin": backtest.series[number].start, "end": begins, "text": "warm-up"}]
    (krr,) = [line["values"] for line in chart["lines"] if line["name"] == "krr"]
    reserved = backtest.reservations["krr"]["cpu"][number]
    for x, value in zip(chart["x"], krr, strict=True):
        window = int(np.searchsorted(at, (x - backtest.series[number].start) / step, side="right")) - 1
        expected = None if window < 0 else float(reserved[window])
        assert value == (None if expected is None or math.isnan(expected) else pytest.approx(expected, rel=1e-5))


def test_six_series_of_all_kinds_are_drawn_unless_some_are_named(page: str, backtest: Backtest) -> None:
    assert sum(one.endswith(": CPU") for one in drawn(page)) == 6
    named = render_report(backtest, source="x", drawn="s4,<b>&")
    assert drawn(named) == ["s4: CPU", "s4: memory", "<b>&: CPU"]
    assert "&lt;b&gt;&amp;: CPU" in named
    with pytest.raises(BadInput, match="no series 'z' to draw"):
        render_report(backtest, source="x", drawn="z")


def test_a_name_from_a_file_turns_no_text_around(backtest: Backtest) -> None:
    page = unescape(render_report(backtest, source="traces\u202e\x1b[2J.csv"))
    assert "traces??[2J.csv" in page
    assert not [c for c in page if not c.isprintable() and c not in "\n\t"]


def test_of_many_windows_the_last_are_drawn() -> None:
    found = run((bumpy("a"),), BacktestSettings(("last",), horizon_seconds=3600, warmup_seconds=5 * DAY))
    text = render_report(found, source="x")
    assert "the last 240 of 360 windows" in text
    assert all("spans" not in one for one in charts(text))


def test_gaps_leave_gaps() -> None:
    use = np.ones(480)
    use[300:340] = np.nan
    text = render_report(
        run((Series("a", 3600, START, use, None),), BacktestSettings(("last",), warmup_seconds=5 * DAY)), source="x"
    )
    (band,) = charts(text)[-1]["bands"]
    assert [number for number, value in enumerate(band["high"]) if value is None] == list(range(300, 340))


def test_cost_against_changes_is_drawn_with_the_lowest_cost_that_so_many_changes_reach(backtest: Backtest) -> None:
    fronts: Fronts = {
        "cpu": with_best([Point("krr", 0.1, 4.0, 2.0), Point("krr", 0.3, 1.0, 3.0), Point("mora", 0.1, 2.0, 2.5)]),
    }
    (chart,) = (
        one
        for one in charts(render_report(backtest, source="x", fronts=fronts))
        if one["title"] == "CPU: what it costs, and how often it changes"
    )
    assert chart["x"] == [1.0, 2.0, 4.0]
    assert [(line["name"], line["values"]) for line in chart["lines"]] == [
        ("krr", [3.0, None, 2.0]),
        ("mora", [None, 2.5, None]),
        ("lowest cost with so many changes", [3.0, 2.5, 2.0]),
    ]
    assert "mora at 10% (2.00 changes a day, cost 2.500)" in chart["text"]


def test_a_rule_without_a_colour_gets_one(backtest: Backtest) -> None:
    renamed = replace(
        backtest,
        scores={"mine": backtest.scores["krr"]},
        reservations={"mine": backtest.reservations["krr"]},
    )
    page = render_report(renamed, source="x")
    assert {line["colour"] for chart in charts(page) for line in chart["lines"]} == {"c7"}
    assert 'class="of-c7"' in page


def test_the_page_is_written_completely(tmp_path: Path, backtest: Backtest, page: str) -> None:
    pipeline.write_report(backtest, tmp_path / "out" / "page.html", source="<traces>.csv")
    assert (tmp_path / "out" / "page.html").read_text(encoding="utf-8") == page
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["page.html"]


def test_a_real_browser_draws_it_and_hides_what_is_asked(tmp_path: Path, page: str) -> None:
    with browsing() as browser, tab(browser, written(tmp_path, page) + "#hide=krr,vpa", bypass_csp=True) as seen:
        assert len(seen.page.query_selector_all("figure[data-drawn=yes] canvas")) == len(charts(page))
        pressed = {
            one.get_attribute("data-group"): one.get_attribute("aria-pressed")
            for one in seen.page.query_selector_all(".groups button")
        }
        assert pressed == {name: str(name not in ("krr", "vpa")).lower() for name in POLICIES}
        hidden = {one.get_attribute("data-of") for one in seen.page.query_selector_all("tr.off")}
        assert hidden == {"krr", "vpa"}
        before = seen.page.locator("canvas").first.evaluate("(one) => one.toDataURL()")
        seen.page.locator(".groups button[data-group=krr]").click()
        assert seen.page.locator("canvas").first.evaluate("(one) => one.toDataURL()") != before
        assert seen.faults() == []
