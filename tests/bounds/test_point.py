from __future__ import annotations

import numpy as np
import pytest

from mora.bounds.point import CPU_FACTOR, point_requests
from mora.bounds.ticks import Floats, Indices
from tests.bounds.making import bumpy, every

DAY, HOUR = 86400, 3600


def requests(values: Floats, decisions: Indices, *, horizon: int = DAY, step: int = 900) -> Floats:
    return point_requests(values, step_seconds=step, decisions=decisions, horizon_seconds=horizon, factor=CPU_FACTOR)


@pytest.mark.parametrize("horizon", [DAY, HOUR])
def test_nothing_that_comes_later_changes_a_request(horizon: int) -> None:
    values = bumpy(days=14)
    decisions = every(horizon, warmup_seconds=3 * DAY, step_seconds=900, count=len(values))
    whole = requests(values, decisions, horizon=horizon)
    number = len(decisions) // 2
    cut = requests(values[: decisions[number]], decisions[: number + 1], horizon=horizon)
    np.testing.assert_array_equal(cut, whole[: number + 1])
    assert np.isfinite(whole).all()


def test_the_mean_of_a_season_is_met_an_hour_ahead_and_its_factor_put_on() -> None:
    hours = np.arange(20 * 96) / 4
    values = 2 + np.sin(2 * np.pi * hours / 24)
    decisions = np.arange(15 * 96, 16 * 96, 4)
    found = requests(values, decisions, horizon=HOUR)
    means = np.array([values[at : at + 4].mean() for at in decisions])
    np.testing.assert_allclose(found, 1.2 * means, rtol=0.05)


def test_scaling_the_history_scales_the_request() -> None:
    values = bumpy()
    decisions = every(DAY, warmup_seconds=8 * DAY, step_seconds=900, count=len(values))
    np.testing.assert_allclose(requests(values * 1000, decisions), 1000 * requests(values, decisions), rtol=1e-9)


def test_little_history_leaves_the_mean_so_far() -> None:
    found = requests(np.full(96, 0.5), np.array([48, 72]))
    np.testing.assert_allclose(found, 0.6, rtol=1e-6)


def test_nothing_known_is_no_number_and_nothing_used_is_nothing() -> None:
    assert np.isnan(requests(np.full(960, np.nan), np.array([480]))).all()
    assert requests(np.zeros(960), np.array([480])) == pytest.approx(0.0)
    assert len(requests(np.ones(10), np.array([], dtype=np.int64))) == 0
