"""The scores as table, JSON and CSV."""

from __future__ import annotations

import json

import jsonschema
import pytest

from mora.backtest import render
from mora.backtest.renewing import Renewal
from mora.backtest.run import ORACLE, Backtest, BacktestSettings, run
from mora.changes.rule import ChangeRule
from tests.backtest.making import bumpy

DAY, HOUR = 86_400, 3_600
_FIGURES: tuple[str, ...] = (
    "reserved_per_used",
    "reserved_per_used_median",
    "samples_exceeded",
    "windows_exceeded",
    "unmet",
    "cost",
)
_FIGURES += ("changes_per_day", "cost_with_changes")
_SCORE = {
    "type": "object",
    "properties": {"series": {"type": "integer"}, **{name: {"type": "number", "minimum": 0} for name in _FIGURES}},
    "required": ["series", *_FIGURES],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {
        "schema_version": {"const": 2},
        "horizon": {"type": "string"},
        "warmup": {"type": "string"},
        "series": {"type": "integer"},
        "skipped": {"type": "object", "additionalProperties": {"type": "integer"}},
        "renewal": {
            "type": "object",
            "properties": {
                **{key: {"type": "string"} for key in ("every", "settle_up", "settle_down", "change_price")},
                **{key: {"type": "number", "minimum": 0} for key in ("deadband_up", "deadband_down")},
                "changes_per_day": {"type": ["integer", "null"]},
            },
            "required": ["every", "deadband_up", "deadband_down", "changes_per_day", "change_price"],
            "additionalProperties": False,
        },
        "results": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {"cpu": _SCORE, "mem": _SCORE},
                "additionalProperties": False,
            },
        },
    },
    "required": ["schema_version", "horizon", "warmup", "series", "skipped", "renewal", "results"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def backtest() -> Backtest:
    series = (bumpy("a", seed=1), bumpy("b", seed=2, has_memory=False))
    return run(series, BacktestSettings(("krr", "vpa", "last", ORACLE), warmup_seconds=10 * DAY))


def test_the_json_is_valid_against_its_schema(backtest: Backtest) -> None:
    jsonschema.validate(json.loads(render.render_json(backtest)), SCHEMA)


def test_the_table_counts_samples_and_windows_that_are_exceeded(backtest: Backtest) -> None:
    text = render.render_table(backtest)
    heads = text.splitlines()[1]
    assert "samples exceeded  windows exceeded" in heads
    score = backtest.scores["last"]["cpu"]
    row = next(line for line in text.splitlines() if line.startswith("last "))
    assert f"{score.samples_exceeded:.2%}" in row
    assert f"{score.windows_exceeded:.2%}" in row


def test_a_change_rule_and_the_price_of_a_change_are_named_and_get_columns() -> None:
    renewal = Renewal(6 * HOUR, ChangeRule(0.3, 0.2, changes_per_day=2), change_price_seconds=900.0)
    settings = BacktestSettings(("last", ORACLE), warmup_seconds=10 * DAY, renewal=renewal)
    found = run((bumpy("a"),), settings)
    text = render.render_table(found)
    title, heads = text.splitlines()[:2]
    assert title.endswith(", renewed every 6h, deadband 30% up and 20% down, at most 2 changes a day")
    assert "cost  changes/day  cost with changes" in heads
    assert "15m of the series' mean use for every change" in text
    score = found.scores["last"]["cpu"]
    row = next(line for line in text.splitlines() if line.startswith("last "))
    assert f"{score.changes_per_day:.2f}" in row
    assert f"{score.cost_with_changes:.3f}" in row
    document = json.loads(render.render_json(found))
    jsonschema.validate(document, SCHEMA)
    assert (document["renewal"]["every"], document["renewal"]["changes_per_day"]) == ("6h", 2)


def test_where_every_number_is_followed_the_table_is_as_it_was(backtest: Backtest) -> None:
    assert "changes/day" not in render.render_table(backtest)


def test_the_better_peer_is_the_measure(backtest: Backtest) -> None:
    def waste(name: str) -> float:
        found = render.against_peers(backtest, "cpu", backtest.scores[name]["cpu"])
        assert found is not None
        return found

    assert min(waste("krr"), waste("vpa")) == pytest.approx(1.0)
    assert waste(ORACLE) < 1
    assert render.against_peers(backtest, "mem", backtest.scores["krr"]["mem"]) == 1.0


def test_without_peers_there_is_nothing_to_compare_with() -> None:
    alone = run((bumpy("a"),), BacktestSettings(("last",), warmup_seconds=10 * DAY))
    assert render.against_peers(alone, "mem", alone.scores["last"]["mem"]) is None
    assert [row[-1] for row in render.table_rows(alone, "mem")] == ["-"]


def test_without_any_use_the_table_says_so() -> None:
    found = run((bumpy("a"),), BacktestSettings(("last",), warmup_seconds=10 * DAY))
    idle = Backtest(found.settings, found.series, found.decisions, {"last": {}}, {"cpu": 1, "mem": 1}, {})
    assert render.render_table(idle) == "No series could be scored.\n"
