"""Scores by hand and by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.backtest.policy import Series, decide
from mora.backtest.scoring import UNMET_PRICE, Scored, oracle, score, score_series, scored_samples

HOUR = 3600


def test_a_score_by_hand() -> None:
    # Two windows of two hours: use 1, 3 | 2, 2 under reservations of 2 and 1.
    scored = Scored(np.array([1.0, 3.0, 2.0, 2.0]), np.array([0, 0, 1, 1]))
    found = score_series(scored, np.array([2.0, 1.0]))
    assert (found.used, found.reserved, found.unmet) == (8.0, 6.0, 3.0)
    assert (found.samples, found.exceeded_samples, found.windows, found.exceeded_windows) == (4, 3, 2, 2)
    assert found.reserved_per_used == 0.75
    assert found.cost == (6 + 20 * 3) / 8


def test_use_equal_to_the_reservation_is_not_over() -> None:
    found = score_series(Scored(np.array([1.0, 1.0]), np.array([0, 0])), np.array([1.0]))
    assert (found.exceeded_samples, found.exceeded_windows, found.cost) == (0, 0, 1.0)


def test_a_change_costs_so_much_time_of_the_mean_use() -> None:
    # Two windows of six hours under 2 and 4: mean use 1, one change in half a day.
    scored = Scored(np.array([1.0, 1.0]), np.array([0, 1]))
    found = score_series(scored, np.array([2.0, 4.0]), changes=1, renew_seconds=6 * HOUR)
    assert found.changes_per_day == 2.0
    assert found.cost == 3.0
    # A change at the price of three hours of mean use: 3 of the 12 that were used, once.
    assert found.cost_with_changes(3.0) == 3.25
    total = score([found], change_price_hours=3.0)
    assert total is not None
    assert total.changes_per_day == 2.0
    assert total.cost_with_changes == pytest.approx(3.25)


def test_means_over_series_are_geometric_for_ratios_and_plain_for_shares() -> None:
    low = score_series(Scored(np.array([1.0, 1.0]), np.array([0, 1])), np.array([2.0, 2.0]))
    high = score_series(Scored(np.array([1.0, 3.0]), np.array([0, 1])), np.array([16.0, 1.0]))
    both = score([low, high])
    assert both is not None
    assert both.series == 2
    assert both.reserved_per_used == pytest.approx(math.sqrt(2.0 * 17 / 4))
    assert both.reserved_per_used_median == pytest.approx((2.0 + 17 / 4) / 2)
    assert both.samples_exceeded == pytest.approx(0.25)
    assert both.windows_exceeded == pytest.approx(0.25)
    assert both.unmet == pytest.approx(2 / 4 / 2)
    assert both.cost == pytest.approx(math.sqrt(2.0 * (17 + 40) / 4))


def test_series_without_use_are_skipped() -> None:
    idle = score_series(Scored(np.zeros(2), np.array([0, 0])), np.array([1.0]))
    busy = score_series(Scored(np.ones(2), np.array([0, 0])), np.array([1.0]))
    assert score([idle]) is None
    both = score([idle, busy])
    assert both is not None
    assert both.series == 1


def test_gaps_are_not_scored_nor_is_a_window_before_the_first_sample() -> None:
    use = np.array([np.nan, np.nan, np.nan, 4.0, np.nan, 5.0, np.nan, np.nan, 7.0])
    one = Series("s", HOUR, 0, use, None)
    decisions = decide([one], horizon_seconds=2 * HOUR, warmup_seconds=HOUR)
    scored = scored_samples(one, "cpu", decisions.at[0], decisions.until[0])
    # Decisions at 1, 3, 5, 7: before the first two nothing was known; the window of 7 and 8 ends the series.
    assert scored.values.tolist() == [5.0, 7.0]
    assert scored.window.tolist() == [2, 3]
    assert len(scored_samples(one, "mem", decisions.at[0], decisions.until[0]).values) == 0


def test_a_tail_shorter_than_a_window_is_not_scored() -> None:
    one = Series("s", HOUR, 0, np.ones(9), None)
    decisions = decide([one], horizon_seconds=4 * HOUR, warmup_seconds=2 * HOUR)
    scored = scored_samples(one, "cpu", decisions.at[0], decisions.until[0])
    assert len(scored.values) == 4


def test_a_step_that_does_not_divide_the_horizon_loses_no_sample() -> None:
    one = Series("s", 420, 0, np.ones(200), None)
    decisions = decide([one], horizon_seconds=HOUR, warmup_seconds=HOUR)
    (at,), (until,) = decisions.at, decisions.until
    assert at[0] == 9
    assert np.array_equal(until[:-1], at[1:])
    assert set(until - at) == {8, 9}


uses = st.lists(st.floats(0.01, 100), min_size=1, max_size=45)


@given(st.lists(uses, min_size=1, max_size=4))
def test_the_oracle_is_the_cheapest_constant_of_each_window(windows: list[list[float]]) -> None:
    scored = Scored(
        np.concatenate([np.array(horizon) for horizon in windows]),
        np.concatenate([np.full(len(horizon), number) for number, horizon in enumerate(windows)]),
    )
    found = oracle(scored, len(windows))
    for number, horizon in enumerate(windows):
        values = np.array(horizon)

        def cost(reserved: float, values: np.ndarray = values) -> float:
            return float(len(values) * reserved + UNMET_PRICE * np.maximum(values - reserved, 0).sum())

        # The cost is convex and bends only at samples and at 0, so one of them is the least.
        best = min(cost(candidate) for candidate in [0.0, *horizon])
        assert cost(found[number]) == pytest.approx(best, rel=1e-9)


def test_the_oracle_has_no_number_for_windows_that_are_not_scored() -> None:
    found = oracle(Scored(np.array([1.0, 2.0]), np.array([1, 1])), 3)
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == 2.0


def test_the_oracle_of_nothing_says_nothing() -> None:
    assert np.isnan(oracle(Scored(np.empty(0), np.empty(0, dtype=np.int64)), 2)).all()
