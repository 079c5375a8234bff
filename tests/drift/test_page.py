"""The page of verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mora.domain import Workload
from mora.drift.check import Drift
from mora.drift.page import render_page
from tests.drift.making import Change


def test_the_page_has_pictures_and_escapes_names(verdicts: Callable[[Change], Drift]) -> None:
    verdict = verdicts("level")
    page = render_page([replace(verdict, workload=Workload("default", "frontend")), verdict])
    assert page.count("CPU of frontend, and the usual day of the training") >= 2
    assert "times the usual for the time of day" in page
    assert "How far forecasts of CPU for 1h are off" in page
    assert "usual (p10 to p90)" in page
