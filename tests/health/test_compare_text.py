"""A comparison as table, Markdown, JSON and CSV: the same figures, and null where one is not known."""

from __future__ import annotations

import csv
import io
import json

import jsonschema
import numpy as np
import pytest

from mora.health.compare_text import RENDERERS, render_csv, render_json, render_markdown, render_table
from mora.health.contest import Result
from mora.health.measures import Events
from mora.health.ranking import Comparison

_NUMBER = {"type": ["number", "null"]}
_COUNTS = ("labelled_ranges", "found_ranges", "alarm_events", "true_alarm_events")
_OF_EVENTS = (
    "event_precision",
    "event_recall",
    "event_f1",
    "false_alarms_per_day",
    "median_delay_seconds",
    "flagged_share",
)
_OF_ROWS = (
    "vus_pr",
    "vus_pr_low",
    "vus_pr_high",
    "vus_pr_vs_reference",
    "vus_pr_vs_reference_low",
    "vus_pr_vs_reference_high",
    "auc_pr",
    "range_f1",
    "fit_cpu_seconds",
    "score_cpu_seconds",
)
_EVENTS = {**{name: {"type": "integer"} for name in _COUNTS}, **dict.fromkeys(_OF_EVENTS, _NUMBER)}


def _object(properties: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


SCHEMA = _object(
    {
        "schema_version": {"const": 1},
        "reference": {"type": "string"},
        "thresholds": {"type": "array", "items": {"type": "string"}},
        "sets": {"type": "object", "additionalProperties": {"type": "integer"}},
        "mean_vus_pr": {"type": "object", "additionalProperties": {"type": "number"}},
        "rows": {
            "type": "array",
            "items": _object(
                {
                    "threshold": {"type": "string"},
                    "set": {"type": "string"},
                    "detector": {"type": "string"},
                    "series": {"type": "integer"},
                    "failed": {"type": "integer"},
                    **dict.fromkeys(_OF_ROWS, _NUMBER),
                    **_EVENTS,
                }
            ),
        },
        "series": {
            "type": "array",
            "items": _object(
                {
                    **{name: {"type": "string"} for name in ("set", "series", "detector")},
                    **dict.fromkeys(("vus_pr", "auc_pr", "fit_cpu_seconds", "score_cpu_seconds"), _NUMBER),
                    "thresholds": {
                        "type": "object",
                        "additionalProperties": _object({"range_f1": _NUMBER, **_EVENTS}),
                    },
                    "failure": {"type": ["string", "null"]},
                }
            ),
        },
    }
)


def result(detector: str, set_name: str, series: str, vus: float, failure: str = "") -> Result:
    events = {} if failure else {"tracking": Events(2, 1, 4, 1, (90.0,), 2.0, 100, 7)}
    return Result(detector, set_name, series, vus, vus, events, dict.fromkeys(events, 0.25), 1.5, 0.125, failure)


@pytest.fixture
def comparison() -> Comparison:
    return Comparison(
        (
            result("best", "shop", "a", 0.8),
            result("best", "shop", "b", 0.6),
            result("best", "=park", "a", 0.5),
            result("broken", "shop", "a", np.nan, "it needs 900 rows\x1b[2J | and more"),
            result("other", "shop", "a", 0.4),
            result("other", "shop", "b", 0.1),
            result("other", "=park", "a", 0.7),
        ),
        ("tracking", "peaks"),
        "best",
    )


def test_the_json_is_valid_against_its_schema(comparison: Comparison) -> None:
    document = json.loads(render_json(comparison))
    jsonschema.validate(document, SCHEMA)
    assert document["mean_vus_pr"] == {"best": pytest.approx(0.6), "other": pytest.approx(0.475)}
    best = document["rows"][0]
    assert [best["set"], best["detector"], best["threshold"]] == ["shop", "best", "tracking"]
    assert best["false_alarms_per_day"] == 1.5
    assert {row["threshold"] for row in document["rows"]} == {"tracking", "peaks"}
    broken = next(one for one in document["series"] if one["detector"] == "broken")
    assert broken["vus_pr"] is None
    assert "900 rows" in broken["failure"]


def test_the_table_has_the_best_first_the_means_and_what_failed(comparison: Comparison) -> None:
    text = render_table(comparison)
    lines = text.splitlines()
    assert lines[0] == "Mean VUS-PR of the sets"
    assert lines[2].split() == ["best", "0.700", "0.500", "0.600"]
    assert "shop: 2 series, threshold tracking" in lines
    shop = lines.index("shop: 2 series, threshold tracking")
    assert [lines[shop + row].split()[0] for row in (2, 3, 4)] == ["best", "other", "broken"]
    assert "-0.450" in lines[shop + 3]
    assert "0 of 2" in lines[shop + 4]
    assert "1m30s" in lines[shop + 2] or "1.5m" in lines[shop + 2]
    assert "7.0%" in lines[shop + 2]
    assert "broken: 1 of 1 series: it needs 900 rows?[2J | and more" in lines
    assert "\x1b" not in text


def test_markdown_cannot_be_broken_by_a_name(comparison: Comparison) -> None:
    text = render_markdown(comparison)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {5, 16}
    assert "\\| and more" in text
    assert "\x1b" not in text


def test_the_csv_has_the_rows_of_the_json_and_starts_no_formula(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(comparison))))
    document = json.loads(render_json(comparison))
    assert list(rows[0]) == list(document["rows"][0])
    assert len(rows) == len(document["rows"])
    assert float(rows[0]["vus_pr"]) == document["rows"][0]["vus_pr"]
    assert {row["set"] for row in rows} == {"shop", "'=park"}
    broken = next(row for row in rows if row["detector"] == "broken")
    assert broken["vus_pr"] == ""


def test_no_output_carries_what_a_terminal_obeys() -> None:
    odd = Comparison((result("best", "shop\x1b[2J\u202e", "a\x07", 0.8),), ("tracking",), "best")
    for render in RENDERERS.values():
        text = render(odd)
        assert not {"\x1b", "\u202e", "\x07"} & set(text)


def test_one_set_has_no_table_of_means(comparison: Comparison) -> None:
    one = Comparison(tuple(row for row in comparison.results if row.set_name == "shop"), ("tracking",), "best")
    assert "Mean" not in render_table(one)
    assert set(RENDERERS) == {"table", "markdown", "json", "csv"}
