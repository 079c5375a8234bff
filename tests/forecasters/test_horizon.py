"""Grids of a horizon and the plain forecasts on them: what they are, and that they look back only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain.learning import DAY_SECONDS, Floats, HorizonGrid
from mora.errors import NotEnoughData
from mora.forecasters.curve import Curve, curve_at
from mora.forecasters.horizon import (
    LAST,
    PLAIN,
    SLOTS,
    YESTERDAY,
    lay,
    path_at,
    plain_at,
    truth_at,
)
from mora.fusion import NAIVE

USE = "cpu_cores_value"


def grid_of(use: Floats, horizon_hours: float = 24.0, sample_seconds: float = 300.0) -> HorizonGrid:
    return lay({USE: use}, sample_seconds=sample_seconds, start_seconds=0.0, horizon_seconds=horizon_hours * 3600)


def daily(days: float, sample_seconds: float = 300.0) -> Floats:
    seconds = np.arange(int(days * DAY_SECONDS / sample_seconds)) * sample_seconds
    wave: Floats = 1.0 + 0.5 * np.sin(2 * np.pi * seconds / DAY_SECONDS)
    return wave


# --- the grid --------------------------------------------------------------------------------------------------------


def test_the_last_step_ends_with_the_last_sample_and_a_first_one_that_is_not_whole_is_dropped() -> None:
    use = np.arange(30.0)
    grid = grid_of(use)  # steps of 12 samples
    assert len(grid) == 2
    assert grid.means[USE].tolist() == [use[6:18].mean(), use[18:].mean()]
    assert grid.start_seconds == 6 * 300


def test_missing_samples_are_left_out_of_a_mean_and_missing_steps_are_filled_with_the_last_known_one() -> None:
    use = np.arange(48.0)
    use[12:24] = np.nan
    use[25] = np.nan
    grid = grid_of(use)
    assert np.isnan(grid.means[USE][1])
    assert grid.filled[USE][1] == grid.means[USE][0]
    assert grid.means[USE][2] == np.nanmean(use[24:36])


@given(st.integers(1, 400), st.sampled_from([10.0, 45.0, 300.0, 900.0, 3600.0]), st.sampled_from([1.0, 24.0, 6.0]))
def test_every_sample_is_in_one_step_of_about_its_length(
    count: int, sample_seconds: float, horizon_hours: float
) -> None:
    grid = grid_of(np.ones(count), horizon_hours, sample_seconds)
    assert grid.step_seconds >= sample_seconds or grid.steps == 1
    assert abs(grid.start_seconds + len(grid) * grid.step_seconds - count * sample_seconds) < 1e-6
    assert not len(grid) or np.nanmax(grid.means[USE]) == 1.0


def test_nothing_known_is_refused() -> None:
    with pytest.raises(NotEnoughData, match="no known sample"):
        grid_of(np.full(100, np.nan))


def test_a_horizon_of_which_most_was_not_recorded_has_no_truth() -> None:
    use = np.ones(3 * 288)
    use[300 : 288 + 200] = np.nan
    grid = grid_of(use)
    assert truth_at(grid, USE, 0) == (1.0, 1.0)
    assert truth_at(grid, USE, 24) is None
    assert truth_at(grid, USE, 49) is None


# --- the plain forecasts ----------------------------------------------------------------------------------------------


def test_each_plain_forecast_is_what_its_name_says() -> None:
    use = daily(8) + np.repeat(np.arange(8.0), 288)
    hour = grid_of(use, 1.0)
    now = len(hour)
    paths = {name: path_at(hour, USE, now, name) for name in PLAIN}
    assert paths[NAIVE] == pytest.approx(use[-12:].mean())
    assert paths[LAST] == pytest.approx(use[-1])
    assert paths[YESTERDAY] == pytest.approx(use[-288:-276])
    assert paths[SLOTS] == pytest.approx(
        np.median([use[-288 * d : 288 * (1 - d) - 276 or None][:12] for d in range(1, 8)], 0)
    )


def test_of_a_day_yesterday_is_the_last_horizon_and_is_left_out() -> None:
    day = grid_of(daily(8))
    assert set(plain_at(day, USE, len(day))) == {NAIVE, LAST, SLOTS}


def test_a_young_history_has_fewer_plain_forecasts() -> None:
    day = grid_of(daily(8))
    assert plain_at(day, USE, 0) == {}
    assert set(plain_at(day, USE, 10)) == {NAIVE, LAST}
    assert set(plain_at(grid_of(daily(1.5), 1.0), USE, 12 * 30)) == {NAIVE, LAST, YESTERDAY}


@pytest.mark.parametrize("horizon_hours", [1.0, 24.0])
def test_later_samples_change_no_forecast(horizon_hours: float) -> None:
    use = daily(9) * np.random.default_rng(0).uniform(0.5, 1.5, 9 * 288)
    whole = grid_of(use, horizon_hours)
    curve = Curve(0.0, DAY_SECONDS, 1.0, 0.1, 0.5, (), (), 0.1)
    changed = use.copy()
    changed[6 * 288 :] = 77.0
    other = grid_of(changed, horizon_hours)
    row = 6 * whole.steps_of_day
    assert (
        _everything(whole, curve, row) == _everything(other, curve, row) == _everything(whole.before(row), curve, row)
    )


def _everything(grid: HorizonGrid, curve: Curve, row: int) -> Mapping[str, tuple[float, float]]:
    return {**plain_at(grid, USE, row), "prophet": curve_at(curve, grid, USE, row)}
