"""The scores as table, JSON and CSV."""

from __future__ import annotations

import json

import jsonschema
import pytest

from mora.backtest import render
from mora.backtest.run import ORACLE, Backtest, BacktestSettings, run
from tests.backtest.making import bumpy

DAY = 86_400
_FIGURES = ("reserved_per_used", "reserved_per_used_median", "samples_exceeded", "windows_exceeded", "unmet", "cost")
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
        "results": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {"cpu": _SCORE, "mem": _SCORE},
                "additionalProperties": False,
            },
        },
    },
    "required": ["schema_version", "horizon", "warmup", "series", "skipped", "results"],
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
