"""What series looked like before each tick: quantiles of a window or with older samples fading, means, peaks.

Row k of everything here rests on the ticks before k, so row 0 knows nothing (NaN) and there is one row more than ticks.
Arrays are (ticks + 1, series).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mora.bounds.histograms import BUCKETS, Histograms
from mora.bounds.ticks import Floats, Indices, Ticks

# Buckets of the histograms, each 3 % wide: finer ones moved no figure of experiments/benchmarks/bounds.py.
_BUCKET = np.log(1.03)
# The histograms reach from 1/10,000 of the first sample that is not 0 (what is less counts as idle) to a million of it.
_LEAST, _MOST = round(np.log(1e-4) / _BUCKET), round(np.log(1e6) / _BUCKET)


@dataclass(frozen=True, slots=True)
class Past:
    """Some series' ticks, counted once; of each series some sample is above 0.

    places: bucket of each sample, shape (ticks, series, samples), any where it is not known (is_known). units: what a
    series' buckets are counted from, its first sample above 0. known, sums, peaks: per tick and series the number of
    samples, their sum and their largest (0 where none).
    """

    ticks: Ticks
    places: Indices
    is_known: Floats
    units: Floats
    known: Floats
    sums: Floats
    peaks: Floats

    def decayed_quantiles(self, shares: Mapping[float, tuple[float, ...]]) -> dict[tuple[float, float], Floats]:
        """(half-life in hours, share) -> that quantile of all samples so far, half as heavy for each half-life of age.

        shares: half-life -> shares that are wanted of it. Bucket tops; the last known where all has faded.
        """
        paces = [0.5 ** (self.ticks.hours / half_life) for half_life in shares]
        wanted = [(pace, share) for pace, (half_life, of_it) in enumerate(shares.items()) for share in of_it]
        histograms = Histograms(paces, len(self.units))
        which, levels = np.array([pace for pace, _ in wanted]), np.array([share for _, share in wanted])
        rows = np.arange(len(self.units))[:, None] * BUCKETS
        found = np.empty((len(self.places) + 1, len(wanted), len(self.units)), dtype=np.int64)
        for tick, places in enumerate(self.places):
            found[tick] = histograms.quantiles(levels, which)
            histograms.fade()
            histograms.add((places + rows).ravel(), self.is_known[tick].ravel())
        found[-1] = histograms.quantiles(levels, which)
        half_lives = list(shares)
        return {(half_lives[pace], share): self._tops(found[:, number]) for number, (pace, share) in enumerate(wanted)}

    def window_quantiles(self, hours: tuple[float, ...], share: float) -> list[Floats]:
        """The quantile of each of the last so many hours, as above; the last known where no sample is in."""
        histograms = Histograms([1.0] * len(hours), len(self.units))
        widths = [self.ticks.of_hours(window) for window in hours]
        levels = np.full(len(hours), share)
        rows = np.arange(len(self.units))[:, None] * BUCKETS
        found = np.empty((len(self.places) + 1, len(hours), len(self.units)), dtype=np.int64)
        for tick, places in enumerate(self.places):
            found[tick] = histograms.quantiles(levels)
            histograms.add((places + rows).ravel(), self.is_known[tick].ravel())
            for number, width in enumerate(widths):
                if tick >= width:
                    left = (self.places[tick - width] + rows).ravel()
                    histograms.add(left, -self.is_known[tick - width].ravel(), pace=number)
        found[-1] = histograms.quantiles(levels)
        return [self._tops(found[:, number]) for number in range(len(hours))]

    def window_means(self, hours: float) -> Floats:
        """The mean of the last `hours`; the last known where no sample is in."""
        width = self.ticks.of_hours(hours)
        sums, known = _running(self.sums, width), _running(self.known, width)
        with np.errstate(invalid="ignore", divide="ignore"):
            return forward_filled(np.where(known > 0.5, np.maximum(sums, 0.0) / known, np.nan))

    def window_peaks(self, hours: float, *, ending_hours_ago: float = 0.0) -> Floats:
        """The largest sample of `hours`; the last known where none is in.

        ending_hours_ago: the window ends so long before, at least 0; where the series is younger than that, NaN.
        """
        width, lag = self.ticks.of_hours(hours), round(ending_hours_ago / self.ticks.hours)
        peaks = sliding_max(np.where(self.known > 0, self.peaks, -np.inf), width)
        found = np.full(peaks.shape, -np.inf)
        found[lag:] = peaks[: max(len(peaks) - lag, 0)]
        return forward_filled(np.where(np.isfinite(found), found, np.nan))

    def _tops(self, buckets: Indices) -> Floats:
        """The upper ends of buckets; the last known where there is none (-1)."""
        return forward_filled(np.where(buckets < 0, np.nan, self.units * np.exp((buckets + _LEAST) * _BUCKET)))


def count(ticks: Ticks) -> Past:
    """The past of series of each of which some sample is above 0."""
    samples = ticks.samples
    is_known = ~np.isnan(samples)
    filled = np.where(is_known, samples, 0.0)
    flat = filled.transpose(1, 0, 2).reshape(filled.shape[1], -1)
    units = flat[np.arange(len(flat)), (flat > 0).argmax(axis=1)]
    with np.errstate(divide="ignore"):
        bucket = np.ceil(np.log(filled / units[:, None]) / _BUCKET - 1e-9)
    return Past(
        ticks=ticks,
        places=(np.clip(bucket, _LEAST, _MOST) - _LEAST).astype(np.int64),
        is_known=is_known.astype(np.float64),
        units=units,
        known=is_known.sum(axis=2).astype(np.float64),
        sums=filled.sum(axis=2),
        peaks=filled.max(axis=2),
    )


def forward_filled(rows: Floats) -> Floats:
    """Each unknown entry as the last known one before it, along the first axis; unknown where there is none."""
    numbers = np.arange(len(rows)).reshape(-1, *[1] * (rows.ndim - 1))
    last = np.maximum.accumulate(np.where(np.isnan(rows), -1, numbers), axis=0)
    return np.where(last >= 0, np.take_along_axis(rows, np.maximum(last, 0), axis=0), np.nan)


def sliding_max(per_tick: Floats, width: int) -> Floats:
    """Row k: the largest of the `width` ticks before k; -inf where there are none. Doubling: log2(width) passes."""
    padded = np.concatenate([np.full((width, *per_tick.shape[1:]), -np.inf), per_tick])
    reach, size = padded, 1
    while size * 2 <= width:
        reach = np.maximum(reach[:-size], reach[size:])
        size *= 2
    if size < width:
        extra = width - size
        reach = np.maximum(reach[:-extra], reach[extra:])
    return reach[: len(per_tick) + 1]


def _running(per_tick: Floats, width: int) -> Floats:
    total = np.zeros((len(per_tick) + 1, *per_tick.shape[1:]))
    np.cumsum(per_tick, axis=0, out=total[1:])
    total[width:] -= total[:-width].copy()
    return total
