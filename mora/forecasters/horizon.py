"""The use of the coming horizon, forecast directly: grids of a history, and the plain forecasts on them.

A horizon is how far ahead a recommendation must be right: a day, or an hour. It is not forecast step by step: every
forecast is of the horizon's mean (and its p95) at once, from a history on a grid of its own: an hour for a day, five
minutes for an hour, whose last step is then the best of the plain forecasts. What each is worth on recorded traces:
experiments/benchmarks/forecast.py.

Everything looks back only: a forecast at a row rests on the rows before it (tests/forecasters/test_horizon.py, by
truncation).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mora.domain.learning import Floats, HorizonGrid, Level
from mora.errors import NotEnoughData
from mora.features import HIGH_QUANTILE
from mora.fusion import NAIVE
from mora.quantities import format_duration
from mora.shapley import in_words, last_horizon

HOUR_SECONDS = 3_600.0
# Horizons this long are cut into 24 steps, shorter ones into 12: an hour for a day, five minutes for an hour.
_LONG_HORIZON_SECONDS = 6 * HOUR_SECONDS
_LONG_STEPS, _SHORT_STEPS = 24, 12
# The plain forecasts beside the last horizon's mean: the last step, the same time yesterday, a week's median by slot.
LAST, YESTERDAY, SLOTS = "last", "yesterday", "slots"
PLAIN = (NAIVE, LAST, YESTERDAY, SLOTS)
_SLOT_DAYS = 7


def steps_in(horizon_seconds: float, sample_seconds: float) -> int:
    """How many steps a horizon is cut into; none is finer than the samples are.

    >>> steps_in(86400, 300), steps_in(3600, 300), steps_in(3600, 900), steps_in(3600, 3600)
    (24, 12, 4, 1)
    """
    wanted = _LONG_STEPS if horizon_seconds >= _LONG_HORIZON_SECONDS else _SHORT_STEPS
    return max(1, min(wanted, math.floor(horizon_seconds / sample_seconds + 1e-9)))


def lay(
    columns: Mapping[str, Floats], *, sample_seconds: float, start_seconds: float, horizon_seconds: float
) -> HorizonGrid:
    """Samples on a constant grid -> the grid of a horizon. columns: name -> shape (n,), NaN where missing.

    Columns without any known sample are left out; NotEnoughData where none is left. A first step that is not whole is
    dropped.

    >>> grid = lay({"use": np.arange(30.0)}, sample_seconds=300, start_seconds=0, horizon_seconds=3600)
    >>> len(grid), grid.steps, grid.means["use"][-2:]
    (30, 12, array([28., 29.]))
    """
    known = {name: values for name, values in columns.items() if not bool(np.isnan(values).all())}
    if not known:
        raise NotEnoughData("There is no known sample to lay on a grid.")
    steps = steps_in(horizon_seconds, sample_seconds)
    step_seconds = horizon_seconds / steps
    count = len(next(iter(known.values())))
    rows = math.floor(count * sample_seconds / step_seconds + 1e-9)
    # Counted back from the end, so that the horizon that begins now begins with a step.
    slot = rows - 1 - np.floor((count - 1 - np.arange(count)) * sample_seconds / step_seconds + 1e-9).astype(np.int64)
    means = {name: _means(values, slot, rows) for name, values in known.items()}
    start = start_seconds + count * sample_seconds - rows * step_seconds
    return HorizonGrid(
        horizon_seconds, steps, start, means, {name: fill_from_past(values) for name, values in means.items()}
    )


def _means(values: Floats, slot: np.ndarray, rows: int) -> Floats:
    inside = (slot >= 0) & ~np.isnan(values)
    sums = np.bincount(slot[inside], values[inside], minlength=rows)
    counts = np.bincount(slot[inside], minlength=rows)
    found: Floats = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return found


def fill_from_past(values: Floats) -> Floats:
    """Unknown values as the last known one before them (the first known one at the start); zeros where none is."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return np.zeros(len(values))
    last = np.maximum.accumulate(np.where(np.isnan(values), known[0], np.arange(len(values))))
    found: Floats = values[last]
    return found


def truth_at(grid: HorizonGrid, column: str, row: int) -> Level | None:
    """The use of the horizon that begins with a row; None where fewer than half of its steps are known."""
    if row + grid.steps > len(grid) or not grid.knows(column, row, row + grid.steps):
        return None
    ahead = grid.means[column][row : row + grid.steps]
    ahead = ahead[~np.isnan(ahead)]
    return float(ahead.mean()), float(np.quantile(ahead, HIGH_QUANTILE))


# --- the plain forecasts ----------------------------------------------------------------------------------------------


def path_at(grid: HorizonGrid, column: str, row: int, member: str) -> Floats | None:
    """A plain forecast of every step of the horizon that begins with a row, shape (steps,); None where it has none.

    naive: the mean of the last horizon. last: the last step. yesterday: the same steps a day before, for horizons
    shorter than that (of a day it is the last horizon itself). slots: their median over the last seven days, of two at
    least.
    """
    use, steps, day = grid.filled[column], grid.steps, grid.steps_of_day
    if row < 1:
        return None
    if member == NAIVE:
        return np.full(steps, use[max(row - steps, 0) : row].mean())
    if member == LAST:
        return np.full(steps, use[row - 1])
    if member == YESTERDAY:
        return use[row - day : row - day + steps] if steps < day <= row else None
    days = min(row // day, _SLOT_DAYS)
    if days < 2 or steps > day:
        return None
    found: Floats = np.median([use[row - back * day : row - back * day + steps] for back in range(1, days + 1)], axis=0)
    return found


def plain_labels(grid: HorizonGrid, column: str) -> dict[str, str]:
    """plain forecast -> how mora explain --shap calls what it looks at."""
    return {
        NAIVE: last_horizon(grid.horizon_seconds),
        LAST: f"last step ({format_duration(grid.step_seconds)})",
        YESTERDAY: f"{in_words(column)} a day earlier",
        SLOTS: "usual at this time of day",
    }


def plain_at(grid: HorizonGrid, column: str, row: int) -> dict[str, Level]:
    """plain forecast -> mean and p95 of the horizon that begins with a row, of those that the history allows.

    Where one knows a single level only, the p95 lies as far above it as it did in the last horizon.
    """
    use = grid.filled[column][max(row - grid.steps, 0) : row]
    lift = float(np.quantile(use, HIGH_QUANTILE) - use.mean()) if len(use) else 0.0
    found: dict[str, Level] = {}
    for member in PLAIN:
        path = path_at(grid, column, row, member)
        if path is not None:
            mean = float(path.mean())
            high = mean + lift if member in (NAIVE, LAST) else float(np.quantile(path, HIGH_QUANTILE))
            found[member] = (mean, high)
    return found
