"""A fitted curve, read: moved to the level of the last horizon, with its noise in the target's unit."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from mora.forecasters.curve import LEVEL, Curve, Season, curve_at, curve_path, curve_terms, fit_line
from tests.forecasters.test_horizon import USE, grid_of

FLAT = Curve(0.0, 1.0, 1.0, 0.0, 1.0, (), (), 0.1, is_flat=True)


def test_a_curve_is_moved_to_the_level_of_the_last_horizon() -> None:
    grid = grid_of(np.full(5 * 288, 3.0))
    assert curve_path(FLAT, grid, USE, len(grid)).tolist() == [3.0] * 24
    assert curve_path(FLAT, grid, USE, len(grid), moved=False).tolist() == [1.0] * 24
    mean, high = curve_at(FLAT, grid, USE, len(grid))
    assert high == pytest.approx(mean + 1.645 * 0.1, rel=1e-3)


def test_where_the_last_horizon_was_not_recorded_a_curve_stays_where_it_is() -> None:
    use = np.full(5 * 288, 3.0)
    use[-288:] = np.nan
    grid = grid_of(use)
    assert curve_path(FLAT, grid, USE, len(grid)).mean() == 1.0


def test_a_line_through_a_line_is_that_line() -> None:
    seconds = 1.79e9 + np.arange(100.0)
    curve = fit_line(seconds, 3.0 + 0.5 * np.arange(100.0), {}, is_flat=False)
    assert curve.mean(np.array([seconds[0] + 200.0]))[0] == pytest.approx(103.0)


def test_reading_a_curve_does_not_import_prophet() -> None:
    code = (
        "import sys, numpy as np; from mora.forecasters.curve import Curve;"
        "Curve(0.0, 1.0, 1.0, 0.0, 1.0, (), (), 0.1, is_flat=True).mean(np.zeros(3));"
        "import mora.forecasters.prophet;"
        "assert not {'prophet', 'cmdstanpy', 'pandas'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_noise_of_a_curve_is_in_the_targets_unit() -> None:
    curve = Curve(0.0, 1.0, 200.0, 0.0, 1.0, (), (), 0.05, is_flat=True)
    assert curve.deviation(np.zeros(2)).tolist() == [10.0, 10.0]


def test_a_curve_s_forecast_is_the_sum_of_its_terms() -> None:
    rng = np.random.default_rng(0)
    grid = grid_of(rng.uniform(1.0, 3.0, 5 * 288))
    seasons = (Season("daily", 1.0, (0.2, 0.1)), Season("weekly", 7.0, (0.3, -0.2)))
    curve = Curve(grid.start_seconds, 4e5, 2.0, 0.5, 1.0, (0.2,), (0.3,), 0.1, seasons)
    for row in (24, 60, len(grid)):
        terms = curve_terms(curve, grid, USE, row)
        assert list(terms) == [LEVEL, "trend", "daily", "weekly"]
        assert sum(terms.values()) == pytest.approx(curve_at(curve, grid, USE, row)[0])
        # What the curve is moved by is the last horizon, and no part of the curve itself.
        assert terms[LEVEL] == pytest.approx(grid.means[USE][row - 24 : row].mean())
