"""What a series' past looked like before each tick: quantiles of a window or with older samples fading, means, peaks.

Row k of everything here rests on the ticks before k, so row 0 knows nothing (NaN) and there is one row more than ticks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mora.bounds.ticks import Floats, Ticks

# Buckets of the histograms, each 3 % wide: finer ones moved no figure of experiments/benchmarks/bounds.py.
_BUCKET = np.log(1.03)
# The histograms reach from 1/10,000 of the first sample that is not 0 (what is less counts as idle) to a million of it.
_LEAST, _MOST = round(np.log(1e-4) / _BUCKET), round(np.log(1e6) / _BUCKET)


@dataclass(frozen=True, slots=True)
class Past:
    """One series' ticks, counted once.

    counts: samples of each tick by bucket, shape (ticks, buckets). tops: the upper ends of the buckets, in the
    series' unit. known, sums, peaks: per tick the samples that are known, their sum and their largest (0 where none).
    """

    ticks: Ticks
    counts: Floats
    tops: Floats
    known: Floats
    sums: Floats
    peaks: Floats

    def decayed_quantiles(self, half_life_hours: float, shares: tuple[float, ...]) -> Floats:
        """The quantiles at `shares` of all samples so far, where one half-life of age halves a sample's weight.

        Shape (shares, ticks + 1), bucket tops.
        """
        fade = 0.5 ** (self.ticks.hours / half_life_hours)
        state = np.zeros((len(self.counts) + 1, self.counts.shape[1]))
        for tick, counts in enumerate(self.counts):
            np.multiply(state[tick], fade, out=state[tick + 1])
            state[tick + 1] += counts
        return self._quantiles(np.cumsum(state, axis=1), shares)

    def window_quantiles(self, hours: float, shares: tuple[float, ...]) -> Floats:
        """The quantiles of the last `hours`, as above; the last known where no sample is in."""
        total = np.zeros((len(self.counts) + 1, self.counts.shape[1]))
        np.cumsum(self.counts, axis=0, out=total[1:])
        width = self.ticks.of_hours(hours)
        total[width:] -= total[:-width].copy()
        return self._quantiles(np.cumsum(total, axis=1), shares)

    def window_means(self, hours: float) -> Floats:
        """The mean of the last `hours`, shape (ticks + 1,); the last known where no sample is in."""
        width = self.ticks.of_hours(hours)
        sums, known = _running(self.sums, width), _running(self.known, width)
        with np.errstate(invalid="ignore", divide="ignore"):
            return forward_filled(np.where(known > 0.5, np.maximum(sums, 0.0) / known, np.nan))

    def window_peaks(self, hours: float, *, ending_hours_ago: float = 0.0) -> Floats:
        """The largest sample of `hours`, shape (ticks + 1,); the last known where none is in.

        ending_hours_ago: the window ends so long before, at least 0; where the series is younger than that, NaN.
        """
        width, lag = self.ticks.of_hours(hours), round(ending_hours_ago / self.ticks.hours)
        peaks = np.where(self.known > 0, self.peaks, -np.inf)
        return self._lagged(_sliding_max(peaks, width), lag)

    def _lagged(self, rows: Floats, lag: int) -> Floats:
        found = np.full(len(rows), -np.inf)
        found[lag:] = rows[: max(len(rows) - lag, 0)]
        return forward_filled(np.where(np.isfinite(found), found, np.nan))

    def _quantiles(self, cumulated: Floats, shares: tuple[float, ...]) -> Floats:
        total = cumulated[:, -1]
        found = np.empty((len(shares), len(cumulated)))
        for row, share in enumerate(shares):
            # The hair's breadth keeps a share of 1 within the last bucket.
            reached = cumulated >= (share * total * (1 - 1e-9))[:, None]
            found[row] = np.where(total > 0, self.tops[reached.argmax(axis=1)], np.nan)
            found[row] = forward_filled(found[row])
        return found


def count(ticks: Ticks) -> Past | None:
    """The past of one series; None where no sample so far is above 0."""
    samples = ticks.samples
    known = ~np.isnan(samples)
    flat = samples.ravel()
    above = np.flatnonzero(flat > 0)
    if not len(above):
        return None
    unit = float(flat[above[0]])
    with np.errstate(divide="ignore"):
        bucket = np.ceil(np.log(np.where(known, samples, 0.0) / unit) / _BUCKET - 1e-9)
    bucket = np.clip(bucket, _LEAST, _MOST)
    least = int(bucket[known].min())
    size = int(bucket[known].max()) - least + 1
    tick = np.repeat(np.arange(len(samples)), samples.shape[1]).reshape(samples.shape)
    flat_bucket = (tick * size + (bucket - least).astype(np.int64))[known]
    counts = np.bincount(flat_bucket, minlength=len(samples) * size).reshape(len(samples), size)
    filled = np.where(known, samples, 0.0)
    return Past(
        ticks=ticks,
        counts=counts.astype(np.float64),
        tops=unit * np.exp((np.arange(size) + least) * _BUCKET),
        known=known.sum(axis=1).astype(np.float64),
        sums=filled.sum(axis=1),
        peaks=filled.max(axis=1),
    )


def forward_filled(rows: Floats) -> Floats:
    """Each unknown row as the last known one before it; unknown where there is none."""
    last = np.maximum.accumulate(np.where(np.isnan(rows), -1, np.arange(len(rows))))
    return np.where(last >= 0, rows[np.maximum(last, 0)], np.nan)


def _running(per_tick: Floats, width: int) -> Floats:
    total = np.zeros(len(per_tick) + 1)
    np.cumsum(per_tick, out=total[1:])
    total[width:] -= total[:-width].copy()
    return total


def _sliding_max(per_tick: Floats, width: int) -> Floats:
    """Row k: the largest of the `width` ticks before k; -inf where there are none. Doubling: log2(width) passes."""
    padded = np.concatenate([np.full(width, -np.inf), per_tick])
    reach, size = padded, 1
    while size * 2 <= width:
        reach = np.maximum(reach[:-size], reach[size:])
        size *= 2
    if size < width:
        extra = width - size
        reach = np.maximum(reach[:-extra], reach[extra:])
    return reach[: len(per_tick) + 1]
