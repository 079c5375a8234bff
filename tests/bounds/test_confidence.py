from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.bounds.carry import Carry
from mora.bounds.confidence import corrected, covered_windows
from mora.bounds.cpu import cpu_bounds
from mora.bounds.features import needed_levels
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
    needed = needed_levels(ticks, 0.10, Carry())
    issued = np.full((len(ticks.samples) + 1, 1), 2.0)
    kept = covered_windows(issued, needed, ticks, Carry())
    assert np.isnan(kept[:23]).all()
    # Of a day's 24 hours, at most 2 may lie above.
    assert kept[5 * 24 + 1] == 1.0
    assert kept[5 * 24 + 2] == 0.0
    stated = corrected(np.full(issued.shape, 2.0), kept, ticks, Carry())
    assert stated[5 * 24 + 2] == stated[: 5 * 24 + 3].max()
    assert stated[5 * 24 + 3] < stated[5 * 24 + 2]


def test_the_record_of_a_series_corrects_what_is_stated() -> None:
    ticks = cut(np.ones((1, 40 * 96)), step_seconds=900, decisions=np.array([40 * 96]), horizon_seconds=HOUR)
    always, never = np.ones((len(ticks.samples), 1)), np.zeros((len(ticks.samples), 1))
    odds = np.full((len(ticks.samples) + 1, 1), 2.0)
    plain = 1 / (1 + np.exp(-2.0))
    assert corrected(odds, always, ticks, Carry())[0] == pytest.approx(plain)
    assert corrected(odds, always, ticks, Carry())[-1] > 0.93
    assert corrected(odds, never, ticks, Carry())[-1] < 0.15
    kept_as_stated = (np.arange(len(ticks.samples)) % 100 < 100 * plain).astype(np.float64)[:, None]
    assert corrected(odds, kept_as_stated, ticks, Carry())[-1] == pytest.approx(plain, abs=0.02)


def test_a_record_without_a_miss_leads_far_beyond_a_low_first_belief() -> None:
    """Memory that never moved for 24 days was stated at 95 % for every hour: one Newton step leads no farther."""
    values = np.random.default_rng(3).normal(220e6, 3e6, 24 * 288)
    at = np.array([24 * 288])
    confidence = memory_bounds(values, step_seconds=300, decisions=at, horizon_seconds=3600.0).confidence
    assert confidence[0] > 0.975


def test_a_series_whose_use_towers_over_its_bound_is_less_sure() -> None:
    calm = np.abs(np.sin(np.arange(14 * 96) * 2 * np.pi / 96)) + 1.0
    shifted = calm.copy()
    shifted[-4:] *= 3
    at = np.array([len(calm)])
    for horizon in (HOUR, DAY):
        assert bounds("cpu", shifted, at, horizon).confidence[0] < bounds("cpu", calm, at, horizon).confidence[0] - 0.1


@pytest.mark.parametrize("resource", ["cpu", "mem"])
@pytest.mark.parametrize("horizon", [DAY, HOUR])
@pytest.mark.parametrize("level", [0.0, 3.0])
def test_steady_use_is_believed_in(resource: str, horizon: int, level: float) -> None:
    rng = np.random.default_rng(1)
    values = level * (1 + 0.02 * rng.random(14 * 96))
    found = bounds(resource, values, np.array([len(values)]), horizon)
    assert found.confidence[0] > 0.9


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(["cpu", "mem"]),
    st.sampled_from([HOUR, DAY]),
    st.floats(1e-9, 1e9),
    st.integers(0, 3),
    st.floats(0.0, 0.9),
)
def test_scaling_a_series_changes_no_confidence(
    resource: str, horizon: int, factor: float, seed: int, gaps: float
) -> None:
    values = bumpy(days=5, seed=seed, gaps=gaps)
    at = np.array([2 * 96, len(values)])
    plain, scaled = (bounds(resource, use, at, horizon).confidence for use in (values, values * factor))
    assert ((plain > 0) & (plain < 1)).all()
    # A sample that lies on its bound but for rounding may be counted on either side of it.
    np.testing.assert_allclose(scaled, plain, atol=0.02)


def test_no_number_is_no_confidence() -> None:
    unseen = np.full(960, np.nan)
    for resource in ("cpu", "mem"):
        found = bounds(resource, unseen, np.array([480]), DAY)
        assert np.isnan(found.requests).all()
        assert np.isnan(found.confidence).all()
        assert len(bounds(resource, unseen, np.array([], dtype=np.int64), DAY).confidence) == 0
