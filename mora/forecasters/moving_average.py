"""A moving average with a trend: `prediction = moving_avg + trend x periods ahead`, the baseline of Helios.

The average is of the last twelve steps, the trend the slope of a straight line through the last twenty-four.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mora.domain import Reason, Target
from mora.domain.learning import AtRow, Experiments, Floats, Level, Past, Place, Saved
from mora.features import HIGH_QUANTILE, TARGET_COLUMNS
from mora.forecasters.places import row_of, targets_at
from mora.seams import Reporter

WINDOW, TREND_WINDOW = 12, 24


def extrapolated(use: Floats, steps: int) -> Floats:
    """The forecast of each of the coming steps from those before them, shape (steps,), never below 0.

    >>> extrapolated(np.arange(24.0), 3)
    array([18.5, 19.5, 20.5])
    """
    last = use[-TREND_WINDOW:]
    at = np.arange(len(last)) - (len(last) - 1) / 2
    squares = float(at @ at)
    slope = float(at @ last) / squares if squares > 0 else 0.0
    found: Floats = np.maximum(use[-WINDOW:].mean() + slope * np.arange(1, steps + 1), 0.0)
    return found


@dataclass(frozen=True, slots=True)
class FittedMovingAverage:
    """The average and the slope of the steps before each place."""

    reasons: tuple[Reason, ...] = ()

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        """The mean of the extrapolated steps; the p95 lies as far above it as it did in the last horizon."""
        return [{} if at is None else _at(at) for at in map(row_of, places)]

    def save(self) -> Saved:
        """Nothing: nothing is learned."""
        return Saved()


def _at(at: AtRow) -> dict[Target, Level]:
    found = {}
    for target in targets_at(at.grid):
        use = at.grid.filled[TARGET_COLUMNS[target]][max(at.row - max(TREND_WINDOW, at.grid.steps), 0) : at.row]
        path = extrapolated(use, at.grid.steps)
        mean, last = float(path.mean()), use[-at.grid.steps :]
        lift = max(float(np.quantile(last, HIGH_QUANTILE) - last.mean()), 0.0)
        found[target] = (mean, max(mean + lift, float(np.quantile(path, HIGH_QUANTILE))))
    return found


class MovingAverageForecaster:
    """Use goes on along its last slope."""

    name = "moving-average"
    is_refitted = True

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedMovingAverage:
        """Ready at once: all that counts is what lies before a place."""
        return FittedMovingAverage()

    def restore(self, saved: Saved) -> FittedMovingAverage:
        """As fitted."""
        return FittedMovingAverage()
