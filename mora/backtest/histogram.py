"""The VPA recommender's decaying exponential histogram, as it computes (kubernetes/autoscaler, pkg/recommender/util).

Use falls into buckets that grow by 5 %, a sample's weight doubles for every half-life that it is newer, and a
percentile answers with the *end* of its bucket. Constants: FIELD.md 1.2; what it yields: FIELD.md 6.2.
"""

from __future__ import annotations

import math

import numpy as np

from mora.backtest.policy import Floats

# Weights grow by 2^(age / half-life) until this exponent; then all are scaled down to a newer reference.
_MAX_DECAY_EXPONENT = 100
# A bucket with less is empty: a thousandth of the smallest weight of a sample, 0.1.
_EPSILON = 0.001 * 0.1


def exponential_starts(first: float, largest: float, ratio: float = 1.05) -> Floats:
    """Where buckets begin: bucket n at first * (ratio^n - 1) / (ratio - 1), so each is `ratio` times as wide.

    As many as reach `largest`, and one more that is open: the VPA's CPU buckets (0.01 to 1000 cores) and its memory
    buckets (1e7 to 1e12 bytes) are 176.

    >>> exponential_starts(40.0, 500.0, 1.5)
    array([  0. ,  40. , 100. , 190. , 325. , 527.5])
    >>> len(exponential_starts(0.01, 1000.0)), len(exponential_starts(1e7, 1e12))
    (176, 176)
    """
    count = math.ceil(math.log(largest * (ratio - 1) / first + 1) / math.log(ratio)) + 1
    return np.asarray(first * (np.power(ratio, np.arange(count, dtype=np.float64)) - 1) / (ratio - 1))


def linear_starts(width: float, largest: float) -> Floats:
    """Where buckets of one width begin.

    >>> len(linear_starts(0.3, 5.0))
    18
    """
    return np.arange(math.ceil(largest / width) + 1, dtype=np.float64) * width


CPU_STARTS = exponential_starts(0.01, 1000.0)
MEMORY_STARTS = exponential_starts(1e7, 1e12)


class DecayingHistogram:
    """Weights of samples by bucket; newer samples weigh more.

    starts: where the buckets begin, rising from 0; the last is open. half_life_seconds: a sample this much newer
    weighs twice as much.
    """

    def __init__(self, starts: Floats, half_life_seconds: float) -> None:
        self._starts = starts
        self._half_life_seconds = half_life_seconds
        self._weights = np.zeros(len(starts))
        self._reference_seconds = 0.0

    def add(self, values: Floats, weight: float, seconds: Floats) -> None:
        """Samples in the order of time, each of the same weight; `seconds` is when each was taken."""
        if not len(values):
            return
        newest = float(seconds[-1])
        if newest > self._reference_seconds + self._half_life_seconds * _MAX_DECAY_EXPONENT:
            self._shift_reference(newest)
        age = (seconds - self._reference_seconds) / self._half_life_seconds
        buckets = find_buckets(self._starts, values)
        self._weights += np.bincount(buckets, weight * np.exp2(age), minlength=len(self._starts))

    def percentile(self, share: float) -> float:
        """The end of the bucket in which `share` of all weight is reached; 0 where there are no samples.

        The last bucket has no end: its start is given.
        """
        filled = np.flatnonzero(self._weights >= _EPSILON)
        if not len(filled):
            return 0.0
        lowest, highest = int(filled[0]), int(filled[-1])
        reached = np.cumsum(self._weights[lowest:highest])
        bucket = lowest + int(np.searchsorted(reached, share * float(self._weights.sum())))
        return float(self._starts[min(bucket + 1, len(self._starts) - 1)])

    def _shift_reference(self, seconds: float) -> None:
        newer = round(seconds / self._half_life_seconds) * self._half_life_seconds
        exponent = round((self._reference_seconds - newer) / self._half_life_seconds)
        self._weights *= 2.0**exponent if exponent > -1000 else 0.0
        self._weights[self._weights < _EPSILON] = 0.0
        self._reference_seconds = newer


def find_buckets(starts: Floats, values: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The index of the bucket that each value falls into; negative values fall into the first.

    >>> find_buckets(exponential_starts(40.0, 500.0, 1.5), np.array([39.99, 40.0, 100.0, 900.0]))
    array([0, 1, 2, 5])
    """
    found = np.searchsorted(starts, values, side="right") - 1
    return np.maximum(found, 0).astype(np.int64)
