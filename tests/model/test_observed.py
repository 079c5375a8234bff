"""What is held out of a history, when, and that nothing of it looks ahead."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.backtest.policy import Series
from mora.domain import Target
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import DAY_SECONDS, HOUR_SECONDS, PLAIN
from mora.forecasters.keras_fit import LstmSettings
from mora.model import TrainSettings
from mora.model import observed as room
from mora.model.calibration import ValidationWindow, weights_of
from mora.seams import Silent
from tests import fakes_learning as fakes

QUICK = TrainSettings(lstm=LstmSettings(max_epochs=2))


def history(days: float = 9.0) -> room.History:
    return room.history_of(fakes.observed(days=days), "frontend")


def test_a_history_lies_on_the_grid_that_the_backtest_replays() -> None:
    frame = fakes.observed(days=3)
    found = room.history_of(frame.sample(frac=1.0, random_state=0), "frontend")
    np.testing.assert_array_equal(found.columns["cpu_cores_value"], found.series.cpu)
    np.testing.assert_array_equal(found.columns["net_rx_bytes_value"], frame["net_rx_bytes_value"])
    assert found.targets == (Target.CPU, Target.MEMORY)


def test_two_histories_that_overlap_are_one() -> None:
    frame = fakes.observed(days=3)
    twice = pd.concat([frame.head(600), frame.tail(600).assign(experiment_id="later")], ignore_index=True)
    np.testing.assert_array_equal(
        room.history_of(twice, "frontend").columns["cpu_cores_value"], frame["cpu_cores_value"]
    )


@pytest.mark.parametrize("seconds", [HOUR_SECONDS, DAY_SECONDS])
def test_held_out_holds_choose_before_they_score_and_each_begins_with_a_sample(seconds: float) -> None:
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


def test_prophet_is_renewed_once_a_week_and_knows_nothing_of_the_moment_it_is_asked_for() -> None:
    curves = room._Curves(history(16), 0)
    start = curves.grid.start_seconds
    oldest = start + 2 * DAY_SECONDS
    first = curves.before(oldest + 6.9 * DAY_SECONDS, oldest)
    assert first is curves.before(oldest, oldest)
    assert first is not curves.before(oldest + 7 * DAY_SECONDS, oldest)
    # Fitted on the first two days alone, whatever came later.
    short = room._Curves(history(16).before(2 * 288), 0).before(oldest, oldest)
    assert first is not None
    assert short is not None
    assert short.curves == first.curves


def test_a_history_too_short_to_hold_anything_out_leans_on_the_last_hold_and_says_so() -> None:
    horizon = ValidationWindow("1", "choose", {"naive": 1.0, "prophet": 1.0, "slots": 1.0}, truth=1.0, needed=1.0)
    weights = weights_of(Target.CPU, [horizon, horizon], QUICK, "cpu over the next 24h", failed=("lstm",), plain=PLAIN)
    assert weights.shares == {"naive": 1.0}
    assert weights.reasons[0].text.startswith(
        "2 held-out stretches are too few to weigh forecasts of cpu over the next"
    )
    judged = weights_of(Target.CPU, [horizon] * 3, QUICK, "cpu", failed=("lstm",), plain=PLAIN)
    # A plain forecast that is mute on a hold (last, yesterday) is left out.
    assert judged.shares == {"prophet": 0.4, "naive": 0.3, "slots": 0.3}


@pytest.mark.slow
def test_what_was_learnt_says_the_same_of_a_moment_whatever_comes_after_it() -> None:
    use = history(10).columns[TARGET_COLUMNS[Target.CPU]].copy()
    use[400:520] = np.nan
    use[1500] = np.nan
    # CPU alone, with gaps, as a trace may be.
    past = room.history_of_series(Series("a", 300, 0, use, None))
    learnt = room.learn(past.before(8 * 288), QUICK, Silent())
    assert sorted(learnt.windows) == [3600, 86_400]
    assert learnt.samples_filled == 9
    for seconds, horizon in learnt.windows.items():
        now, later = past.before(9 * 288).grid(seconds), past.grid(seconds)
        said = horizon.parts(now, Target.CPU, learnt.prophet, len(now))
        assert said == horizon.parts(later, Target.CPU, learnt.prophet, len(now))
        assert {"prophet", "lstm", "naive", "last", "slots"} <= set(said)
        assert sum(horizon.calibrations[Target.CPU].shares.values()) == pytest.approx(1.0)
        assert list(horizon.calibrations) == list(horizon.learnt_shares) == [Target.CPU]
        assert horizon.bound_costs["holds"] >= 10
        assert horizon.bound_costs["mora"] > 1.0
