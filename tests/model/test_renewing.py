"""Which windows of a history validate, and what was known of it when."""

from __future__ import annotations

import pytest

from mora.backtest.history import History, history_of
from mora.domain import Target
from mora.domain.learning import DAY_SECONDS
from mora.forecasters.horizon import HOUR_SECONDS
from mora.model import TrainSettings, learners
from mora.model.renewing import Renewed, origins_of
from tests import fakes_learning as fakes


def history(days: float = 9.0) -> History:
    return history_of(fakes.observed(days=days), "frontend")


@pytest.mark.parametrize("seconds", [HOUR_SECONDS, DAY_SECONDS])
def test_validation_windows_choose_before_they_score_and_each_begins_with_a_sample(seconds: float) -> None:
    past = history()
    grid = past.grid(seconds)
    first, second = len(grid) // 2, len(grid) * 3 // 4
    origins = origins_of(grid, first, second)
    assert all(first <= row <= second - grid.steps for row, role in origins if role == "choose")
    assert all(second <= row <= len(grid) - grid.steps for row, role in origins if role == "score")
    assert min(sum(role == which for _, role in origins) for which in ("choose", "score")) >= 10
    for row, _ in origins:
        sample = past.sample(grid, row)
        assert sample * 300 + past.series.start == pytest.approx(grid.start_seconds + row * grid.step_seconds)


def test_prophet_is_renewed_once_a_week_and_knows_nothing_of_the_moment_it_is_asked_about() -> None:
    cheap = learners.refitted(learners.chosen(TrainSettings()))
    assert set(cheap) == {"prophet", "naive"}
    targets = (Target.CPU, Target.MEMORY)
    renewed = Renewed(history(16).grid(DAY_SECONDS), targets, cheap, 0)
    start = renewed.grid.start_seconds
    oldest = start + 2 * DAY_SECONDS
    first = renewed.before(oldest + 6.9 * DAY_SECONDS, oldest)
    assert first is renewed.before(oldest, oldest)
    assert first is not renewed.before(oldest + 7 * DAY_SECONDS, oldest)
    # Fitted on the first two days alone, whatever came later.
    short = Renewed(history(16).before(2 * 288).grid(DAY_SECONDS), targets, cheap, 0).before(oldest, oldest)
    assert short["prophet"].save() == first["prophet"].save()
    assert set(renewed.before(start, start)) == {"naive"}
