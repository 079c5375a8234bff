"""Seasonal MAD: how many median deviations each metric is from its usual value at this time of day."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.context import SLOTS, UsualDay, robust_scale, usual_day
from mora.detectors.frames import fitted_columns, known_columns, matrix_of, seconds_of
from mora.detectors.windows import CLIP, misfit, restored, shares_of
from mora.domain.learning import Saved

Floats = NDArray[np.float64]

_LEAST_ROWS = 20
_ARRAYS = ("middle", "spread", "day", "day_spread")


class SeasonalMad:
    """A metric whose days are not alike, or with less than two days of history, is compared with its median."""

    name = "seasonal-mad"
    context = 0

    def __init__(self) -> None:
        self.columns: tuple[str, ...] = ()
        self.reasons: tuple[str, ...] = ()
        self._middle = self._spread = np.empty(0)
        self._day = UsualDay(np.empty((SLOTS, 0)), np.empty(0))

    def fit(self, frame: pd.DataFrame) -> None:
        """Learn the usual day of each metric, and what remains beside it."""
        self.columns, self.reasons = known_columns(frame, _LEAST_ROWS, self.name)
        values = matrix_of(frame, self.columns)
        self._middle, self._spread = robust_scale(values)
        self._day = usual_day(seconds_of(frame), self._scaled(values))

    def score(self, frame: pd.DataFrame) -> Floats:
        """The root of the mean square over the known metrics, in deviations."""
        squares = self._squares(frame)
        known = np.isfinite(squares).sum(axis=1)
        found: Floats = np.sqrt(np.nansum(squares, axis=1) / np.where(known > 0, known, np.nan))
        return found

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each metric's share of the squares."""
        return shares_of(self._squares(frame), frame, self.columns)

    def save(self) -> Saved:
        """The usual day and the deviations."""
        document = {"columns": list(fitted_columns(self.columns)), "reasons": list(self.reasons)}
        arrays = (self._middle, self._spread, self._day.levels, self._day.spread)
        return Saved(document, dict(zip(_ARRAYS, arrays, strict=True)))

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        columns, reasons, (middle, spread, levels, rest) = restored(saved, _ARRAYS, self.name)
        m = len(columns)
        if not (
            middle.shape == spread.shape == rest.shape == (m,)
            and levels.shape == (SLOTS, m)
            and (spread > 0).all()
            and (rest > 0).all()
        ):
            raise misfit(self.name)
        self.columns, self.reasons = columns, reasons
        self._middle, self._spread, self._day = middle, spread, UsualDay(levels, rest)

    def _scaled(self, values: Floats) -> Floats:
        scaled: Floats = np.clip((values - self._middle) / self._spread, -CLIP, CLIP)
        return scaled

    def _squares(self, frame: pd.DataFrame) -> Floats:
        """Squared deviations, shape (rows, metrics); NaN where not known."""
        scaled = self._scaled(matrix_of(frame, fitted_columns(self.columns)))
        deviations: Floats = np.minimum(np.abs(scaled - self._day.at(seconds_of(frame))) / self._day.spread, CLIP)
        return deviations**2
