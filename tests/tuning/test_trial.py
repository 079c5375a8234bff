"""A trial's errors are over the naive forecast's, block by block."""

from __future__ import annotations

import pytest

from mora.contest.run import Answered, run_task
from mora.errors import NotEnoughData
from mora.tuning.search import with_options
from mora.tuning.trial import FOLDS, steps_of
from tests.tuning.making import HOUR, FactorForecaster, noisy


def test_the_naive_forecast_itself_is_worth_one() -> None:
    seen, unseen = steps_of(noisy(8), (HOUR, 12 * HOUR))
    assert [step.fold for step in seen] == [0, 0, 1, 1]
    assert [step.fold for step in unseen] == [2, 3, 2, 3]
    for step in (*seen, *unseen):
        losses = step.losses(run_task(step.task(with_options(FactorForecaster(), {"factor": 1.0}), "x", 0))[1])
        if step.horizon_seconds == HOUR:
            assert sum(losses) / len(losses) == pytest.approx(1.0)
        # Windows that overlap are one block: so many horizons, and no more.
        fold = step.cut.folds[step.fold]
        assert len(losses) <= -(-(fold.score_stop - fold.score_start) // step.cut.grid.steps)


def test_each_fold_trains_a_horizon_before_what_it_scores() -> None:
    for step in (*steps_of(noisy(), (HOUR,))[0], *steps_of(noisy(), (HOUR,))[1]):
        fold = step.cut.folds[step.fold]
        assert fold.score_start - fold.train_stop == step.cut.grid.steps
        assert step.folds == FOLDS


def test_what_a_trial_failed_on_is_reported() -> None:
    step = steps_of(noisy(), (HOUR,))[0][0]
    with pytest.raises(NotEnoughData, match="too little memory"):
        step.losses(Answered({}, failure="too little memory"))
