"""Cost against changes: every point is a backtest of its own, and the front is what nothing beats."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.backtest.fronts import Point, render_sweep, sweep, with_best
from mora.backtest.render import WORDS
from mora.backtest.renewing import Renewal
from mora.backtest.run import ORACLE, Backtest, BacktestSettings, run
from mora.changes.rule import ChangeRule
from tests.backtest.making import bumpy

DAY, HOUR = 86_400, 3_600
SETTINGS = BacktestSettings(
    ("krr", "last", ORACLE), DAY, 10 * DAY, renewal=Renewal(6 * HOUR, ChangeRule(settle_down_seconds=12.0 * HOUR))
)


@pytest.fixture(scope="module")
def backtest() -> Backtest:
    return run((bumpy("a"), bumpy("b", seed=5, has_memory=False)), SETTINGS)


def test_a_point_is_what_a_backtest_with_its_deadband_finds(backtest: Backtest) -> None:
    fronts = sweep(backtest, deadbands=(0.1, 0.4))
    assert [(one.policy, one.deadband) for one in fronts["cpu"]] == [
        ("krr", 0.1),
        ("krr", 0.4),
        ("last", 0.1),
        ("last", 0.4),
    ]
    rule = replace(SETTINGS.renewal.rule, deadband_up=0.4, deadband_down=0.4)
    alone = run(backtest.series, replace(SETTINGS, renewal=replace(SETTINGS.renewal, rule=rule)))
    for resource in ("cpu", "mem"):
        (point,) = (one for one in fronts[resource] if (one.policy, one.deadband) == ("last", 0.4))
        score = alone.scores["last"][resource]
        assert (point.cost, point.changes_per_day) == (score.cost, score.changes_per_day)


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(1, 9)), min_size=1, max_size=12))
def test_the_front_has_a_point_that_beats_every_other_and_none_that_beats_its_own(
    pairs: list[tuple[float, float]],
) -> None:
    points = with_best([Point(str(n), 0.1, changes, cost) for n, (changes, cost) in enumerate(pairs)])
    best = [one for one in points if one.is_best]
    for one in points:
        assert any(other.cost <= one.cost and other.changes_per_day <= one.changes_per_day for other in best)
    by_changes = sorted(best, key=lambda one: one.changes_per_day)
    assert all(
        less.changes_per_day < more.changes_per_day and less.cost > more.cost
        for less, more in itertools.pairwise(by_changes)
    )


def test_the_table_marks_the_front(backtest: Backtest) -> None:
    fronts = sweep(backtest, deadbands=(0.1, 0.4))
    lines = render_sweep(fronts, WORDS).splitlines()
    assert lines[0].startswith("CPU: cost against changes per day")
    starred = sum(line.endswith("*") for line in lines)
    assert starred == sum(one.is_best for points in fronts.values() for one in points)
