"""Which windows of a history validate, when, and that nothing of it looks ahead."""

from __future__ import annotations

import numpy as np
import pytest

from mora.backtest.history import History, history_of, history_of_series
from mora.backtest.policy import Series
from mora.domain import Target
from mora.domain.learning import DAY_SECONDS
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import HOUR_SECONDS, PLAIN
from mora.forecasters.keras_fit import LstmSettings
from mora.model import TrainSettings, learners
from mora.model import observed as room
from mora.model.calibration import ValidationWindow, weights_of
from mora.seams import Silent
from tests import fakes_learning as fakes

QUICK = TrainSettings(options={"lstm": LstmSettings(max_epochs=2)})


def history(days: float = 9.0) -> History:
    return history_of(fakes.observed(days=days), "frontend")


@pytest.mark.parametrize("seconds", [HOUR_SECONDS, DAY_SECONDS])
def test_validation_windows_choose_before_they_score_and_each_begins_with_a_sample(seconds: float) -> None:
    past = history()
    grid = past.grid(seconds)
    first, second = len(grid) // 2, len(grid) * 3 // 4
    origins = room._origins(grid, first, second)
    assert all(first <= row <= second - grid.steps for row, role in origins if role == "choose")
    assert all(second <= row <= len(grid) - grid.steps for row, role in origins if role == "score")
    assert min(sum(role == which for _, role in origins) for which in ("choose", "score")) >= 10
    for row, _ in origins:
        sample = past.sample(grid, row)
        assert sample * 300 + past.series.start == pytest.approx(grid.start_seconds + row * grid.step_seconds)


def test_prophet_is_renewed_once_a_week_and_knows_nothing_of_the_moment_it_is_asked_about() -> None:
    cheap = learners.refitted(learners.chosen(QUICK))
    assert set(cheap) == {"prophet", "naive"}
    renewed = room._Renewed(history(16), cheap, 0)
    start = renewed.grid.start_seconds
    oldest = start + 2 * DAY_SECONDS
    first = renewed.before(oldest + 6.9 * DAY_SECONDS, oldest)
    assert first is renewed.before(oldest, oldest)
    assert first is not renewed.before(oldest + 7 * DAY_SECONDS, oldest)
    # Fitted on the first two days alone, whatever came later.
    short = room._Renewed(history(16).before(2 * 288), cheap, 0).before(oldest, oldest)
    assert short["prophet"].save() == first["prophet"].save()
    assert set(renewed.before(start, start)) == {"naive"}


def test_with_too_few_validation_windows_the_last_horizon_is_used_with_a_reason() -> None:
    window = ValidationWindow("1", "choose", {"naive": 1.0, "prophet": 1.0, "slots": 1.0}, truth=1.0, needed=1.0)
    weights = weights_of(Target.CPU, [window, window], QUICK, "cpu over the next 24h", failed=("lstm",), plain=PLAIN)
    assert weights.shares == {"naive": 1.0}
    assert weights.reasons[0].text.startswith(
        "2 validation windows are too few to weigh forecasts of cpu over the next"
    )
    judged = weights_of(Target.CPU, [window] * 3, QUICK, "cpu", failed=("lstm",), plain=PLAIN)
    # A plain forecast that a window lacks (last, yesterday) is left out.
    assert judged.shares == {"prophet": 0.4, "naive": 0.3, "slots": 0.3}


@pytest.mark.slow
def test_a_moment_is_forecast_the_same_whatever_comes_after_it() -> None:
    use = history(10).columns[TARGET_COLUMNS[Target.CPU]].copy()
    use[400:520] = np.nan
    use[1500] = np.nan
    # CPU alone, with gaps, as a trace may be.
    past = history_of_series(Series("a", 300, 0, use, None))
    learned = room.learn(past.before(8 * 288), QUICK, Silent())
    assert sorted(learned.horizons) == [3600, 86_400]
    assert learned.samples_filled == 9
    for seconds, horizon in learned.horizons.items():
        now, later = past.before(9 * 288).grid(seconds), past.grid(seconds)
        parts = horizon.parts(now, Target.CPU, learned.forecasters, len(now))
        assert parts == horizon.parts(later, Target.CPU, learned.forecasters, len(now))
        assert {"prophet", "lstm", "naive", "last", "slots"} <= set(parts)
        assert sum(horizon.calibrations[Target.CPU].shares.values()) == pytest.approx(1.0)
        assert list(horizon.calibrations) == list(horizon.learned_shares) == [Target.CPU]
        assert horizon.bound_costs["windows"] >= 10
        assert horizon.bound_costs["mora"] > 1.0
