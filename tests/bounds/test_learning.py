from __future__ import annotations

import numpy as np
import pytest

from mora.bounds.carry import Carry
from mora.bounds.learning import UNMET_PRICE, Copy, Mix, calibrated, costs, faded_losses, leads, loss_units, mixed
from mora.bounds.levels import count
from mora.bounds.ticks import Ticks, cut
from tests.bounds.making import bumpy


def hourly(values: np.ndarray[tuple[int], np.dtype[np.float64]], horizon_hours: int = 1) -> Ticks:
    decisions = np.array([len(values)])
    return cut(values[None], step_seconds=300, decisions=decisions, horizon_seconds=horizon_hours * 3600)


def test_the_multiplier_is_the_one_that_would_have_been_cheapest() -> None:
    rng = np.random.default_rng(4)
    values = rng.gamma(2.0, 0.3, 60 * 288)
    ticks = hourly(values)
    bases = np.full((len(ticks.samples) + 1, 1, 1), 0.5)
    slow = Copy(half_life_hours=1e6, prior=1.0, prior_hours=1.0)
    multiplier = calibrated(bases, ticks, Carry(), copies=(slow,))[0, -1, 0, 0] / 0.5
    grid = np.linspace(0.5, 6, 600)
    cost = [0.5 * m + UNMET_PRICE * float(np.maximum(values - 0.5 * m, 0).mean()) for m in grid]
    assert multiplier == pytest.approx(float(grid[int(np.argmin(cost))]), rel=0.03)


def test_a_day_is_scored_while_it_runs() -> None:
    assert leads(hourly(np.ones(288 * 2), horizon_hours=24)) == (0, 6, 12, 18, 23)
    assert leads(hourly(np.ones(288 * 2))) == (0,)


def test_what_an_hour_cost_is_what_was_reserved_and_twenty_times_what_lay_above() -> None:
    values = np.concatenate([np.ones(12), np.array([3.0] * 6 + [0.0] * 6)])
    ticks = hourly(values)
    assert costs(np.full((3, 1, 1), 2.0), ticks, Carry(), "")[:, 0, 0] == pytest.approx([2.0, 2.0 + 20 * 0.5])


def test_an_hour_without_samples_costs_nothing_that_is_known() -> None:
    values = np.concatenate([np.ones(12), np.full(12, np.nan)])
    assert np.isnan(costs(np.full((3, 1, 1), 2.0), hourly(values), Carry(), ""))[:, 0, 0].tolist() == [False, True]


def test_a_mixture_goes_to_what_was_cheap_and_back_when_it_no_longer_is() -> None:
    ticks = hourly(np.ones(288 * 40))
    rows = len(ticks.samples) + 1
    requests = np.tile([1.0, 3.0], (rows, 1, 1))
    cost = requests[1:].copy()
    cost[rows // 2 :] = cost[rows // 2 :, :, ::-1]
    found = mixed(
        requests, faded_losses(cost, ticks, 48.0, Carry(), ""), np.ones((rows, 1)), Mix(rate=0.2, half_life_hours=48)
    )[:, 0]
    assert found[0] == 2.0
    assert found[rows // 2] == pytest.approx(1.0, abs=0.01)
    assert found[-1] == pytest.approx(3.0, abs=0.01)


def test_quantiles_of_the_past_are_those_of_the_samples_within_a_bucket() -> None:
    values = bumpy(step_seconds=300, days=10, gaps=0.0)
    ticks = cut(values[None], step_seconds=300, decisions=np.array([len(values)]), horizon_seconds=3600)
    past = count(ticks, Carry())
    (found,) = past.window_quantiles((168.0,), 0.95)
    for row in (100, 200, 240):
        window = values[max(0, row - 168) * 12 : row * 12]
        exact = np.nanquantile(window, 0.95, method="inverted_cdf")
        assert exact <= found[row, 0] * (1 + 1e-9) <= exact * 1.031


def test_peaks_of_the_past_are_exact() -> None:
    values = bumpy(step_seconds=300, days=6, gaps=0.0)[: 3 * 288]
    ticks = cut(values[None], step_seconds=300, decisions=np.array([len(values)]), horizon_seconds=3600)
    past = count(ticks, Carry())
    for hours in (1, 3, 5, 24, 100):
        found = past.window_peaks(float(hours))[:, 0]
        assert np.isnan(found[0])
        for row in (1, 7, 40, 72):
            assert found[row] == values[max(0, row - hours) * 12 : row * 12].max()
    yesterday = past.window_peaks(1.0, ending_hours_ago=23.0)[:, 0]
    assert yesterday[30] == values[6 * 12 : 7 * 12].max()


def test_losses_count_by_what_the_best_wastes_and_more_in_young_series() -> None:
    ticks = hourly(np.ones(288 * 60))
    rows = len(ticks.samples) + 1
    mean_use = np.ones((rows, 1))

    def unit(wasted: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        cost = np.tile([1.0 + wasted, 9.0], (rows - 1, 1, 1))
        return loss_units(faded_losses(cost, ticks, 1e6, Carry(), ""), cost, mean_use, ticks, 1e6, Carry(), "")[:, 0]

    old = np.sqrt(1 + 336 / (24 * 60))
    assert unit(3.0)[-1] * old == pytest.approx(3.0, rel=0.01)
    assert unit(0.1)[-1] * old == pytest.approx(0.1, rel=0.1)
    assert unit(0.0)[-1] * old == pytest.approx(0.05, rel=0.01)
    assert unit(2.0)[24] * 3 < unit(2.0)[-1]
