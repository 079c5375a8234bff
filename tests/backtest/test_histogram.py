"""The VPA's histogram, checked against the recommender's unit tests (FIELD.md 6.2) and the figures of FIELD.md 1.2."""

from __future__ import annotations

import numpy as np
import pytest

from mora.backtest.histogram import (
    CPU_STARTS,
    MEMORY_STARTS,
    DecayingHistogram,
    exponential_starts,
    find_buckets,
    linear_starts,
)
from mora.quantities import MIB

HOUR = 3600.0
# decaying_histogram_test.go: linear from 0 to 10, buckets one wide, a half-life of an hour.
UNITS = linear_starts(1.0, 10.0)


def histogram(*samples: tuple[float, float, float], half_life_seconds: float = HOUR) -> DecayingHistogram:
    """Samples of (value, weight, hours after the first), which is taken at a moment of this century."""
    made = DecayingHistogram(UNITS, half_life_seconds)
    for value, weight, hours in samples:
        made.add(np.array([value]), weight, np.array([1.3e9 // HOUR * HOUR + hours * HOUR]))
    return made


@pytest.mark.parametrize(
    ("share", "end"),
    [(0.0, 2), (0.02, 2), (0.03, 3), (0.10, 3), (0.11, 4), (0.34, 4), (0.35, 5), (1.0, 5)],
)
def test_percentiles_of_simple_decay(share: float, end: float) -> None:
    assert histogram(*((i, i, i) for i in range(1, 5))).percentile(share) == end


@pytest.mark.parametrize(("share", "end"), [(0.0, 2), (0.2, 3), (0.4, 4), (0.7, 5)])
def test_percentiles_without_decay(share: float, end: float) -> None:
    assert histogram(*((i, i, 0) for i in range(1, 5))).percentile(share) == end


def test_a_long_gap_lets_old_samples_vanish() -> None:
    samples = [(2.0, 1000.0, 0.0), (1.0, 1.0, 20.0)]
    before = histogram(*samples)
    assert (before.percentile(0.999), before.percentile(1.0)) == (2, 3)
    assert histogram(*samples, (1.0, 1.0, 101.0)).percentile(1.0) == 2


def test_no_samples_give_zero() -> None:
    assert histogram().percentile(0.9) == 0.0


def test_samples_added_at_once_weigh_as_those_added_one_by_one() -> None:
    rng = np.random.default_rng(5)
    values, seconds = rng.uniform(0, 9, 200), 1.3e9 + np.arange(200, dtype=np.float64) * 900
    at_once = DecayingHistogram(UNITS, HOUR)
    at_once.add(values, 1.0, seconds)
    singly = DecayingHistogram(UNITS, HOUR)
    for value, when in zip(values, seconds, strict=True):
        singly.add(np.array([value]), 1.0, np.array([when]))
    shares = np.linspace(0, 1, 50)
    assert [at_once.percentile(share) for share in shares] == [singly.percentile(share) for share in shares]


def test_buckets_are_found_as_the_vpa_finds_them() -> None:
    assert find_buckets(linear_starts(0.3, 5.0), np.array([1.3])).tolist() == [4]
    starts = exponential_starts(40.0, 500.0, 1.5)
    assert find_buckets(starts, np.array([-1.0, 39.99, 40, 100, 900])).tolist() == [0, 0, 1, 2, 5]


@pytest.mark.parametrize(
    ("starts", "value", "end"),
    [
        (CPU_STARTS, 0.1, 0.110266),
        (MEMORY_STARTS, 200.0 * MIB, 205.79 * MIB),
        (MEMORY_STARTS, 500.0 * MIB, 521.37 * MIB),
    ],
)
def test_steady_use_lands_at_the_end_of_its_bucket(starts: np.ndarray, value: float, end: float) -> None:
    made = DecayingHistogram(starts, 24 * HOUR)
    made.add(np.full(100, value), 0.1, 1.3e9 + np.arange(100, dtype=np.float64) * 60)
    assert made.percentile(0.9) == pytest.approx(end, rel=1e-4)


@pytest.mark.parametrize(
    ("starts", "values", "share", "end"),
    [(CPU_STARTS, [1.0, 2.0, 3.0], 0.2, 1.01628), (MEMORY_STARTS, [1e9, 2e9, 3e9], 0.5, 2.0935e9)],
)
def test_the_estimators_of_the_vpa(starts: np.ndarray, values: list[float], share: float, end: float) -> None:
    made = DecayingHistogram(starts, 24 * HOUR)
    made.add(np.array(values), 1.0, np.full(3, 1.3e9))
    assert made.percentile(share) == pytest.approx(end, rel=1e-4)
