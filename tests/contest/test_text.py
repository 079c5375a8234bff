"""A contest as text: every model in every table, those without a forecast with the reason, and no NaN in the JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mora.contest.text import document, known, render_json, render_markdown, render_table, verdict
from tests.contest.compared import HOSTILE, compared


def test_every_model_is_in_every_table_and_a_failure_has_its_reason() -> None:
    comparison, _ = compared()
    text = render_table(comparison)
    assert "3 models on 2 series of made.parquet, 2026-01-01 00:00 UTC to 2026-01-09 00:00 UTC" in text
    for heading in ("cpu, 1h ahead: 144 windows, 2 series", "cpu, 24h ahead", "memory, 1h ahead", "memory, 24h ahead"):
        assert heading in text
    assert text.count("failing (no forecast)") == 4
    assert "- failing: 1h ahead: ZeroDivisionError: nothing to divide by" in text
    assert "- short: Not enough history." in text
    assert "\x1b" not in text
    assert "No model is better than the naive forecast." in text


def test_the_json_has_what_the_table_has_and_null_for_what_is_not_known() -> None:
    comparison, _ = compared()
    found = json.loads(render_json(comparison))
    assert found == document(comparison)
    assert found["series"] == [HOSTILE, "web"]
    rows = {row["entrant"]: row for row in found["tables"][0]["rows"]}
    assert rows["failing"]["skill"] == {"value": None, "low": None, "high": None}
    assert rows["naive"]["skill"]["value"] == 0.0
    half = found["tables"][0]["series"][1]["scores"]["half"]
    assert half["mae"] > 0
    assert half["answered"] == half["windows"] == found["tables"][0]["series"][1]["windows"]


def test_markdown_takes_names_literally() -> None:
    comparison, _ = compared()
    one = replace(comparison, source="<script>|*x*")
    text = render_markdown(one)
    assert "<script>" not in text
    assert "| model | skill |" in text
    assert all(line.count(" | ") == 15 for line in text.splitlines() if line.startswith("| naive"))


def test_a_verdict_says_whether_it_is_sure() -> None:
    comparison, _ = compared()
    table = comparison.tables[0]
    best = replace(table.rows[-2], entrant="half", skill=replace(table.rows[0].skill, value=0.3, low=-0.1, high=0.5))
    assert verdict(replace(table, rows=(best, *table.rows)))[0] == (
        "The best is half: 30% less error than naive, not for sure: its interval includes 0."
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_null(value: float) -> None:
    assert known({"a": [value, (1.0, value)]}) == {"a": [None, [1.0, None]]}
