"""A series cut into ticks: edges on the decisions, nothing after the last one, gaps as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mora.bounds.ticks import Bounds, cut


@pytest.mark.parametrize(
    ("step", "horizon", "ticks", "samples"),
    [(1800, 43_200, 12, 2), (300, 86_400, 24, 12), (60, 900, 1, 15), (7200, 86_400, 12, 1)],
)
def test_a_window_is_a_whole_number_of_ticks_of_about_an_hour(
    step: int, horizon: int, ticks: int, samples: int
) -> None:
    found = cut(np.ones((1, 500)), step_seconds=step, decisions=np.array([400]), horizon_seconds=horizon)
    assert found.horizon == ticks
    assert found.seconds == horizon / ticks
    assert found.expected == samples
    assert found.hours == horizon / ticks / 3600


def test_edges_fall_on_the_decisions_and_nothing_after_the_last_is_known() -> None:
    values = np.arange(100.0)[None]
    found = cut(values, step_seconds=3600, decisions=np.array([24, 48, 72]), horizon_seconds=86_400)
    assert list(found.edges[found.decisions]) == [24, 48, 72]
    assert np.nanmax(found.samples) == 71


def test_a_missing_sample_stays_missing_and_a_negative_one_is_none() -> None:
    values = np.array([[1.0, np.nan, -2.0, 3.0]])
    found = cut(values, step_seconds=3600, decisions=np.array([4]), horizon_seconds=3600)
    assert np.array_equal(found.samples[:, 0, 0], [1.0, np.nan, 0.0, 3.0], equal_nan=True)


def test_hours_reach_into_at_least_one_tick() -> None:
    found = cut(np.ones((1, 48)), step_seconds=3600, decisions=np.array([24]), horizon_seconds=86_400)
    assert [found.of_hours(hours) for hours in (0.1, 1.0, 1.5, 24.0)] == [1, 1, 2, 24]


def test_the_age_of_a_series_counts_from_its_first_sample() -> None:
    values = np.array([[np.nan, np.nan, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    found = cut(values, step_seconds=3600, decisions=np.array([4]), horizon_seconds=3600)
    assert found.ages().T.tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4]]
    carried = replace(found, aged=np.array([5, 0]))
    assert carried.ages().T.tolist() == [[5, 6, 7, 8, 9], [0, 1, 2, 3, 4]]


def test_the_bounds_of_one_series_are_its_row() -> None:
    many = Bounds(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.8, 0.9], [0.7, 0.6]]))
    assert many.of(1).requests.tolist() == [3.0, 4.0]
    assert many.of(1).confidence.tolist() == [0.7, 0.6]
