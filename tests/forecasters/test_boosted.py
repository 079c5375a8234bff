"""Boosted trees of a history: what they learn, what is kept of them, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mora.documents import Misfit
from mora.domain import Target
from mora.domain.learning import AtRow, Past, Saved
from mora.errors import BadModel, NotEnoughData
from mora.forecasters import boosted
from mora.forecasters.horizon import plain_at, truth_at
from mora.forecasters.xgboost_trees import XgboostForecaster
from mora.fusion import NAIVE
from mora.seams import Silent
from tests.forecasters.histories import CPU, MEMORY, fitted, grid, past, waves


@pytest.fixture(scope="module")
def learnt() -> boosted.FittedBoosted:
    found = fitted(XgboostForecaster(), past(grid(waves(12), 1), until=9 * 288))
    assert isinstance(found, boosted.FittedBoosted)
    return found


def test_it_errs_less_than_the_naive_forecast_and_its_high_level_covers_the_steps(
    learnt: boosted.FittedBoosted,
) -> None:
    one = grid(waves(12), 1)
    rows = list(range(9 * 288, len(one) - 12, 31))
    errors, naive, covered = [], [], []
    for row, levels in zip(rows, learnt.levels([AtRow(one, row) for row in rows]), strict=True):
        truth = truth_at(one, CPU, row)
        assert truth is not None
        mean, high = levels[Target.CPU]
        errors.append(abs(mean - truth[0]))
        naive.append(abs(plain_at(one, CPU, row)[NAIVE][0] - truth[0]))
        covered += (one.means[CPU][row : row + 12] <= high).tolist()
    assert np.mean(errors) < 0.8 * np.mean(naive)
    assert 0.85 < np.mean(covered) < 1


def test_a_service_ten_times_as_large_has_a_forecast_ten_times_as_large(learnt: boosted.FittedBoosted) -> None:
    columns = waves(12)
    one, other = grid(columns, 1), grid({name: 10 * values for name, values in columns.items()}, 1)
    (small,), (large,) = learnt.levels([AtRow(one, 3000)]), learnt.levels([AtRow(other, 3000)])
    assert large[Target.CPU][0] == pytest.approx(10 * small[Target.CPU][0], rel=0.1)


def test_where_trees_learn_nothing_that_comes_true_the_anchor_is_the_forecast() -> None:
    rng = np.random.default_rng(1)
    noise = {CPU: np.exp(np.cumsum(0.05 * rng.standard_normal(288 * 6))), MEMORY: np.full(288 * 6, 5e8)}
    one = grid(noise, 1)
    found = fitted(XgboostForecaster(), past(one))
    assert isinstance(found, boosted.FittedBoosted)
    # A random walk goes on from where it is.
    assert found.targets[Target.CPU].anchor[1] > 0.5
    rows = range(900, len(one), 5)
    said = [levels[Target.CPU][0] for levels in found.levels([AtRow(one, row) for row in rows])]
    assert np.abs(np.log(said / one.filled[CPU][np.array(rows) - 1])).mean() < 0.03
    assert found.levels([AtRow(one, 900)])[0][Target.MEMORY] == pytest.approx((5e8, 5e8), rel=1e-3)


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_a_constant_series_is_forecast_as_what_it_is(level: float) -> None:
    one = grid({CPU: np.full(288 * 4, level), MEMORY: np.full(288 * 4, 1e8)}, 1)
    (found,) = fitted(XgboostForecaster(), past(one)).levels([AtRow(one, len(one))])
    assert found[Target.CPU] == pytest.approx((level, level), abs=1e-6)


def test_the_checking_part_that_is_given_is_used_and_later_rows_are_not_looked_at() -> None:
    one = grid(waves(10), 24)
    changed = {name: np.where(np.arange(len(one)) < 200, values, 7e9) for name, values in one.means.items()}
    other = replace(one, means=changed, filled=changed)
    first, second = (
        XgboostForecaster().fit(Past(each, (Target.CPU,), 150, 200), seed=0, reporter=Silent()) for each in (one, other)
    )
    place = AtRow(one, 200)
    assert list(first.levels([place])) == list(second.levels([place]))


def test_too_short_a_history_is_refused_with_what_is_there() -> None:
    with pytest.raises(
        NotEnoughData, match=r"XGBoost of cpu needs 12 horizons to learn from and 6 to check on; there are \d+ and \d+"
    ):
        fitted(XgboostForecaster(), past(grid(waves(1.5), 24)))


def test_a_grid_of_another_horizon_has_no_forecast(learnt: boosted.FittedBoosted) -> None:
    day = grid(waves(12), 24)
    assert learnt.levels([AtRow(day, 200), AtRow(grid(waves(1), 1), 5)]) == [{}, {}]


def test_forged_models_are_refused(learnt: boosted.FittedBoosted) -> None:
    saved = learnt.save()
    document = {**saved.document, "targets": {**saved.document["targets"]}}
    one = document["targets"]["cpu"]
    for wrong in (
        {**one, "features": [*one["features"], 10_000]},
        {**one, "anchor": [1.0]},
        {**one, "idle": {}},
        {**one, "steps": 0},
        {**one, "shares": {"mean": 7.0, "high": 0.0}},
    ):
        forged = Saved({**document, "targets": {"cpu": wrong}}, saved.arrays)
        with pytest.raises(Misfit):
            boosted.restore(forged)
    arrays = dict(saved.arrays)
    arrays["cpu.mean.left"] = np.full_like(arrays["cpu.mean.left"], 10_000)
    with pytest.raises(BadModel):
        boosted.restore(Saved(saved.document, arrays))
