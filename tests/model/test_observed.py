"""Which windows of a history validate, when, and that nothing of it looks ahead."""

from __future__ import annotations

import numpy as np
import pytest

from mora.backtest.history import History, history_of, history_of_series
from mora.backtest.policy import Series
from mora.domain import Target
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import PLAIN
from mora.forecasters.keras_fit import LstmSettings
from mora.model import TrainSettings
from mora.model import observed as room
from mora.model.calibration import ValidationWindow, weights_of
from mora.seams import Silent
from tests import fakes_learning as fakes

QUICK = TrainSettings(options={"lstm": LstmSettings(max_epochs=2)})


def history(days: float = 9.0) -> History:
    return history_of(fakes.observed(days=days), "frontend")


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
