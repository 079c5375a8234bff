"""PCA: how far a window of the last rows is from the usual ones, each principal direction in its own spread."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.context import robust_scale
from mora.detectors.frames import fitted_columns, known_columns, matrix_of
from mora.detectors.windows import (
    by_metric,
    known_rows,
    misfit,
    restored,
    rows_of_window,
    shares_of,
    windows_of,
)
from mora.domain.learning import Saved

Floats = NDArray[np.float64]

_LEAST_ROWS = 40
# A direction in which nothing ever moved is not told apart from noise: of the widest direction's variance.
_FLOOR = 1e-3
_ARRAYS = ("middle", "spread", "mean", "directions", "variances")


class Pca:
    """All directions count: those of little variance are where metrics break with what they usually do together."""

    name = "pca"

    def __init__(self) -> None:
        self.columns: tuple[str, ...] = ()
        self.reasons: tuple[str, ...] = ()
        self.context = 0
        self._middle = self._spread = self._mean = self._directions = self._variances = np.empty(0)

    def fit(self, frame: pd.DataFrame) -> None:
        """Find the principal directions of the windows of a history."""
        self.columns, self.reasons = known_columns(frame, _LEAST_ROWS, self.name)
        values = matrix_of(frame, self.columns)
        self._middle, self._spread = robust_scale(values)
        rows = rows_of_window(len(self.columns))
        self.context = rows - 1
        windows = windows_of(values, self._middle, self._spread, rows)
        self._mean = windows.mean(axis=0)
        around = windows - self._mean
        variances, self._directions = np.linalg.eigh(around.T @ around / len(around))
        self._variances = np.maximum(variances, max(_FLOOR * float(variances[-1]), 1e-9))

    def score(self, frame: pd.DataFrame) -> Floats:
        """The root of the mean square over the directions; 1 is usual."""
        around, known = self._around(frame)
        found = np.sqrt(((around @ self._directions) ** 2 / self._variances).mean(axis=1))
        return np.where(known, found, np.nan)

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """What each metric's values add to the squared distance."""
        around, known = self._around(frame)
        back = (around @ self._directions / self._variances) @ self._directions.T
        parts = by_metric(np.maximum(around * back, 0.0), len(self.columns))
        return shares_of(np.where(known[:, None], parts, 0.0), frame, self.columns)

    def save(self) -> Saved:
        """Scales, mean, directions and their variances."""
        document = {"columns": list(fitted_columns(self.columns)), "reasons": list(self.reasons)}
        arrays = (self._middle, self._spread, self._mean, self._directions, self._variances)
        return Saved(document, dict(zip(_ARRAYS, arrays, strict=True)))

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        columns, reasons, (middle, spread, mean, directions, variances) = restored(saved, _ARRAYS, self.name)
        m, rows = len(columns), rows_of_window(len(columns))
        if not (
            middle.shape == spread.shape == (m,)
            and mean.shape == variances.shape == (m * rows,)
            and directions.shape == (m * rows, m * rows)
            and (spread > 0).all()
            and (variances > 0).all()
        ):
            raise misfit(self.name)
        self.columns, self.reasons, self.context = columns, reasons, rows - 1
        self._middle, self._spread, self._mean = middle, spread, mean
        self._directions, self._variances = directions, variances

    def _around(self, frame: pd.DataFrame) -> tuple[Floats, NDArray[np.bool_]]:
        """Windows less their usual mean, and which rows know a metric."""
        values = matrix_of(frame, fitted_columns(self.columns))
        windows = windows_of(values, self._middle, self._spread, self.context + 1)
        return windows - self._mean, known_rows(values)
