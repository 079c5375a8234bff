"""What `mora train` learns, as an entrant: the same numbers that a training of the same samples recommends by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mora import registry
from mora.backtest.history import history_of_series
from mora.backtest.policy import Series
from mora.config import load_settings
from mora.contest.entrants import Lesson
from mora.domain import Target
from mora.domain.learning import AtRow
from mora.model import TrainSettings
from mora.model.contestant import WhatTrainingLearns
from mora.model.observed import learn
from mora.pipeline.settings import train_settings
from mora.seams import Silent
from mora.settings import Settings
from tests.contest.making import wave

DAY = 86_400.0
QUICK = TrainSettings(weights={"prophet": 1.0})


def test_its_settings_are_those_of_a_training_that_was_asked_for_without_any() -> None:
    assert WhatTrainingLearns().settings == train_settings(Settings())
    made = registry.make("contestants", "trained", {"candidates": "lightgbm+xgboost", "model": "mixture"})
    assert (made.settings.candidates, made.settings.model) == (("lightgbm", "xgboost"), "mixture")


def test_the_blend_is_that_of_a_training_that_was_asked_for_it() -> None:
    made = registry.make("contestants", "blend", {})
    assert made.settings == train_settings(load_settings({"train_model": "blend"}))
    assert made.settings.trained == ("prophet", "lstm")


def test_it_answers_as_the_model_of_a_training_does() -> None:
    history = wave(8.0)
    grid = history.grid(DAY)
    row = len(grid) - grid.steps
    known = history.before(history.sample(grid, row))
    fitted = WhatTrainingLearns(QUICK).fit(Lesson(known, grid.before(row)), seed=0)
    levels = fitted.levels([AtRow(grid.before(row), row)])[0]
    learned = learn(known, QUICK, Silent())
    horizon = learned.horizons[round(DAY)]
    for target in (Target.CPU, Target.MEMORY):
        parts = horizon.parts(grid, target, learned.forecasters, row)
        assert levels[target][0] == pytest.approx(horizon.calibrations[target].point_forecast(parts), rel=1e-9)
        assert levels[target][1] >= levels[target][0]


def test_of_a_sliding_window_it_sees_what_lies_in_it_alone() -> None:
    history = wave(9.0)
    grid = history.grid(DAY)
    row, first = len(grid), len(grid) - 5 * 24
    lesson = Lesson(history, grid, first)
    whole = WhatTrainingLearns(QUICK).fit(lesson, seed=0).levels([AtRow(grid, row)])[0]
    cut = history.after(history.sample(grid, first))
    alone = WhatTrainingLearns(QUICK).fit(Lesson(cut, cut.grid(DAY)), seed=0).levels([AtRow(grid, row)])[0]
    assert whole == alone


def test_after_a_fall_of_the_level_no_forecaster_that_remembers_the_old_one_is_believed() -> None:
    rng = np.random.default_rng(5)
    level = np.repeat([0.8, 0.08], [8 * 288, 2 * 288]) * np.exp(0.01 * rng.standard_normal(10 * 288))
    history = history_of_series(Series("web", 300, 1_767_225_600, level, None))
    grid = history.grid(DAY)
    before = 8 * 24
    fitted = WhatTrainingLearns(QUICK).fit(Lesson(history.before(8 * 288), grid.before(before)), seed=0)
    # A day after the fall the last horizon knows the new level alone; Prophet and a week's median know the old one.
    (levels,) = fitted.levels([AtRow(grid.before(before + 24), before + 24)])
    mean, high = levels[Target.CPU]
    assert mean == pytest.approx(0.08, abs=0.01)
    assert mean <= high < 0.2


def test_a_model_that_is_asked_for_by_name_reaches_as_far_as_it_likes() -> None:
    learned = learn(wave(8.0), replace(QUICK, model="prophet"), Silent(), spans=(DAY,))
    assert learned.horizons[round(DAY)].calibrations[Target.CPU].reach is None
    reach = learn(wave(8.0), QUICK, Silent(), spans=(DAY,)).horizons[round(DAY)].calibrations[Target.CPU].reach
    assert reach is not None
    assert reach > 0
