"""The page of a comparison: a table and two pictures for each set, names escaped."""

from __future__ import annotations

import json
import re

from mora.health.compare_page import render_page
from mora.health.contest import Result
from mora.health.measures import Events
from mora.health.ranking import Comparison


def test_each_set_has_its_pictures_and_its_table() -> None:
    events = {"tracking": Events(2, 1, 4, 1, (90.0,), 2.0, 100, 7)}
    comparison = Comparison(
        tuple(
            Result(name, set_name, "a", vus, vus, events, {"tracking": 0.2}, 1.5, 0.1)
            for name, vus in (("best", 0.8), ("<script>alert(1)</script>", 0.3))
            for set_name in ("shop", "park")
        ),
        ("tracking",),
        "best",
    )
    page = render_page(comparison)
    charts = [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]
    assert [chart["title"].split(":")[0] for chart in charts] == ["shop", "shop", "park", "park"]
    assert [line["name"] for line in charts[0]["lines"]] == ["best", "<script>alert(1)</script>"]
    assert charts[1]["lines"][0]["values"] == [0.8]
    assert page.count("<table") == 3
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_detector_that_failed_is_named_and_not_drawn() -> None:
    nan = float("nan")
    comparison = Comparison(
        (
            Result("best", "shop", "a", 0.8, 0.8, {}, {}, 1.5, 0.1),
            Result("broken", "shop", "a", nan, nan, {}, {}, 0.0, 0.0, "no metric"),
        ),
        ("tracking",),
        "best",
    )
    page = render_page(comparison)
    assert "broken failed on 1 of 1 series: no metric" in page
    chart = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', page)[1])
    assert [line["name"] for line in chart["lines"]] == ["best"]
