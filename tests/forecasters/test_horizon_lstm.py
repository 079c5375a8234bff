"""The network of a horizon: scale-free, blind to what comes later, saved as plain arrays."""

from __future__ import annotations

import numpy as np
import pytest

from mora.backtest.history import history_of
from mora.domain import Target
from mora.domain.learning import DAY_SECONDS, AtRow, Floats, HorizonGrid, Saved
from mora.errors import NotEnoughData
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import lay
from mora.forecasters.horizon_lstm import HorizonLstm, first_row, fit_horizon_lstm, window_inputs
from mora.forecasters.keras_fit import LstmSettings
from mora.forecasters.lstm import LstmForecaster
from tests import fakes_learning as fakes
from tests.model import explaining

CPU, MEMORY = TARGET_COLUMNS[Target.CPU], TARGET_COLUMNS[Target.MEMORY]
BOTH = (Target.CPU, Target.MEMORY)
QUICK = LstmSettings(max_epochs=3)


def grid_of(days: float = 16, *, scale: float = 1.0, use: Floats | None = None) -> HorizonGrid:
    rng = np.random.default_rng(3)
    hours = np.arange(int(days * 24))
    wave = (1 + 0.5 * np.sin(2 * np.pi * hours / 24)) * rng.uniform(0.8, 1.2, len(hours))
    columns = {CPU: scale * (wave if use is None else use), MEMORY: 1e8 * (1 + 0.1 * wave)}
    return lay(columns, sample_seconds=3600, start_seconds=0.0, horizon_seconds=DAY_SECONDS)


@pytest.fixture(scope="module")
def fitted() -> HorizonLstm:
    return fit_horizon_lstm(grid_of(), BOTH, first=8 * 24, second=12 * 24, settings=QUICK, seed=0)


def test_inputs_have_no_scale_and_see_nothing_from_their_row_on() -> None:
    grid, rows = grid_of(), np.array([200, 300])
    idle = {CPU: 0.02, MEMORY: 1.0}
    inputs, levels = window_inputs(grid, rows, BOTH, (CPU, MEMORY), (7 * DAY_SECONDS,), idle)
    assert inputs.shape == (2, 30, 4)
    assert levels[0, 0] == pytest.approx(grid.filled[CPU][176:200].mean())
    larger, _ = window_inputs(grid_of(scale=50), rows, BOTH, (CPU, MEMORY), (7 * DAY_SECONDS,), {CPU: 1.0, MEMORY: 1.0})
    np.testing.assert_allclose(larger, inputs, atol=1e-9)
    later = grid.filled[CPU].copy()
    later[200:] = 99.0
    blind, _ = window_inputs(grid_of(use=later), rows[:1], BOTH, (CPU, MEMORY), (7 * DAY_SECONDS,), idle)
    np.testing.assert_array_equal(blind, inputs[:1])


def test_what_followed_a_week_ago_stands_beside_the_window() -> None:
    grid = grid_of()
    inputs, levels = window_inputs(
        grid, np.array([300]), [Target.CPU], (CPU,), (7 * DAY_SECONDS,), {CPU: 0.0, MEMORY: 0.0}
    )
    # The window's last step is 299; a day after it, a week ago, is 299 + 24 - 168.
    assert np.exp(inputs[0, -1, 1]) * levels[0, 0] == pytest.approx(grid.filled[CPU][299 + 24 - 168])
    assert first_row(grid, (7 * DAY_SECONDS,)) == 30 + 168 - 24
    assert first_row(grid, ()) == 30


def test_too_short_a_history_is_refused_with_its_numbers() -> None:
    with pytest.raises(NotEnoughData, match="needs 12 windows of 30 steps in both of its parts"):
        fit_horizon_lstm(grid_of(4), BOTH, first=48, second=72, settings=QUICK, seed=0)


@pytest.mark.slow
def test_it_forecasts_mean_and_p95_of_every_target_in_its_unit(fitted: HorizonLstm) -> None:
    grid = grid_of()
    assert fitted.can_forecast(grid, len(grid))
    assert not fitted.can_forecast(grid, 29)
    found = fitted.at(grid, [len(grid), 300])
    for target, level in ((Target.CPU, 1.0), (Target.MEMORY, 1.1e8)):
        for mean, high in found[target]:
            assert mean == pytest.approx(level, rel=0.2)
            assert high >= mean


