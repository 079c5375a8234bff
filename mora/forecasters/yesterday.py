"""The same time yesterday: the seasonal naive forecast, which anything that knows of days should beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mora.domain import Reason, Target
from mora.domain.learning import DAY_SECONDS, AtRow, Experiments, Level, Past, Place, Saved
from mora.features import HIGH_QUANTILE, TARGET_COLUMNS
from mora.forecasters.horizon import YESTERDAY
from mora.forecasters.places import row_of, targets_at
from mora.seams import Reporter


@dataclass(frozen=True, slots=True)
class FittedYesterday:
    """The steps a day before those that are forecast; of a younger history, its last horizon."""

    reasons: tuple[Reason, ...] = ()

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        """Mean and p95 of what was used at the same time of the day before each place."""
        return [{} if at is None else _day_before(at) for at in map(row_of, places)]

    def save(self) -> Saved:
        """Nothing: nothing is learned."""
        return Saved()


def _day_before(at: AtRow) -> dict[Target, Level]:
    grid, row = at.grid, at.row
    back = max(grid.steps_of_day, grid.steps)
    if row < back:
        back = min(grid.steps, row)
    found = {}
    for target in targets_at(grid):
        path = grid.filled[TARGET_COLUMNS[target]][row - back :][: min(grid.steps, back)]
        mean = float(path.mean())
        found[target] = (mean, max(float(np.quantile(path, HIGH_QUANTILE)), mean))
    return found


class YesterdayForecaster:
    """Use is what it was at this time of the day before."""

    name = YESTERDAY
    is_refitted = True

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedYesterday:
        """Ready at once; a history of less than a day is a reason."""
        if isinstance(data, Past) and data.fit_until * data.grid.step_seconds >= DAY_SECONDS:
            return FittedYesterday()
        text = "a day before there is no use that is known: the last horizon stands for yesterday"
        return FittedYesterday((Reason("no-yesterday", text),))

    def restore(self, saved: Saved) -> FittedYesterday:
        """As fitted."""
        return FittedYesterday()
