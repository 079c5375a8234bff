"""What series looked like before each tick: quantiles of a window or with older samples fading, means, peaks.

Row k of everything here rests on the ticks before k, so row 0 of a series' first tick knows nothing (NaN), and there is
one row more than ticks. Arrays are (ticks + 1, series). What lies before these ticks is in a Carry (carry.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mora.bounds.carry import Carry
from mora.bounds.histograms import BUCKETS, Histograms
from mora.bounds.ticks import Floats, Indices, Ticks

# Buckets of the histograms, each 3 % wide: finer ones moved no figure of experiments/benchmarks/bounds.py.
_BUCKET = np.log(1.03)
# The histograms reach from 1/10,000 of the first sample that is not 0 (what is less counts as idle) to a million of it.
_LEAST, _MOST = round(np.log(1e-4) / _BUCKET), round(np.log(1e6) / _BUCKET)
# How far windows reach back.
LONGEST_WINDOW_HOURS = 168.0


@dataclass(frozen=True)
class Past:
    """Some series' ticks, counted once; the first sample above 0 of each is 1 (in_units).

    places: bucket of each sample, shape (lead + ticks, series, samples), any where it is not known (is_known). known,
    sums: per tick and series the number of samples and their sum, shape (lead + ticks, series). highest: their largest
    by tick, 0 where none, shape (ticks, series). lead: the ticks in front of these, as many as the longest window has.
    mean_so_far: the mean of all samples before each tick, NaN where there is none.
    """

    ticks: Ticks
    carry: Carry
    lead: int
    places: Indices
    is_known: Floats
    known: Floats
    sums: Floats
    highest: Floats
    mean_so_far: Floats
    _found: dict[str | float, Floats] = field(default_factory=dict)

    def decayed_quantiles(self, shares: Mapping[float, tuple[float, ...]]) -> dict[tuple[float, float], Floats]:
        """(half-life in hours, share) -> that quantile of all samples so far, half as heavy for each half-life of age.

        shares: half-life -> shares that are wanted of it. Bucket tops; the last known where all has faded.
        """
        paces = [0.5 ** (self.ticks.hours / half_life) for half_life in shares]
        wanted = [(pace, share) for pace, (half_life, of_it) in enumerate(shares.items()) for share in of_it]
        histograms = self.carry.histograms_of("fading", paces, self._series)
        which, levels = np.array([pace for pace, _ in wanted]), np.array([share for _, share in wanted])
        rows = self._first_places
        found = np.empty((self._ticks + 1, len(wanted), self._series), dtype=np.int64)
        for tick in range(self._ticks):
            found[tick] = histograms.quantiles(levels, which)
            histograms.fade()
            now = self.lead + tick
            histograms.add((self.places[now] + rows).ravel(), self.is_known[now].ravel())
        found[-1] = histograms.quantiles(levels, which)
        half_lives = list(shares)
        return {
            (half_lives[pace], share): self._tops(f"fading {half_lives[pace]} {share}", found[:, number])
            for number, (pace, share) in enumerate(wanted)
        }

    def window_quantiles(self, hours: tuple[float, ...], share: float) -> list[Floats]:
        """The quantile of each of the last so many hours, as above; the last known where no sample is in."""
        histograms = Histograms([1.0] * len(hours), self._series)
        widths = [self._width(window) for window in hours]
        levels = np.full(len(hours), share)
        rows = self._first_places
        seen: NDArray[np.bool_] = np.asarray(self.is_known.any(axis=(1, 2)))
        for number, width in enumerate(widths):
            before = slice(self.lead - width, self.lead)
            if seen[before].any():
                histograms.add((self.places[before] + rows).ravel(), self.is_known[before].ravel(), pace=number)
        found = np.empty((self._ticks + 1, len(hours), self._series), dtype=np.int64)
        for tick in range(self._ticks):
            found[tick] = histograms.quantiles(levels)
            now = self.lead + tick
            histograms.add((self.places[now] + rows).ravel(), self.is_known[now].ravel())
            for number, width in enumerate(widths):
                if seen[now - width]:
                    left = (self.places[now - width] + rows).ravel()
                    histograms.add(left, -self.is_known[now - width].ravel(), pace=number)
        found[-1] = histograms.quantiles(levels)
        return [self._tops(f"window {one} {share}", found[:, number]) for number, one in enumerate(hours)]

    def window_means(self, hours: float) -> Floats:
        """The mean of the last `hours`; the last known where no sample is in."""
        if hours not in self._found:
            width = self._width(hours)
            sums, known = (
                self._running(name, each, width) for name, each in (("sum", self.sums), ("count", self.known))
            )
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = np.where(known > 0.5, np.maximum(sums, 0.0) / known, np.nan)
            self._found[hours] = self.carry.forward_filled(f"mean {hours}", mean)
        return self._found[hours]

    def window_peaks(self, hours: float, *, ending_hours_ago: float = 0.0) -> Floats:
        """The largest sample of `hours`; the last known where none is in.

        ending_hours_ago: the window ends so long before, at least 0; where the series is younger than that, NaN.
        """
        lag = round(ending_hours_ago / self.ticks.hours)
        width = self._width(hours, lag)
        some = slice(self.lead - lag - width, self.lead - lag + self._ticks)
        peaks = sliding_max(np.where(self.known[some] > 0, self._peaks()[some], -np.inf), width)[width:]
        found = np.where(np.isfinite(peaks), peaks, np.nan)
        return self.carry.forward_filled(f"peak {hours} {ending_hours_ago}", found)

    def _peaks(self) -> Floats:
        """The largest sample of each tick, of those in front too; carried only where a rule asks for peaks."""
        if "peaks" not in self._found:
            self._found["peaks"] = self.carry.ticks_before("peaks", self.highest, self.lead)
        return self._found["peaks"]

    def _running(self, name: str, each: Floats, width: int) -> Floats:
        """Sums of the last `width` ticks before each."""
        name = f"running {name} {width}"
        if name not in self.carry.arrays:
            self.carry.leave(name, each[self.lead - width : self.lead].sum(axis=0))
        return self.carry.running(name, each[self.lead :] - each[self.lead - width : len(each) - width])

    @property
    def _ticks(self) -> int:
        return len(self.ticks.samples)

    @property
    def _series(self) -> int:
        return int(self.ticks.samples.shape[1])

    @property
    def _first_places(self) -> Indices:
        return np.arange(self._series)[:, None] * BUCKETS

    def _width(self, hours: float, lag: int = 0) -> int:
        width = self.ticks.of_hours(hours)
        if width + lag > self.lead:
            raise ValueError(f"a window of {hours:g} h, {lag} ticks ago, reaches back beyond {self.lead} ticks")
        return width

    def _tops(self, name: str, buckets: Indices) -> Floats:
        """The upper ends of buckets; the last known where there is none (-1)."""
        return self.carry.forward_filled(name, np.where(buckets < 0, np.nan, np.exp((buckets + _LEAST) * _BUCKET)))


def in_units(ticks: Ticks, carry: Carry) -> tuple[Ticks, Floats]:
    """The same ticks with each series counted in its first sample above 0, and that sample; NaN before there is one."""
    filled = (
        np.where(np.isnan(ticks.samples), 0.0, ticks.samples).transpose(1, 0, 2).reshape(ticks.samples.shape[1], -1)
    )
    units = carry.first("units", filled[:, 0] if filled.size else np.zeros(len(filled)), unknown=np.nan)
    if filled.size:
        first = filled[np.arange(len(filled)), (filled > 0).argmax(axis=1)]
        units = np.where(np.isnan(units) & (first > 0), first, units)
    carry.leave("units", units)
    return replace(ticks, samples=ticks.samples / np.where(np.isnan(units), 1.0, units)[:, None]), units


def count(ticks: Ticks, carry: Carry) -> Past:
    """The past of series whose first sample above 0 is 1 or so."""
    samples = ticks.samples
    is_known = ~np.isnan(samples)
    filled = np.where(is_known, samples, 0.0)
    with np.errstate(divide="ignore"):
        bucket = np.ceil(np.log(filled) / _BUCKET - 1e-9)
    places = (np.clip(bucket, _LEAST, _MOST) - _LEAST).astype(np.int16)
    known, sums = is_known.sum(axis=2).astype(np.float64), filled.sum(axis=2)
    total, times = carry.running("all sums", sums), carry.running("all known", known)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_so_far = np.where(times > 0, total / times, np.nan)
    lead = ticks.of_hours(LONGEST_WINDOW_HOURS)
    return Past(
        ticks=ticks,
        carry=carry,
        lead=lead,
        places=carry.ticks_before("places", places, lead).astype(np.int64),
        is_known=carry.ticks_before("is known", is_known, lead).astype(np.float64),
        known=carry.ticks_before("known", known, lead),
        sums=carry.ticks_before("sums", sums, lead),
        highest=filled.max(axis=2),
        mean_so_far=mean_so_far,
    )


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
