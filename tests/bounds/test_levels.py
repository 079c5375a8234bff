"""Levels of the past: each row rests on what came before it alone."""

from __future__ import annotations

import numpy as np
import pytest

from mora.bounds.carry import Carry
from mora.bounds.levels import Past, count, in_units, sliding_max
from mora.bounds.ticks import cut
from tests.bounds.making import bumpy


def past_of(*series: np.ndarray, step_seconds: int = 3600) -> Past:
    values = np.array(series)
    last = np.array([values.shape[1]])
    return count(cut(values, step_seconds=step_seconds, decisions=last, horizon_seconds=86_400), Carry())


def test_a_constant_use_is_its_own_mean_peak_and_quantile() -> None:
    past = past_of(np.full(240, 0.5))
    assert past.window_means(24)[-1, 0] == pytest.approx(0.5)
    assert past.window_peaks(24)[-1, 0] == 0.5
    # A bucket is 3 % wide.
    assert past.window_quantiles((24,), 0.95)[0][-1, 0] == pytest.approx(0.5, rel=0.03)
    assert past.decayed_quantiles({24.0: (0.95,)})[24.0, 0.95][-1, 0] == pytest.approx(0.5, rel=0.03)


def test_the_first_row_is_unknown() -> None:
    past = past_of(np.full(48, 0.5))
    assert np.isnan(past.window_means(24)[0, 0])
    assert np.isnan(past.window_peaks(24)[0, 0])


def test_a_window_forgets_what_lies_before_it_and_fading_forgets_slowly() -> None:
    use = np.concatenate([np.full(120, 1.0), np.full(48, 0.2)])
    past = past_of(use)
    assert past.window_peaks(24)[-1, 0] == 0.2
    assert past.window_peaks(72)[-1, 0] == 1.0
    assert past.window_peaks(24, ending_hours_ago=48)[-1, 0] == 1.0
    levels = past.decayed_quantiles({168.0: (0.5,), 6.0: (0.5,)})
    slow, fast = (levels[hours, 0.5][-1, 0] for hours in (168.0, 6.0))
    assert slow == pytest.approx(1.0, rel=0.03)
    assert fast == pytest.approx(0.2, rel=0.03)


def test_the_future_changes_no_earlier_row() -> None:
    use = bumpy(days=6, step_seconds=3600)
    changed = use.copy()
    changed[100:] *= 3
    for hours in (24, 72):
        before, after = (past_of(one).window_means(hours)[:101, 0] for one in (use, changed))
        assert np.array_equal(before, after, equal_nan=True)


def test_series_side_by_side_do_not_touch_each_other() -> None:
    one, other = bumpy(days=5, step_seconds=3600, seed=1), bumpy(days=5, step_seconds=3600, seed=2)
    together, alone = past_of(one, other), past_of(one)
    assert np.array_equal(together.window_peaks(24)[:, 0], alone.window_peaks(24)[:, 0], equal_nan=True)


def test_a_sliding_maximum_looks_back() -> None:
    tops = sliding_max(np.array([[1.0], [5.0], [2.0], [2.0]]), 2)
    assert tops[1:, 0].tolist() == [1.0, 5.0, 5.0, 2.0]


def test_a_window_that_reaches_back_beyond_what_is_carried_is_refused() -> None:
    with pytest.raises(ValueError, match="reaches back beyond 168 ticks"):
        past_of(np.ones(48)).window_means(169.0)


def test_series_are_counted_in_their_first_sample_above_0_once_there_is_one() -> None:
    carry = Carry()
    for values, unit in (([0.0, 0.0], np.nan), ([0.0, 4.0], 4.0), ([8.0, 8.0], 4.0)):
        ticks = cut(np.array([values]), step_seconds=1800, decisions=np.array([2]), horizon_seconds=3600)
        found, units = in_units(ticks, carry)
        assert np.array_equal(units, [unit], equal_nan=True)
        assert found.samples[0, 0].tolist() == [one / (4.0 if one else 1.0) for one in values]
