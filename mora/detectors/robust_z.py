"""Robust z: how many deviations the most unusual metric of a row is from its median.

The deviation is the median one, or what the rarest hundredth of the samples says if that is more: of a metric that is
still most of the time and moves now and then, such as a throttled share, the median deviation is next to nothing, and
each of its usual moves would hide what the others show.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.frames import fitted_columns, known_columns, matrix_of
from mora.detectors.windows import shares_of
from mora.domain.learning import Saved
from mora.errors import BadModel

_LEAST_ROWS = 20
# The median deviation of a normal distribution, as a share of its standard deviation, and what a hundredth of its
# samples lies beyond.
_NORMAL = 0.6745
_RARE, _RARE_NORMAL = 0.99, 2.5758
# A metric that never moved has this share of its level for a deviation, and any move of it counts as so many at most:
# what the first restart ever scores must not be beyond all scores of other metrics.
_STILL, _MOST_OF_STILL = 0.02, 10.0


class RobustZ:
    """Median and deviation of each metric; one that never moved has a share of its level."""

    name = "robust-z"
    context = 0

    def __init__(self) -> None:
        self.columns: tuple[str, ...] = ()
        self.reasons: tuple[str, ...] = ()
        self._middle = self._spread = self._most = np.empty(0)

    def fit(self, frame: pd.DataFrame) -> None:
        """Learn the median and the spread of each metric."""
        self.columns, self.reasons = known_columns(frame, _LEAST_ROWS, self.name)
        values = matrix_of(frame, self.columns)
        self._middle = np.nanmedian(values, axis=0)
        distances = np.abs(values - self._middle)
        usual, rare = np.nanmedian(distances, axis=0), np.nanquantile(distances, _RARE, axis=0)
        spread = np.maximum(usual / _NORMAL, rare / _RARE_NORMAL)
        self._spread = np.where(spread > 0, spread, np.maximum(_STILL * np.abs(self._middle), 1e-12))
        self._most = np.where(spread > 0, np.inf, _MOST_OF_STILL)

    def score(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The largest distance of a row's metrics, in standard deviations."""
        distances = self._distances(frame)
        scores: NDArray[np.float64] = np.where(
            np.isnan(distances).all(axis=1), np.nan, np.fmax.reduce(distances, axis=1)
        )
        return scores

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each metric's share of the distances of its row."""
        return shares_of(self._distances(frame), frame, self.columns)

    def save(self) -> Saved:
        """The metrics, their medians and deviations, and which never moved."""
        document = {"columns": list(fitted_columns(self.columns)), "reasons": list(self.reasons)}
        return Saved(document, {"middle": self._middle, "spread": self._spread, "is_still": np.isfinite(self._most)})

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        try:
            columns = tuple(str(name) for name in saved.document["columns"])
            reasons = tuple(str(reason) for reason in saved.document["reasons"])
            middle = np.asarray(saved.arrays["middle"], dtype=np.float64)
            spread = np.asarray(saved.arrays["spread"], dtype=np.float64)
            # Those that were saved before metrics without a move had a bound of their own have none.
            still = np.asarray(saved.arrays.get("is_still", np.zeros(len(spread))), dtype=np.bool_)
        except (KeyError, TypeError, ValueError) as wrong:
            raise BadModel(f"This is no saved detector {self.name}.", hint="Train it again.") from wrong
        if not (
            middle.shape == spread.shape == still.shape == (len(columns),)
            and np.isfinite(middle).all()
            and (spread > 0).all()
        ):
            raise BadModel(f"The saved detector {self.name} does not fit together.", hint="Train it again.")
        self.columns, self.reasons, self._middle, self._spread = columns, reasons, middle, spread
        self._most = np.where(still, _MOST_OF_STILL, np.inf)

    def _distances(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        values = matrix_of(frame, fitted_columns(self.columns))
        found: NDArray[np.float64] = np.minimum(np.abs(values - self._middle) / self._spread, self._most)
        return found
