"""The table that boosted trees learn from: what is known at a row of a grid, as numbers without a scale.

Of each column the features of Helios (mora/helios_features.py) at the row before, and of the target also what looks as
far as the horizon does: the same time of earlier days, longer means, the plain forecasts. Amounts stand as logarithms
of their ratio to the mean of the last horizon, so that a service which has grown looks like what it was. Nothing at a
row or after it is looked at; what a short history does not reach is NaN.

The forecast that trees correct is the anchor: a mixture of the plain forecasts in logarithms. Trees are good at what
depends on the hour or on a burst, and bad at a straight line through plain forecasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mora import helios_features
from mora.domain.learning import DAY_SECONDS, Floats, HorizonGrid
from mora.forecasters.horizon import LAST, SLOTS, YESTERDAY
from mora.fusion import NAIVE

Rows = NDArray[np.int64]

ANCHORS = (NAIVE, LAST, YESTERDAY, SLOTS)
# Idle steps count as this share of the mean use: logarithms of nothing explode.
_IDLE_SHARE = 0.02
_SLOT_DAYS = 7
_DAY_LAGS = (1, 2, 3, 7, 14)
_HORIZONS_BACK = (2, 3, 4)
_MEANS_SECONDS = {"3h": 3 * 3600.0, "day": DAY_SECONDS, "week": 7 * DAY_SECONDS}
# Longer logarithms are those of a column that was idle.
_MOST_LOG = 8.0
_OWN_NAMES = (
    "last",
    "second_last",
    *(f"horizon_{back}_back" for back in _HORIZONS_BACK),
    *(f"same_time_{days}d_ago" for days in _DAY_LAGS),
    *(f"then_changed_{days}d_ago" for days in _DAY_LAGS),
    "slots",
    *(f"mean_{name}" for name in _MEANS_SECONDS),
    "max_horizon",
    "min_horizon",
    "max_day",
    "slope",
)


def idle_of(values: Floats) -> float:
    """What is added to every value before its logarithm, in its unit."""
    mean = float(values.mean()) if len(values) else 0.0
    return _IDLE_SHARE * mean if mean > 0 else 1e-9


def names(columns: Sequence[str], column: str) -> tuple[str, ...]:
    """The features' names, in their order; `columns` are the grid's that are looked at, `column` is the target's."""
    return (*helios_features.names(columns), *(f"{column}_{name}" for name in _OWN_NAMES))


def table(grid: HorizonGrid, rows: Rows, columns: Sequence[str], column: str, idle: Mapping[str, float]) -> Floats:
    """The features of each row, shape (rows, len(names(columns, column))); every row is at least 1."""
    helios = _helios(grid, rows, columns, idle)
    own = _own(grid, rows, column, idle[column])
    # Float32, as both libraries split.
    found: Floats = np.hstack([helios, own]).astype(np.float32).astype(np.float64)
    return found


def levels(grid: HorizonGrid, rows: Rows, column: str) -> Floats:
    """The mean of the last horizon before each row, shape (rows,)."""
    return _mean_between(grid.filled[column], np.maximum(rows - grid.steps, 0), rows)


def anchors(grid: HorizonGrid, rows: Rows, column: str, idle: float) -> Floats:
    """Logarithms of the plain forecasts of the mean, in the order of ANCHORS, shape (rows, 4).

    Where there is none yet, the mean of the last horizon stands for it.
    """
    use = grid.filled[column]
    naive = levels(grid, rows, column)
    yesterday = _same_time(grid, use, rows, 1) if grid.steps < grid.steps_of_day else np.full(len(rows), np.nan)
    found = np.column_stack([naive, use[rows - 1], yesterday, _slots(grid, use, rows)])
    found = np.where(np.isnan(found), naive[:, None], found)
    logs: Floats = np.log(np.maximum(found, 0.0) + idle)
    return logs


def truths(grid: HorizonGrid, rows: Rows, column: str) -> Floats:
    """The mean of the horizon that begins with each row, shape (rows,); NaN where less than half of it is known.

    Rows whose last horizon is not known so well are NaN, too: there is nothing to learn from.
    """
    means = grid.means[column]
    known = ~np.isnan(means)
    found = np.full(len(rows), np.nan)
    inside = np.flatnonzero((rows >= grid.steps) & (rows + grid.steps <= len(grid)))
    if not len(inside):
        return found
    begin = rows[inside]
    counts = _sum_between(known.astype(np.float64), begin, begin + grid.steps)
    before = _sum_between(known.astype(np.float64), begin - grid.steps, begin)
    ahead = sliding_window_view(np.where(known, means, 0.0), grid.steps)[begin].sum(axis=1)
    enough = (2 * counts >= grid.steps) & (2 * before >= grid.steps)
    found[inside[enough]] = ahead[enough] / counts[enough]
    return found


