"""The page of a contest: every table and its charts, and no name that a browser would obey."""

from __future__ import annotations

import json
import re

from mora.contest.page import render_page
from tests.contest.compared import compared


def test_every_table_has_its_charts_and_names_are_text() -> None:
    comparison, _ = compared()
    page = render_page(comparison)
    assert "<b>|shop" not in page
    assert "failing has no forecast: 1h ahead: ZeroDivisionError" in page
    charts = [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]
    assert len(charts) == 3 * 4
    over_time = [chart for chart in charts if "mean use of each window" in chart["title"]]
    assert len(over_time) == 4
    lines = {line["name"]: line["values"] for line in over_time[0]["lines"]}
    assert list(lines) == ["used", "half", "naive"]
    assert len(lines["used"]) == len(comparison.tables[0].contests[0].windows)
    assert over_time[0]["bands"][0]["name"] == "90 % interval of half"