@pytest.mark.slow
def test_a_service_that_has_grown_fiftyfold_is_forecast_fifty_times_as_much(fitted: HorizonLstm) -> None:
    small = fitted.at(grid_of(), [384])[Target.CPU][0][0]
    # What counts as idle was learned in the old unit, hence not to the last digit.
    assert fitted.at(grid_of(scale=50), [384])[Target.CPU][0][0] == pytest.approx(50 * small, rel=0.02)


@pytest.mark.slow
def test_its_arrays_give_the_same_numbers_to_the_last_bit_of_single_precision(fitted: HorizonLstm) -> None:
    again = HorizonLstm.from_arrays(fitted.arrays())
    assert (again.columns, again.lags_seconds, again.idle) == (fitted.columns, fitted.lags_seconds, fitted.idle)
    assert again.at(grid_of(), [384]) == fitted.at(grid_of(), [384])
    # As models of schema 1 have them.
    old = {name.replace("horizon_", "hold_"): array for name, array in fitted.arrays().items()}
    restored = LstmForecaster().restore(Saved(arrays=old))
    assert isinstance(restored, HorizonLstm)
    assert restored.at(grid_of(), [384]) == fitted.at(grid_of(), [384])


@pytest.mark.slow
def test_a_network_of_another_horizon_has_no_forecast(fitted: HorizonLstm) -> None:
    hours = lay({CPU: np.ones(9000), MEMORY: np.ones(9000)}, sample_seconds=300, start_seconds=0, horizon_seconds=3600)
    assert not fitted.can_forecast(hours, len(hours))
    assert fitted.levels([AtRow(hours, len(hours))]) == [{}]


@pytest.mark.slow
def test_rows_of_several_grids_are_answered_in_their_order(fitted: HorizonLstm) -> None:
    one, other = grid_of(), grid_of(scale=2.0)
    places = [AtRow(one, 384), AtRow(other, 384), AtRow(one, 1), AtRow(one, 300)]
    levels = fitted.levels(places)
    assert levels[2] == {}
    assert levels[0][Target.CPU] == pytest.approx(fitted.at(one, [384])[Target.CPU][0])
    assert levels[1][Target.CPU] == pytest.approx(fitted.at(other, [384])[Target.CPU][0])
    assert levels[3][Target.MEMORY] == pytest.approx(fitted.at(one, [300])[Target.MEMORY][0])


def test_parts_of_its_window_add_up_to_the_forecast_and_so_do_their_logarithms() -> None:
    grid = fakes_history()
    lstm = explaining.lstm(24)
    rows, background = [80, 120, len(grid)], [70, 90, 100]
    found = lstm.contributions(grid, rows, background, seed=0)
    for target in BOTH:
        one = found[target]
        means = [mean for mean, _ in lstm.at(grid, rows)[target]]
        assert one.base == pytest.approx(np.mean([mean for mean, _ in lstm.at(grid, background)[target]]))
        np.testing.assert_allclose(one.forecasts, means, rtol=1e-9)
        # The level has what is not of the window: no remainder is hidden in it.
        column, idle = TARGET_COLUMNS[target], lstm.idle[TARGET_COLUMNS[target]]
        levels = np.array([grid.filled[column][row - 24 : row].mean() for row in rows])
        changes = np.log((np.array(means) + idle) / (levels + idle))
        ratio = np.log((np.array(means) + idle) / (one.base + idle))
        logs = one.amounts / (np.array(means) - one.base)[:, None] * ratio[:, None]
        windows = [mean for mean, _ in lstm.at(grid, background)[target]]
        levels_then = np.array([grid.filled[column][row - 24 : row].mean() for row in background])
        usual = np.log((np.array(windows) + idle) / (levels_then + idle)).mean()
        np.testing.assert_allclose(logs[:, 1:].sum(axis=1), changes - usual, atol=1e-6)
    assert found[Target.CPU].names[:3] == ("mean of the last 24h", "CPU of the last 10h", "CPU 30h to 10h before")
    assert found[Target.CPU].names[-1] == "memory a day earlier"


def fakes_history() -> HorizonGrid:
    return history_of(fakes.observed(days=6), "frontend").grid(DAY_SECONDS)