def _helios(grid: HorizonGrid, rows: Rows, columns: Sequence[str], idle: Mapping[str, float]) -> Floats:
    times = helios_features.features(
        grid.start_seconds + grid.step_seconds * rows.astype(np.float64), np.empty((len(rows), 0)), ()
    )
    # What may be known at a row is all that the row before knows, its own moment included.
    first, last = max(int(rows.min()) - 1 - helios_features.ROWS_BEFORE, 0), int(rows.max())
    values = np.column_stack([grid.filled[name][first:last] for name in columns])
    found = helios_features.features(grid.seconds(first, last), values, columns)[rows - 1 - first]
    start = len(helios_features.TIME)
    found[:, :start] = times
    bases = [levels(grid, rows, name) + idle[name] for name in columns]
    for name, base in zip(columns, bases, strict=True):
        for feature in helios_features.OF_EACH:
            if feature.startswith("rolling_std"):
                found[:, start] /= base
            elif feature.startswith("pct_change"):
                np.clip(found[:, start], -1.0, np.exp(_MOST_LOG), out=found[:, start])
            else:
                found[:, start] = _relative(found[:, start], base, idle[name])
            start += 1
    for _, above, below in helios_features.ratios(columns):
        found[:, start] *= bases[below] / bases[above]
        found[:, start] = np.log(np.clip(found[:, start], np.exp(-_MOST_LOG), np.exp(_MOST_LOG)))
        start += 1
    return found


def _own(grid: HorizonGrid, rows: Rows, column: str, idle: float) -> Floats:
    use, steps, day = grid.filled[column], grid.steps, grid.steps_of_day
    base = levels(grid, rows, column) + idle

    def mean(begin: Rows, end: Rows) -> Floats:
        """Of these rows, in logarithms; NaN where they begin before the history."""
        is_there = begin >= 0
        means = _mean_between(use, np.where(is_there, begin, 0), np.where(is_there, end, 0))
        return np.where(is_there, _relative(means, base, idle), np.nan)

    def same_time(days: int) -> Floats:
        return _relative(_same_time(grid, use, rows, days), base, idle)

    last = _relative(use[rows - 1], base, idle)
    found = [last, _relative(use[np.maximum(rows - 2, 0)], base, idle)]
    found += [mean(rows - back * steps, rows - (back - 1) * steps) for back in _HORIZONS_BACK]
    found += [same_time(days) for days in _DAY_LAGS]
    found += [same_time(days) - mean(rows - days * day - steps, rows - days * day) for days in _DAY_LAGS]
    found.append(_relative(_slots(grid, use, rows), base, idle))
    for seconds in _MEANS_SECONDS.values():
        found.append(mean(rows - max(round(seconds / grid.step_seconds), 1), rows))
    found += [_extreme(use, rows, length, base, idle, which) for length, which in ((steps, 1), (steps, -1), (day, 1))]
    half = max(steps // 2, 1)
    found.append(mean(rows - half, rows) - mean(rows - 2 * half, rows - half))
    return np.column_stack(found)


def _relative(values: Floats, base: Floats, idle: float) -> Floats:
    found: Floats = np.clip(np.log((np.maximum(values, 0.0) + idle) / base), -_MOST_LOG, _MOST_LOG)
    return found


def _same_time(grid: HorizonGrid, use: Floats, rows: Rows, days: int) -> Floats:
    """The mean of the steps so many days before those of the horizon; NaN where they are not behind, or not there."""
    begin = rows - days * grid.steps_of_day
    is_there = (begin >= 0) & (begin + grid.steps <= rows)
    clipped = np.maximum(begin, 0)
    end = np.minimum(clipped + grid.steps, rows)
    return np.where(is_there, _mean_between(use, clipped, end), np.nan)


def _slots(grid: HorizonGrid, use: Floats, rows: Rows) -> Floats:
    """The mean of the median, by time of day, of the last seven days; of two at least, else NaN."""
    day, steps = grid.steps_of_day, grid.steps
    if steps > day:
        return np.full(len(rows), np.nan)
    at = rows[:, None, None] - day * np.arange(1, _SLOT_DAYS + 1)[None, :, None] + np.arange(steps)[None, None, :]
    is_there = (rows[:, None] >= day * np.arange(1, _SLOT_DAYS + 1)[None, :])[:, :, None]
    paths = np.where(is_there, use[np.maximum(at, 0)], np.nan)
    found = np.full(len(rows), np.nan)
    enough = rows >= 2 * day
    if enough.any():
        found[enough] = np.nanmedian(paths[enough], axis=1).mean(axis=1)
    return found


def _extreme(use: Floats, rows: Rows, length: int, base: Floats, idle: float, which: int) -> Floats:
    """The largest (or smallest) of so many steps before each row, in logarithms; NaN where they are not all there."""
    found = np.full(len(rows), np.nan)
    enough = rows >= length
    if enough.any():
        windows = sliding_window_view(use, length)[rows[enough] - length]
        found[enough] = windows.max(axis=1) if which > 0 else windows.min(axis=1)
    return _relative(found, base, idle)


def _sum_between(values: Floats, begin: Rows, end: Rows) -> Floats:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    found: Floats = sums[end] - sums[begin]
    return found


def _mean_between(values: Floats, begin: Rows, end: Rows) -> Floats:
    found: Floats = np.maximum(_sum_between(values, begin, end) / np.maximum(end - begin, 1), 0.0)
    return found
