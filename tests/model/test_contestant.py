"""What `mora train` learns, as an entrant: the same numbers that a training of the same samples recommends by."""

from __future__ import annotations

import pytest

from mora import registry
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
