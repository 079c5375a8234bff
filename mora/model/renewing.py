"""The forecasters of a training as they were at each moment of the past, and what they forecast there.

What is cheap to fit is renewed once a week on the way; the others are fitted once, before anything is validated.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np

from mora.domain import Reason, Target
from mora.domain.learning import DAY_SECONDS, AtRow, HorizonGrid, Level, Past
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import HOUR_SECONDS, plain_at
from mora.model import learners
from mora.model.learners import Fitted
from mora.seams import FittedForecaster, Forecaster, Silent

RENEWED_SECONDS = 7 * DAY_SECONDS
_MOST_ORIGINS = 20


class Renewed:
    """The cheap forecasters as they would have been at a moment: renewed weekly, by the hour, for every horizon.

    grid: the history by the hour. optional: forecasters that may fail (learners.fit_each).
    """

    def __init__(
        self,
        grid: HorizonGrid,
        targets: Sequence[Target],
        forecasters: Mapping[str, Forecaster],
        seed: int,
        optional: Container[str] = (),
    ) -> None:
        self.grid, self._optional = grid, optional
        self._targets, self._forecasters, self._seed = targets, forecasters, seed
        self._fitted: dict[int, Fitted] = {}
        self._now: tuple[Fitted, list[Reason]] | None = None

    def before(self, moment: float, oldest: float) -> Fitted:
        """Fitted at `oldest` or a whole number of weeks after it, before `moment`; without those that lack data."""
        edge = oldest + (moment - oldest) // RENEWED_SECONDS * RENEWED_SECONDS
        row = max(int((edge - self.grid.start_seconds) / self.grid.step_seconds + 1e-6), 0)
        if row not in self._fitted:
            self._fitted[row] = self._fit(row)[0]
        return self._fitted[row]

    def now(self) -> tuple[Fitted, list[Reason]]:
        """Fitted on everything, and why any of them is missing."""
        if self._now is None:
            self._now = self._fit(len(self.grid))
        return self._now

    def _fit(self, row: int) -> tuple[Fitted, list[Reason]]:
        data = Past(self.grid.before(row), self._targets, row, row)
        return learners.fit_each(self._forecasters, data, seed=self._seed, reporter=Silent(), optional=self._optional)


def forecasts_at(
    grid: HorizonGrid,
    rows: Sequence[int],
    targets: Sequence[Target],
    own: Fitted,
    others_at: Callable[[int], Fitted],
    *,
    optional: Container[str] = (),
    reasons: list[Reason] | None = None,
) -> dict[Target, list[dict[str, Level]]]:
    """target -> per row: forecaster -> mean and p95 of the horizon that begins there.

    own: fitted for this horizon. others_at: row -> the forecasters that serve every horizon, as they were then.
    optional: those whose failure leaves them out alone, with one of the `reasons`; so do they where they forecast what
    is no number.
    """
    places = [AtRow(grid, row) for row in rows]
    found: dict[Target, list[dict[str, Level]]] = {
        target: [plain_at(grid, TARGET_COLUMNS[target], row) for row in rows] for target in targets
    }

    def take(name: str, number: int, levels: Mapping[Target, Level]) -> None:
        for target in targets:
            if target in levels and (name not in optional or bool(np.isfinite(levels[target]).all())):
                found[target][number][name] = levels[target]

    def asked(name: str, forecaster: FittedForecaster, about: Sequence[AtRow]) -> Sequence[Mapping[Target, Level]]:
        try:
            return forecaster.levels(about)
        except Exception as failure:
            if name not in optional or reasons is None:
                raise
            reasons.append(learners.not_compared(name, failure))
            return [{} for _ in about]

    for number, place in enumerate(places):
        for name, forecaster in others_at(place.row).items():
            take(name, number, asked(name, forecaster, [place])[0])
    for name, forecaster in own.items():
        for number, levels in enumerate(asked(name, forecaster, places)):
            take(name, number, levels)
    return found


def origins_of(grid: HorizonGrid, first: int, second: int) -> list[tuple[int, str]]:
    """Rows at which validation windows begin: those that choose end before row `second`, those that score come after.

    Whole horizons apart where these are short (the bounds learn at their edges), evenly over each part.
    """
    apart = 1 if grid.horizon_seconds > HOUR_SECONDS else grid.steps
    found: list[tuple[int, str]] = []
    for begin, end, role in ((first, second, "choose"), (second, len(grid), "score")):
        count = (end - grid.steps - begin) // apart + 1
        if count > 0:
            picks = np.unique(np.linspace(0, count - 1, min(count, _MOST_ORIGINS)).round().astype(int))
            found += [(begin + int(pick) * apart, role) for pick in picks]
    return found


def moment_of(grid: HorizonGrid, row: int) -> float:
    """When a row begins, epoch seconds."""
    return grid.start_seconds + row * grid.step_seconds
