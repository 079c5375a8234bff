from __future__ import annotations

import numpy as np
import pytest

from mora.bounds.carry import Carry
from mora.bounds.confidence import PRIOR_WINDOWS, Prior, chances, covered_windows, cpu_prior
from mora.bounds.cpu import cpu_bounds
from mora.bounds.memory import memory_bounds
from mora.bounds.ticks import Bounds, Floats, Indices, cut
from tests.bounds.making import bumpy, every

DAY, HOUR = 86400, 3600


def bounds(resource: str, values: Floats, decisions: Indices, horizon: int) -> Bounds:
    of = cpu_bounds if resource == "cpu" else memory_bounds
    return of(values, step_seconds=900, decisions=decisions, horizon_seconds=horizon)


@pytest.mark.parametrize("resource", ["cpu", "mem"])
@pytest.mark.parametrize("horizon", [DAY, HOUR])
def test_nothing_that_comes_later_changes_how_sure_a_bound_is(resource: str, horizon: int) -> None:
    values = bumpy(days=14)
    decisions = every(horizon, warmup_seconds=3 * DAY, step_seconds=900, count=len(values))
    whole = bounds(resource, values, decisions, horizon).confidence
    assert np.all((whole > 0) & (whole < 1))
    number = len(decisions) // 2
    cut_off = bounds(resource, values[: decisions[number]], decisions[: number + 1], horizon)
    np.testing.assert_array_equal(cut_off.confidence, whole[: number + 1])


def test_a_window_counts_only_once_it_has_ended() -> None:
    values = np.ones(10 * 96)
    values[5 * 96 : 6 * 96] = 9.0
    ticks = cut(values[None], step_seconds=900, decisions=np.array([len(values)]), horizon_seconds=DAY)
    kept = covered_windows(np.full((len(ticks.samples) + 1, 1), 2.0), ticks, 0.10, Carry())
    assert np.isnan(kept[:23]).all()
    # Of a day's 24 hours, at most 2 may lie above.
    assert kept[5 * 24 + 1] == 1.0
    assert kept[5 * 24 + 2] == 0.0
    stated = chances(kept, ticks, Prior(0.9, 0.9), Carry())
    assert stated[5 * 24 + 2] == stated[: 5 * 24 + 3].max()
    assert stated[5 * 24 + 3] < stated[5 * 24 + 2]


def test_without_a_past_the_prior_is_all_there_is() -> None:
    values = np.full(96 * 2, np.nan)
    values[-2:] = 1.0
    found = bounds("cpu", values, np.array([len(values)]), DAY)
    assert found.confidence[0] == pytest.approx(cpu_prior(24.0).young)


def test_steady_use_raises_confidence_and_exceeded_windows_lower_it() -> None:
    ticks = cut(np.ones((1, 40 * 96)), step_seconds=900, decisions=np.array([40 * 96]), horizon_seconds=HOUR)
    always, never = np.ones((len(ticks.samples), 1)), np.zeros((len(ticks.samples), 1))
    assert chances(always, ticks, Prior(0.9, 0.9), Carry())[-1] > 0.98
    assert chances(never, ticks, Prior(0.9, 0.9), Carry())[-1] < 0.15
    day = cut(np.ones((1, 96)), step_seconds=900, decisions=np.array([96]), horizon_seconds=DAY)
    one = np.full((24, 1), np.nan)
    one[-1] = 1.0
    # One vote shared by the 24 holds that begin within a day.
    assert chances(one, day, Prior(0.5, 0.5), Carry())[-1] == pytest.approx(
        (1 / 24 + PRIOR_WINDOWS / 2) / (1 / 24 + PRIOR_WINDOWS)
    )


def test_no_number_is_no_confidence() -> None:
    unseen = np.full(960, np.nan)
    for resource in ("cpu", "mem"):
        found = bounds(resource, unseen, np.array([480]), DAY)
        assert np.isnan(found.requests).all()
        assert np.isnan(found.confidence).all()
        assert len(bounds(resource, unseen, np.array([], dtype=np.int64), DAY).confidence) == 0
