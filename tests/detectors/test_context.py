"""What surrounds a sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.detectors.context import DAY_SECONDS, lagged, recency, robust_scale, rolling, slots_of, usual_day


@given(seed=st.integers(0, 999), rows=st.integers(1, 60), window=st.integers(1, 70))
@settings(max_examples=60, deadline=None)
def test_rolling_is_mean_and_deviation_of_the_known_samples_of_each_window(seed: int, rows: int, window: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(5, 2, (rows, 2))
    if seed % 2:
        values[rng.uniform(size=(rows, 2)) < 0.2] = np.nan
    (mean, deviation), again = rolling(values, window, 3)
    np.testing.assert_array_equal(again, rolling(values, 3)[0])
    for at in range(rows):
        for column in range(2):
            inside = values[max(0, at - window + 1) : at + 1, column]
            inside = inside[np.isfinite(inside)]
            if len(inside):
                assert mean[at, column] == pytest.approx(inside.mean())
                assert deviation[at, column] == pytest.approx(inside.std(), abs=1e-6)
            else:
                assert np.isnan(mean[at, column])


def test_what_is_lagged_begins_with_the_first_value() -> None:
    values = np.arange(4.0)[:, None]
    assert lagged(values, 2)[:, 0].tolist() == [0, 0, 0, 1]
    assert lagged(values, 9)[:, 0].tolist() == [0, 0, 0, 0]


def test_a_spread_is_never_zero() -> None:
    values = np.column_stack([np.full(100, 7.0), np.zeros(100), np.r_[np.zeros(99), 50.0], np.arange(100.0)])
    middle, spread = robust_scale(values)
    assert middle.tolist() == [7.0, 0.0, 0.0, 49.5]
    assert robust_scale(values, 0.05)[1][0] == pytest.approx(0.35)
    assert (spread > 0).all()
    assert spread[0] == 0.007


def test_a_day_that_comes_back_is_learnt_and_noise_is_not() -> None:
    rng = np.random.default_rng(1)
    seconds = np.arange(0, 6 * DAY_SECONDS, 600)
    daily = np.sin(2 * np.pi * seconds / DAY_SECONDS) + rng.normal(0, 0.1, len(seconds))
    day = usual_day(seconds, np.column_stack([daily, rng.normal(3, 1, len(seconds))]))
    usual = day.at(seconds)
    assert np.abs(usual[:, 0] - np.sin(2 * np.pi * seconds / DAY_SECONDS)).max() < 0.2
    assert len(set(usual[:, 1])) == 1
    assert day.spread[0] == pytest.approx(0.1, rel=0.3)
    assert day.spread[1] == pytest.approx(1.0, rel=0.1)


def test_one_day_shows_no_usual_day() -> None:
    seconds = np.arange(0, DAY_SECONDS, 600)
    day = usual_day(seconds, np.sin(2 * np.pi * seconds / DAY_SECONDS)[:, None])
    assert len(set(day.levels[:, 0])) == 1


def test_what_is_recent_weighs_by_its_weight_over_what_is_known() -> None:
    values = np.array([[1.0], [2.0], [np.nan], [np.nan], [np.nan], [5.0]])
    found = recency(values, np.array([0.5, 0.3, 0.2]))[:, 0]
    np.testing.assert_allclose(found[[0, 1, 2, 3, 5]], [1.0, 1.3 / 0.8, 0.8 / 0.5, 2.0, 5.0])
    assert np.isnan(found[4])


def test_every_moment_has_a_slot() -> None:
    assert slots_of(np.array([0.0, 1800.0, DAY_SECONDS - 1e-9, -1.0]), 48).tolist() == [0, 1, 47, 47]
