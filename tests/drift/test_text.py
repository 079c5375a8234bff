"""A verdict as text."""

from __future__ import annotations

from collections.abc import Callable

from mora.drift.check import Drift
from mora.drift.text import render
from tests.drift.making import Change


def test_the_table_is_followed_by_what_drifted(verdicts: Callable[[Change], Drift]) -> None:
    shown = render([verdicts("season")])
    first, row, _, name, finding, *_ = shown.splitlines()
    assert first.split() == ["service", "model", "until", "data", "until", "verdict", "since"]
    assert row.split()[0] == "frontend"
    assert "drifted" in row
    assert name == "frontend:"
    assert finding.startswith("  the daily pattern of ")
    assert "UTC)" in finding
