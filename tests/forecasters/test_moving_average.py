"""A moving average of twelve steps with the slope of twenty-four."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Target
from mora.domain.learning import AtRow
from mora.forecasters.moving_average import MovingAverageForecaster, extrapolated
from tests.forecasters.histories import CPU, MEMORY, fitted, grid, past

USE = st.lists(st.floats(0, 1e6), min_size=1, max_size=60).map(np.array)


def test_the_prediction_is_the_average_and_the_trend_times_the_periods_ahead() -> None:
    use = np.concatenate([np.full(40, 99.0), 5.0 + 2.0 * np.arange(24)])
    assert extrapolated(use, 3) == pytest.approx(use[-12:].mean() + 2.0 * np.array([1, 2, 3]))


def test_a_falling_line_ends_at_nothing_and_the_mean_is_that_of_the_path() -> None:
    columns = {CPU: np.linspace(10, 0.1, 48), MEMORY: np.full(48, 7.0)}
    one = grid(columns, 24, 3600)
    (found,) = fitted(MovingAverageForecaster(), past(one)).levels([AtRow(one, len(one))])
    path = extrapolated(one.filled[CPU], 24)
    assert path[-1] == 0
    assert found[Target.CPU][0] == pytest.approx(path.mean())
    assert found[Target.MEMORY] == (7.0, 7.0)


@given(USE, st.integers(1, 24))
def test_it_is_never_below_zero_and_grows_with_the_use(use: np.ndarray, steps: int) -> None:
    path = extrapolated(use, steps)
    assert path.shape == (steps,)
    assert (path >= 0).all()
    assert extrapolated(3 * use, steps) == pytest.approx(3 * path, rel=1e-6, abs=1e-3)


@given(st.floats(0, 1e6), st.integers(1, 60))
def test_of_a_constant_it_is_the_constant(level: float, count: int) -> None:
    assert extrapolated(np.full(count, level), 5) == pytest.approx(np.full(5, level))
