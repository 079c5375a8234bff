"""Many small histograms in which weights come, fade and go, and all of whose quantiles are read at once.

Two tricks make a quantile cheap to ask for after every hour of hundreds of series. Weights do not fade: what comes
later weighs more instead (a common factor changes no quantile), so an hour touches only the buckets that it fills. And
buckets are in blocks whose sums are kept: a quantile is sought among 25 blocks, then among 32 buckets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mora.bounds.ticks import Floats, Indices

_BLOCKS, _PER_BLOCK = 25, 32
BUCKETS = _BLOCKS * _PER_BLOCK
# Where the later weights outgrow this, all of that pace are made smaller.
_MOST_GROWTH = 1e100
# The hair's breadth keeps what adds up to exactly the share, but for rounding, within its bucket.
_HAIR = 1e-9
# From so many rows on, adding them one to the next beats cumsum; both take as long at 160.
_MANY_ROWS = 200


class Histograms:
    """One histogram for every pace and row.

    paces: by what factor the weights of each pace fade from one tick to the next; 1 for never. rows: histograms of
    each pace; all paces are given the same samples.
    """

    def __init__(self, paces: Sequence[float], rows: int) -> None:
        self._paces = self.paces = tuple(paces)
        self.rows = rows
        self._growth = [1.0] * len(self._paces)
        self._weights = np.zeros((len(self._paces), rows * BUCKETS))
        self._sums = np.zeros((len(self._paces), rows * _BLOCKS))

    @classmethod
    def of(cls, paces: Sequence[float], weights: Floats) -> Histograms:
        """Histograms with these weights: shape (paces, rows * BUCKETS)."""
        found = cls(paces, weights.shape[1] // BUCKETS)
        found._weights[:] = weights
        found._sums[:] = weights.reshape(len(weights), -1, _PER_BLOCK).sum(axis=2)
        return found

    def weights(self) -> Floats:
        """What every bucket weighs now: shape (paces, rows * BUCKETS)."""
        return np.asarray(self._weights / np.array(self._growth)[:, None])

    def fade(self) -> None:
        """Let a tick go by."""
        for number, pace in enumerate(self._paces):
            self._growth[number] /= pace
            if self._growth[number] > _MOST_GROWTH:
                self._weights[number] /= self._growth[number]
                self._sums[number] /= self._growth[number]
                self._growth[number] = 1.0

    def add(self, places: Indices, weights: Floats, *, pace: int | None = None) -> None:
        """Weights of now; places: row * BUCKETS + bucket of each. pace: for the histograms of this one alone."""
        # Every pace gets the same sums: they are added up once, and not scattered again for each.
        sums = np.bincount(places // _PER_BLOCK, weights, minlength=self._sums.shape[1])
        for number in range(len(self._paces)) if pace is None else (pace,):
            growth = self._growth[number]
            np.add.at(self._weights[number], places, weights * growth)
            self._sums[number] += sums * growth

    def quantiles(self, shares: Floats, paces: Indices | None = None) -> Indices:
        """The lowest bucket up to which a histogram holds its share of the weight: shape (shares, rows); -1 if empty.

        shares: one for every pace, or for each of `paces`, which may name one more than once.
        """
        pace = np.arange(len(self._paces)) if paces is None else paces
        sums = (self._sums if paces is None else self._sums[paces]).reshape(len(shares), -1, _BLOCKS)
        weights = self._weights.reshape(len(self._paces), -1, _PER_BLOCK)
        cumulated = _cumulated(sums)
        total = cumulated[-1]
        wanted = total * (shares * (1 - _HAIR))[:, None]
        block = np.minimum((cumulated < wanted).sum(axis=0), _BLOCKS - 1)
        before = np.take_along_axis(cumulated, np.maximum(block - 1, 0)[None], axis=0)[0]
        left = wanted - np.where(block > 0, before, 0.0)
        within = _cumulated(weights[pace[:, None], block + np.arange(total.shape[1]) * _BLOCKS])
        bucket = np.minimum((within < left).sum(axis=0), _PER_BLOCK - 1)
        return np.where(total > 0, block * _PER_BLOCK + bucket, -1)


def _cumulated(parts: Floats) -> Floats:
    """Sums so far of the last axis, which comes first.

    cumsum takes its time over many short rows: where they are many, as many long ones are added instead, one to the
    next. The same sums in the same order, so the answer for a series does not depend on how many were asked at once.
    """
    if parts.shape[0] * parts.shape[1] < _MANY_ROWS:
        return parts.cumsum(axis=2).transpose(2, 0, 1)
    found = np.ascontiguousarray(parts.transpose(2, 0, 1))
    for number in range(1, len(found)):
        found[number] += found[number - 1]
    return found
