"""Scores: errors and skill by hand, and intervals that rest on the past alone and cover what they say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.contest.scores import interval, score, scores, skill
from mora.contest.windows import Answers, Contest, Windows
from mora.domain import Target

HOUR = 3600.0


def windows(truth: list[float] | np.ndarray) -> Windows:
    use = np.asarray(truth, dtype=np.float64)
    count = len(use)
    steps = np.column_stack([use, use])
    rows = np.arange(count)
    return Windows(
        "web",
        "web",
        HOUR,
        Target.CPU,
        rows,
        rows // 3,
        rows.astype(np.float64) * HOUR,
        use,
        use,
        steps,
        tuple(steps),
        use,
    )


def contest(truth: list[float] | np.ndarray, **means: list[float] | np.ndarray) -> Contest:
    made = {
        name: Answers(name, np.asarray(mean, dtype=np.float64), np.asarray(mean, dtype=np.float64))
        for name, mean in means.items()
    }
    return Contest(windows(truth), made)


def test_errors_by_hand() -> None:
    one = contest([1.0, 2.0, 0.0, 4.0], naive=[2.0, 2.0, 1.0, 2.0], good=[1.0, 1.0, 0.0, 4.0])
    found = score(one, "naive")
    assert found.mae == pytest.approx(1.0)
    assert found.rmse == pytest.approx(math.sqrt(6 / 4))
    # The idle window has no MAPE: 1/1, 0/2 and 2/4.
    assert found.mape == pytest.approx(0.5)
    assert found.relative == pytest.approx(1.0 / 1.75)
    assert found.skill == 0.0
    assert score(one, "good").skill == pytest.approx(0.75)
    # Two steps a window: p95 forecasts 1 too low cost 0.95, 1 too high 0.05.
    assert found.pinball == pytest.approx((0.05 + 0.0 + 0.05 + 2 * 0.95) / 4 / 1.75)
    assert found.steps_covered == pytest.approx(0.75)
    assert math.isnan(found.covered)
    assert found.interval_windows == 0


def test_skill_is_of_the_windows_that_both_answered() -> None:
    one = contest([1.0, 1.0, 1.0], naive=[2.0, 2.0, 9.0], late=[math.nan, 1.5, math.nan])
    assert skill(one, "late") == pytest.approx(0.5)
    assert score(one, "late").answered == 1
    none = contest([1.0], naive=[1.0], silent=[math.nan])
    assert math.isnan(skill(none, "silent"))
    assert scores(none)["silent"].answered == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.1, 10.0), min_size=12, max_size=40), st.floats(0.1, 1e9))
def test_a_scale_changes_neither_skill_nor_relative_errors(use: list[float], factor: float) -> None:
    truth = np.array(use)
    plain = contest(truth, naive=np.roll(truth, 1), other=np.full(len(truth), truth.mean()))
    scaled = contest(truth * factor, naive=np.roll(truth, 1) * factor, other=np.full(len(truth), truth.mean()) * factor)
    for name in ("naive", "other"):
        one, other = score(plain, name), score(scaled, name)
        for field in ("skill", "relative", "mape", "width", "pinball", "covered"):
            assert getattr(one, field) == pytest.approx(getattr(other, field), rel=1e-6, nan_ok=True), field


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 29), st.integers(0, 10))
def test_an_interval_rests_on_windows_that_had_ended(edge: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, mean = rng.uniform(1, 2, 30), rng.uniform(1, 2, 30)
    low, high = interval(windows(truth), mean)
    changed = np.where(np.arange(30) < edge, truth, truth + 5.0)
    low2, high2 = interval(windows(changed), mean)
    np.testing.assert_array_equal(low[: edge + 1], low2[: edge + 1])
    np.testing.assert_array_equal(high[: edge + 1], high2[: edge + 1])
    assert np.isnan(low[:9]).all()
    assert not np.isnan(low[9:]).any()


def test_windows_that_overlap_do_not_calibrate_each_other() -> None:
    truth = np.ones(30)
    overlapping = replace(windows(truth), horizon_seconds=24 * HOUR)
    low, _ = interval(overlapping, truth)
    assert np.isnan(low[: 24 + 8]).all()
    assert len(low) == 30


def test_intervals_cover_what_they_say() -> None:
    rng = np.random.default_rng(0)
    truth = 10 + rng.standard_normal(2000)
    found = score(contest(truth, naive=np.full(2000, 10.0)), "naive")
    assert 0.88 <= found.covered <= 0.92
    assert found.width == pytest.approx(2 * 1.645 / 10, rel=0.05)
