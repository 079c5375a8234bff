"""What counts as a drift of what a model looks at, and what does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.drift.inputs import (
    MIN_DAYS,
    Comparison,
    blocks_of,
    by_hour,
    compare,
    corrected,
    effective_days,
    swing,
    turned,
)

DAY = 288
HOURS = np.arange(DAY * 22) / 12


def daily(seed: int = 0, *, noise: float = 0.1) -> np.ndarray:
    return 1 + 0.5 * np.sin(2 * np.pi * HOURS / 24) + noise * np.random.default_rng(seed).normal(size=len(HOURS))


def drifted(values: np.ndarray) -> list[str]:
    blocks = blocks_of(values, trained=DAY * 21, step_seconds=300)
    assert blocks is not None
    return [test.statistic for test in corrected(compare("cpu", blocks)) if test.has_drifted]


def test_a_day_like_the_others_has_not_drifted() -> None:
    assert [drifted(daily(seed)) for seed in range(5)] == [[]] * 5


def test_each_kind_of_drift_is_found_by_its_own_statistic() -> None:
    level, season, variance, leak = (daily() for _ in range(4))
    level[-DAY:] *= 1.5
    season[-DAY:] = daily()[-DAY - 72 : -72]
    hours = variance[-DAY:].reshape(24, 12)
    hours[:] = hours.mean(1)[:, None] + 3**0.5 * (hours - hours.mean(1)[:, None])
    leak[-DAY:] += np.linspace(0, 0.5, DAY)
    assert {"level", "latest", "ks", "psi"} == set(drifted(level))
    assert "season" in drifted(season)
    assert drifted(variance) == ["spread"]
    assert "latest" in drifted(leak)


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-3, 1e12), st.integers(0, 50))
def test_the_unit_changes_nothing(scale: float, seed: int) -> None:
    values = daily(seed)
    values[-DAY:] *= 1.3
    blocks, scaled = (blocks_of(one, trained=DAY * 21, step_seconds=300) for one in (values, values * scale))
    assert blocks is not None
    assert scaled is not None
    before, after = ([test.score for test in compare("cpu", one)] for one in (blocks, scaled))
    # Whether a sample is below or above an edge of KS's bins may turn with the last digit.
    assert after == pytest.approx(before, abs=0.1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 50), st.sampled_from(["constant", "zero", "missing", "rare", "huge"]))
def test_odd_samples_give_numbers(seed: int, kind: str) -> None:
    values = daily(seed)
    if kind in ("constant", "zero"):
        values[:] = 0.0 if kind == "zero" else 3.0
    elif kind == "missing":
        values[np.random.default_rng(seed).random(len(values)) < 0.4] = np.nan
    elif kind == "rare":
        values[np.random.default_rng(seed).random(len(values)) < 0.97] = 0.0
    else:
        values *= 1e300 / 1e3
    blocks = blocks_of(values, trained=DAY * 21, step_seconds=300)
    if blocks is not None:
        tests = corrected(compare("cpu", blocks))
        assert all(np.isfinite([test.value, test.usual, test.score, test.p]).all() for test in tests)
        if kind in ("constant", "zero"):
            assert not any(test.has_drifted for test in tests)


def test_a_service_of_zeros_that_is_used_at_last_has_drifted() -> None:
    values = np.zeros(len(HOURS))
    values[-DAY:] = 0.5
    assert "level" in drifted(values)


def test_later_samples_change_nothing() -> None:
    values = daily()
    whole = blocks_of(values, trained=DAY * 20, step_seconds=300, end=DAY * 21)
    cut = blocks_of(values[: DAY * 21], trained=DAY * 20, step_seconds=300)
    assert whole is not None
    assert cut is not None
    assert compare("cpu", whole) == compare("cpu", cut)


def test_too_few_days_and_a_day_that_is_missing_are_not_judged() -> None:
    values = daily()
    assert blocks_of(values[: DAY * MIN_DAYS], trained=DAY * (MIN_DAYS - 1), step_seconds=300) is None
    values[-DAY:] = np.nan
    assert blocks_of(values, trained=DAY * 21, step_seconds=300) is None


def test_missing_days_are_left_out_of_what_is_compared() -> None:
    values = daily()
    values[DAY * 5 : DAY * 8] = np.nan
    blocks = blocks_of(values, trained=DAY * 21, step_seconds=300)
    assert blocks is not None
    assert len(blocks.days) == 18
    assert sorted(set(range(1, 22)) - set(blocks.ago.tolist())) == [14, 15, 16]


def test_quiet_weekends_are_no_drift_on_a_saturday() -> None:
    values = daily()
    days = values.reshape(22, DAY)
    for day in range(22):
        if day % 7 in (0, 1):
            days[day] *= 0.4
    # The last day, number 21, is such a day.
    assert drifted(values) == []


def test_holm_never_lowers_a_chance_and_keeps_the_order() -> None:
    made = [Comparison("cpu", "level", 0, 0, 0, p) for p in (0.001, 0.5, 0.0004, 0.04)]
    adjusted = [test.adjusted for test in corrected(made)]
    assert adjusted == pytest.approx([0.003, 0.5, 0.0016, 0.08])
    assert [replace(test, adjusted=1.0) for test in corrected(made)] == made


def test_days_that_follow_each_other_closely_count_for_fewer() -> None:
    walk = np.cumsum(np.random.default_rng(0).normal(size=28))
    assert effective_days(walk) < 10
    assert effective_days(np.random.default_rng(0).normal(size=28)) > 15


def test_hours_swings_and_turns() -> None:
    days = np.arange(48.0).reshape(1, 48)
    days[0, 0] = np.nan
    assert by_hour(days)[0, :2].tolist() == [1.0, 2.5]
    wave = np.sin(2 * np.pi * np.arange(24) / 24)[None, :]
    assert int(np.argmax(turned(np.roll(wave, 5), wave)[0])) == 5
    assert swing(np.tile([1.0, 3.0, 1.0, 3.0], 24)[None, :]).tolist() == [[1.0] * 24]
