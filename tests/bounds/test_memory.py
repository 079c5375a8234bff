from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.bounds.memory import memory_bounds, memory_bounds_many, memory_requests
from tests.bounds.making import bumpy, every

DAY = 86400


@pytest.mark.parametrize("step", [60, 420, 900, 3600])
def test_no_request_is_below_the_peak_of_the_last_seven_days(step: int) -> None:
    values = bumpy(step_seconds=step, gaps=0.2)
    decisions = every(DAY, warmup_seconds=DAY, step_seconds=step, count=len(values))
    found = memory_requests(values, step_seconds=step, decisions=decisions)
    week = 7 * DAY // step
    peaks = [np.nanmax(values[max(0, at - week) : at]) for at in decisions]
    assert np.all(found >= np.array(peaks))


def test_nothing_that_comes_later_changes_a_request() -> None:
    values = bumpy()
    decisions = every(DAY, warmup_seconds=3 * DAY, step_seconds=900, count=len(values))
    whole = memory_requests(values, step_seconds=900, decisions=decisions)
    for number in (4, 11):
        cut = int(decisions[number])
        np.testing.assert_array_equal(
            memory_requests(values[:cut], step_seconds=900, decisions=decisions[: number + 1]), whole[: number + 1]
        )


def test_steady_memory_is_given_an_eighth_and_swinging_memory_a_quarter() -> None:
    steady = np.full(2000, 4e8)
    assert memory_requests(steady, step_seconds=900, decisions=np.array([2000]))[0] == pytest.approx(
        4e8 * 1.116, rel=1e-3
    )
    swinging = 4e8 * (0.75 + 0.25 * np.sin(np.arange(2000) / 15))
    swinging[::50] *= 1.4
    found = memory_requests(swinging, step_seconds=900, decisions=np.array([2000]))[0]
    assert 1.2 < found / swinging.max() < 1.35


def test_a_young_series_leans_on_a_plain_rule() -> None:
    swinging = 4e8 * (0.75 + 0.25 * np.sin(np.arange(96 * 30) / 15))
    swinging[::50] *= 1.4
    young, older, old = memory_requests(swinging, step_seconds=900, decisions=np.array([20, 500, 2880]))
    assert young / swinging[:20].max() == pytest.approx(1.15, rel=5e-3)
    assert 1.16 < older / swinging[:500].max() < old / swinging.max()


def test_a_higher_peak_of_the_second_week_is_believed_in_part() -> None:
    values = np.full(14 * 96, 1e8)
    values[100] = 4e8
    found = memory_requests(values, step_seconds=900, decisions=np.array([14 * 96]))[0]
    assert 1.5e8 < found < 4e8


def test_a_week_of_gap_leaves_the_last_known_week() -> None:
    values = np.concatenate([np.full(10 * 96, 1e8), np.full(10 * 96, np.nan)])
    before, after = memory_requests(values, step_seconds=900, decisions=np.array([10 * 96, 20 * 96]))
    assert before == after


@pytest.mark.parametrize("horizon", [900, 86_400, 2 * 86_400])
def test_every_number_has_a_confidence_from_the_first_one_on(horizon: int) -> None:
    found = memory_bounds(
        bumpy(days=1, step_seconds=300, gaps=0),
        step_seconds=300,
        decisions=np.arange(1, 288, 7, dtype=np.int64),
        horizon_seconds=horizon,
    )
    assert (np.isfinite(found.requests) & np.isfinite(found.confidence)).all()


def test_nothing_known_is_no_number() -> None:
    values = np.full(960, np.nan)
    values[500:] = 1e8
    found = memory_requests(values, step_seconds=900, decisions=np.array([400, 600]))
    assert np.isnan(found[0])
    assert found[1] > 1e8
    assert memory_requests(np.zeros(100), step_seconds=900, decisions=np.array([50])).tolist() == [0.0]


@given(st.lists(st.floats(1.0, 1e12), min_size=1, max_size=60), st.integers(-20, 20))
def test_scaling_the_history_scales_the_request(use: list[float], power: int) -> None:
    values = np.array(use)
    at = np.array([len(values)])
    scaled = memory_requests(values * 2.0**power, step_seconds=3600, decisions=at)
    np.testing.assert_allclose(
        scaled, 2.0**power * memory_requests(values, step_seconds=3600, decisions=at), rtol=1e-12
    )


@pytest.mark.parametrize("horizon", [DAY, 3600])
def test_many_series_at_once_are_each_as_alone(horizon: int) -> None:
    values = 1e8 * np.array([bumpy(days=10, seed=seed) for seed in range(5)])
    values[1] = 0.0
    values[2] = np.nan
    values[3, : 4 * 96] = np.nan
    decisions = every(horizon, warmup_seconds=3 * DAY, step_seconds=900, count=values.shape[1])
    found = memory_bounds_many(values, step_seconds=900, decisions=decisions, horizon_seconds=horizon)
    for number, one in enumerate(values):
        alone = memory_bounds(one, step_seconds=900, decisions=decisions, horizon_seconds=horizon)
        np.testing.assert_array_equal(found.of(number).requests, alone.requests)
        np.testing.assert_array_equal(alone.requests, memory_requests(one, step_seconds=900, decisions=decisions))
        np.testing.assert_allclose(found.of(number).confidence, alone.confidence, rtol=1e-12)
