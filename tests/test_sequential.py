"""A test that may be looked at all the time: how often it errs, and that it sees what is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.sequential import evidence, is_reached

LEVEL = 0.05


def share_reached(differences: np.ndarray) -> float:
    """Of many series, shape (runs, n), the share whose evidence ever reaches 1/LEVEL."""
    return float(np.mean([is_reached(one, 1 / LEVEL) for one in differences]))


def noise(kind: str, runs: int, length: int) -> np.ndarray:
    """Differences with no true advantage, in [-1, 1]."""
    rng = np.random.default_rng(4)
    if kind == "coins":
        return rng.choice([-1.0, 1.0], size=(runs, length))
    if kind == "skewed":  # often a little better, rarely much worse
        return np.where(rng.random((runs, length)) < 1 / 11, -1.0, 0.1)
    if kind == "steady":  # spread follows its own past, as errors of a busy day do
        spread = np.exp(np.cumsum(rng.normal(0, 0.1, (runs, length)), axis=1))
        return np.clip(rng.choice([-1.0, 1.0], size=(runs, length)) * spread * 0.2, -1, 1)
    # Worse first, then better by as much: on average never better.
    swing = np.where(np.arange(length) < length // 2, -0.3, 0.3)
    return swing + 0.7 * rng.choice([-1.0, 1.0], size=(runs, length))


@pytest.mark.parametrize("kind", ["coins", "skewed", "steady", "swinging"])
def test_who_is_not_better_is_found_better_at_most_as_often_as_stated(kind: str) -> None:
    assert share_reached(noise(kind, 400, 500)) <= LEVEL


@pytest.mark.parametrize("kind", ["coins", "skewed"])
def test_a_usual_test_that_is_looked_at_all_the_time_errs_far_more_often(kind: str) -> None:
    """Why a test of this kind is needed."""
    found = noise(kind, 400, 500)
    counts = np.arange(1, found.shape[1] + 1)
    means = np.cumsum(found, axis=1) / counts
    spread = np.sqrt(np.maximum(np.cumsum(found**2, axis=1) / counts - means**2, 1e-12) / counts)
    looked_at = (means / spread)[:, 20:]
    assert float(np.mean((looked_at > 1.645).any(axis=1))) > 3 * LEVEL


def test_who_is_better_is_found() -> None:
    better = 0.15 + 0.5 * np.random.default_rng(5).choice([-1.0, 1.0], size=(200, 400))
    assert share_reached(better) >= 0.95
    assert share_reached(-better) <= LEVEL


@given(st.lists(st.floats(-1, 1), max_size=60), st.integers(0, 60))
def test_what_comes_later_changes_no_earlier_evidence(differences: list[float], length: int) -> None:
    whole, part = evidence(differences), evidence(differences[:length])
    np.testing.assert_allclose(whole[: len(part)], part, rtol=1e-12)
    assert whole[0] == 1


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=5))
def test_a_fair_bet_never_gains_on_average(values: list[float]) -> None:
    """Of every next pair of equally likely differences with mean 0, the evidence expected is at most that of now."""
    for step in (0.05, 0.5, 1.0):
        up, down = (evidence([*values, sign * step])[-1] for sign in (1, -1))
        assert (up + down) / 2 <= evidence(values)[-1] * (1 + 1e-12)


@pytest.mark.parametrize("wrong", [1.1, float("nan"), -2.0])
def test_a_difference_without_bounds_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="between -1 and 1"):
        evidence([0.0, wrong])


def test_nothing_grows_beyond_all_bounds() -> None:
    assert np.isfinite(evidence(np.full(100_000, 0.9))).all()
