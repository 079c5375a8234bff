"""What surrounds a sample: rolling means and deviations, changes, and the usual value at its time of day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAY_SECONDS = 86_400.0
# The median deviation of a normal distribution, as a share of its standard deviation.
_NORMAL = 0.6745
_MEDIAN_ROWS = 4096


def robust_scale(values: Floats, level_share: float = 0.001) -> tuple[Floats, Floats]:
    """Middle and spread of each column, both of shape (columns,); the spread is above 0.

    The spread is that of a normal distribution with the same median deviation, but at least a third of the standard
    deviation, since some metrics rest most of the time, and `level_share` of the level, since a change of so little
    makes no service sick.
    """
    known: NDArray[np.bool_] = np.asarray(np.isfinite(values).any(axis=0))
    middle, spread, deviation = np.zeros((3, values.shape[1]))
    # Medians are most of the time of a fit, and those of some thousand rows are as good.
    some = values[:: max(1, len(values) // _MEDIAN_ROWS)]
    if not np.isfinite(some[:, known]).any(axis=0).all():
        some = values
    middle[known] = np.nanmedian(some[:, known], axis=0)
    spread[known] = np.nanmedian(np.abs(some[:, known] - middle[known]), axis=0) / _NORMAL
    deviation[known] = np.nanstd(values[:, known], axis=0)
    spread = np.maximum(np.maximum(spread, deviation / 3), level_share * np.abs(middle))
    return middle, np.where(spread > 0, spread, 1e-12)


def rolling(values: Floats, *windows: int) -> list[tuple[Floats, Floats]]:
    """For each window, mean and standard deviation of the known samples of so many last rows, of the shape of values.

    At the start a window is as long as there are rows; NaN where nothing in it is known.
    """
    known = np.isfinite(values)
    is_whole = bool(known.all())
    filled = values if is_whole else np.where(known, values, 0.0)
    sums, squares = np.cumsum(filled, axis=0), np.cumsum(filled * filled, axis=0)
    counts = np.arange(1.0, len(values) + 1)[:, None] if is_whole else np.cumsum(known, axis=0, dtype=np.float64)
    found = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for rows in windows:
            count = _last(counts, rows)
            mean = _last(sums, rows) / count
            found.append((mean, np.sqrt(np.maximum(_last(squares, rows) / count - mean * mean, 0.0))))
    return found


def _last(sums: Floats, rows: int) -> Floats:
    """From running sums those of the last `rows` rows."""
    found = sums.copy()
    found[rows:] -= sums[:-rows]
    return found


def lagged(values: Floats, rows: int) -> Floats:
    """The value `rows` rows before, the first one at the start."""
    return np.concatenate([np.repeat(values[:1], min(rows, len(values)), axis=0), values[:-rows]])


def recency(values: Floats, weights: Floats) -> Floats:
    """A weighted mean of each row and those before it, over what is known; weights: of this row, the one before, ...

    >>> recency(np.array([[0.0], [3.0], [np.nan]]), np.array([2.0, 1.0]))[:, 0]
    array([0., 2., 3.])
    """
    known = np.isfinite(values)
    is_whole = bool(known.all())
    filled = values if is_whole else np.where(known, values, 0.0)
    total = _weighted(filled, weights)
    if is_whole:
        return total / np.cumsum(weights)[np.minimum(np.arange(len(values)), len(weights) - 1)][:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / _weighted(known.astype(np.float64), weights)


def _weighted(values: Floats, weights: Floats) -> Floats:
    """Weighted sums of each row and those before it; a row before the first counts 0."""
    if not len(values):
        return values
    return np.stack([np.convolve(column, weights)[: len(values)] for column in values.T], axis=1)


@dataclass(frozen=True, slots=True)
class UsualDay:
    """The usual value of each metric at each time of day, learnt from several days.

    levels: shape (slots, columns); 0 for a metric whose days are not alike. spread: shape (columns,), what remains.
    """

    levels: Floats
    spread: Floats

    def at(self, seconds: Floats) -> Floats:
        """The usual values at these moments, shape (rows, columns)."""
        found: Floats = self.levels[slots_of(seconds, len(self.levels))]
        return found


def slots_of(seconds: Floats, slots: int) -> NDArray[np.int64]:
    """Which slot of the day (UTC) each moment falls into."""
    found: NDArray[np.int64] = (np.mod(seconds, DAY_SECONDS) * (slots / DAY_SECONDS)).astype(np.int64)
    return np.minimum(found, slots - 1)


# Half an hour: long enough to hold several samples of each day, short enough to follow a morning.
SLOTS = 48
# What remains of a metric, and each of its features, varies by at least so much of the spread of its samples: else one
# byte more would be abnormal in a metric that never moved.
LEAST_SPREAD = 0.01
# A day's shape is used where the days that it was not learnt from are at least so much nearer to it than to a level.
_GAIN = 0.9


def usual_day(seconds: Floats, values: Floats) -> UsualDay:
    """Learn it from at least two days; metrics whose days are not alike, and shorter histories, get a plain level.

    values: in spreads of their metrics. Validated across days: what the even days say of the odd ones, and the other
    way round.
    """
    level = np.nanmedian(values, axis=0)
    day = np.floor((seconds - seconds[0]) / DAY_SECONDS).astype(np.int64)
    levels = np.repeat(level[None], SLOTS, axis=0)
    if seconds[-1] - seconds[0] >= 2 * DAY_SECONDS:
        even = day % 2 == 0
        slots = slots_of(seconds, SLOTS)
        by_even, by_odd = (_slot_medians(slots[part], values[part], level) for part in (even, ~even))
        shaped = np.where(even[:, None], by_odd[slots], by_even[slots])
        error, plain = (np.nanmean(np.abs(values - usual), axis=0) for usual in (shaped, level))
        is_daily = error < _GAIN * plain
        levels[:, is_daily] = _slot_medians(slots, values, level)[:, is_daily]
    rest = values - levels[slots_of(seconds, SLOTS)]
    return UsualDay(levels, np.maximum(robust_scale(rest)[1], LEAST_SPREAD))


def _slot_medians(slots: NDArray[np.int64], values: Floats, level: Floats) -> Floats:
    """The median of each slot, shape (SLOTS, columns); the level where a slot has no sample."""
    # All slots at once, as rows of a table that is sorted: one median after the other takes several times as long.
    counts = np.bincount(slots, minlength=SLOTS)
    order = np.argsort(slots, kind="stable")
    place = np.arange(len(slots)) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.full((SLOTS, int(counts.max(initial=1)), values.shape[1]), np.nan)
    table[slots[order], place] = values[order]
    table.sort(axis=1)  # NaN come last
    known = np.isfinite(table).sum(axis=1)
    low, high = (
        np.take_along_axis(table, np.maximum(rank, 0)[:, None], axis=1)[:, 0] for rank in ((known - 1) // 2, known // 2)
    )
    return np.where(known > 0, 0.5 * (low + high), level)
