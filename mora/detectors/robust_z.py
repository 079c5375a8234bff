"""Robust z: how many median deviations the most unusual metric of a row is from its median."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.frames import fitted_columns, known_columns, matrix_of
from mora.domain.learning import Saved
from mora.errors import BadModel

_LEAST_ROWS = 20
# The median deviation of a normal distribution, as a share of its standard deviation.
_NORMAL = 0.6745


class RobustZ:
    """Median and median absolute deviation of each metric; a metric that never moved has a thousandth of its level."""

    name = "robust-z"
    context = 0

    def __init__(self) -> None:
        self.columns: tuple[str, ...] = ()
        self.reasons: tuple[str, ...] = ()
        self._middle = self._spread = np.empty(0)

    def fit(self, frame: pd.DataFrame) -> None:
        """Learn the median and the spread of each metric."""
        self.columns, self.reasons = known_columns(frame, _LEAST_ROWS, self.name)
        values = matrix_of(frame, self.columns)
        self._middle = np.nanmedian(values, axis=0)
        spread = np.nanmedian(np.abs(values - self._middle), axis=0) / _NORMAL
        self._spread = np.where(spread > 0, spread, np.maximum(np.abs(self._middle) / 1000, 1e-12))

    def score(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The largest distance of a row's metrics, in standard deviations."""
        distances = self._distances(frame)
        scores: NDArray[np.float64] = np.where(
            np.isnan(distances).all(axis=1), np.nan, np.fmax.reduce(distances, axis=1)
        )
        return scores

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each metric's share of the distances of its row."""
        distances = np.nan_to_num(self._distances(frame))
        total = distances.sum(axis=1, keepdims=True)
        shares = np.divide(distances, total, out=np.zeros_like(distances), where=total > 0)
        return pd.DataFrame(shares, index=frame.index, columns=list(self.columns))

    def save(self) -> Saved:
        """The metrics, their medians and spreads."""
        document = {"columns": list(fitted_columns(self.columns)), "reasons": list(self.reasons)}
        return Saved(document, {"middle": self._middle, "spread": self._spread})

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        try:
            columns = tuple(str(name) for name in saved.document["columns"])
            reasons = tuple(str(reason) for reason in saved.document["reasons"])
            middle = np.asarray(saved.arrays["middle"], dtype=np.float64)
            spread = np.asarray(saved.arrays["spread"], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as wrong:
            raise BadModel(f"This is no saved detector {self.name}.", hint="Train it again.") from wrong
        if not (middle.shape == spread.shape == (len(columns),) and np.isfinite(middle).all() and (spread > 0).all()):
            raise BadModel(f"The saved detector {self.name} does not fit together.", hint="Train it again.")
        self.columns, self.reasons, self._middle, self._spread = columns, reasons, middle, spread

    def _distances(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        distances: NDArray[np.float64] = (
            np.abs(matrix_of(frame, fitted_columns(self.columns)) - self._middle) / self._spread
        )
        return distances
