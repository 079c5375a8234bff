"""Ranks over series: skill and win rate by hand, and intervals that include the truth as often as they say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mora.contest.ranking import tables
from mora.contest.windows import Contest
from mora.domain import Target
from tests.contest.test_scores import contest


def named(one: Contest, series: str, group: str = "") -> Contest:
    return replace(one, windows=replace(one.windows, series=series, group=group or series))


def test_skill_is_of_the_geometric_mean_and_a_win_of_every_window() -> None:
    # On one series half the error, on the other twice: together as good as naive.
    half = named(contest([10.0, 10.0], naive=[12.0, 12.0], other=[11.0, 11.0]), "a")
    twice = named(contest([10.0, 10.0], naive=[12.0, 12.0], other=[14.0, 14.0]), "b")
    (table,) = tables([half, twice])
    rows = {row.entrant: row for row in table.rows}
    assert rows["other"].skill.value == pytest.approx(0.0)
    assert rows["other"].wins.value == rows["naive"].wins.value == pytest.approx(0.5)
    assert rows["other"].mae == pytest.approx(2.5)
    assert table.windows == 4
    assert [row.entrant for row in tables([half])[0].rows] == ["other", "naive"]


def test_ties_count_half_and_who_did_not_answer_has_no_figures() -> None:
    one = contest([1.0, 1.0], naive=[2.0, 2.0], same=[2.0, 0.0], silent=[math.nan, math.nan])
    rows = {row.entrant: row for row in tables([one])[0].rows}
    assert rows["same"].wins.value == 0.5
    assert math.isnan(rows["silent"].skill.value)
    assert rows["silent"].series == 0
    assert rows["silent"].answered == 0.0
    assert tables([one])[0].rows[-1].entrant == "silent"


def test_an_interval_is_as_wide_as_days_are_unlike() -> None:
    rng = np.random.default_rng(0)
    truth = np.full(24 * 20, 10.0)
    noise = rng.standard_normal(len(truth))
    steady = contest(truth, naive=truth + 2.0, other=truth + 1.0)
    (row,) = [row for row in tables([steady])[0].rows if row.entrant == "other"]
    assert row.skill.low == row.skill.value == row.skill.high == pytest.approx(0.5)
    assert row.is_surely_apart
    alike = contest(truth, naive=truth + noise, other=truth + rng.permutation(noise))
    (row,) = [row for row in tables([alike])[0].rows if row.entrant == "other"]
    assert row.skill.low < 0 < row.skill.high
    assert not row.is_surely_apart


def test_siblings_are_resampled_together() -> None:
    rng = np.random.default_rng(1)

    def one(level: float) -> Contest:
        return contest(np.full(48, 10.0), naive=np.full(48, 12.0), other=np.full(48, 10.0 + 2 * level))

    levels = rng.uniform(0.4, 1.6, 6)
    # Forty series of six groups, all siblings alike, are six facts and not forty.
    siblings = [named(one(levels[n % 6]), f"s{n}", f"g{n % 6}") for n in range(42)]
    strangers = [named(one(levels[n % 6]), f"s{n}") for n in range(42)]
    widths = []
    for series in (siblings, strangers):
        (row,) = [row for row in tables(series)[0].rows if row.entrant == "other"]
        widths.append(row.skill.high - row.skill.low)
    assert widths[0] > 2 * widths[1]


def test_intervals_include_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(60):
        series = []
        for number in range(12):
            # Per series the ratio of errors is exp(normal): its geometric mean over all series is 1, the skill 0.
            ratio = math.exp(0.5 * rng.standard_normal())
            series.append(named(contest([10.0, 10.0], naive=[11.0, 11.0], other=[10 + ratio] * 2), f"s{number}"))
        (row,) = [row for row in tables(series)[0].rows if row.entrant == "other"]
        inside += row.skill.low <= 0 <= row.skill.high
    assert inside >= 50


def test_tables_are_in_order() -> None:
    one = contest([1.0], naive=[1.0])
    memory = replace(one, windows=replace(one.windows, target=Target.MEMORY))
    day = replace(one, windows=replace(one.windows, horizon_seconds=86_400.0))
    found = [(table.target, table.horizon_seconds) for table in tables([memory, day, one])]
    assert found == [(Target.CPU, 3600.0), (Target.CPU, 86_400.0), (Target.MEMORY, 3600.0)]
