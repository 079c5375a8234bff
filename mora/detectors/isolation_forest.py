"""Isolation forest: random trees separate an unusual row from the rest in few steps (the method of CloudSentinel).

Grown by scikit-learn on standardised metrics, kept as arrays and scored with numpy: scoring needs no scikit-learn.
Source: Liu, Ting & Zhou (2008), "Isolation Forest".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.frames import fitted_columns, known_columns, matrix_of
from mora.detectors.options import whole_number
from mora.domain.learning import Saved
from mora.errors import BadModel, NotEnoughData
from mora.extras import require
from mora.trees import MOST_TREES, Trees, joined

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest as Forest

_LEAST_ROWS = 20
_SEED = 42


class IsolationForest:
    """Each row for itself, without the rows before it; scores are between 0 and 1, ordinary rows about 0.4.

    A sample that is not known counts as the metric's mean.
    """

    name = "isolation-forest"
    context = 0

    def __init__(self, trees: int = 100) -> None:
        self.columns: tuple[str, ...] = ()
        self.reasons: tuple[str, ...] = ()
        self._count = whole_number("trees", trees, 1, MOST_TREES)
        self._mean = self._scale = np.empty(0)
        self._trees: Trees | None = None
        self._usual_steps = 1.0

    def fit(self, frame: pd.DataFrame) -> None:
        """Standardise each metric and grow the trees, from at most 256 rows each. Needs the extra `health`."""
        require("health", by=f"Training the detector {self.name}")
        self.columns, self.reasons = known_columns(frame, _LEAST_ROWS, self.name)
        values = matrix_of(frame, self.columns)
        self._mean, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        # As in scikit-learn's StandardScaler: rounding alone is no spread.
        self._scale = np.where(spread > 10 * np.finfo(float).eps * np.abs(self._mean), spread, 1.0)
        known_rows = np.isfinite(values).any(axis=1)

        from sklearn.ensemble import IsolationForest as Forest

        forest = Forest(n_estimators=self._count, random_state=_SEED).fit(self._standardised(values[known_rows]))
        self._trees = joined([_arrays_of(forest, number) for number in range(self._count)])
        self._usual_steps = self._count * float(_usual_depth(np.array([forest._max_samples]))[0])

    def score(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Close to 1 where few steps separate a row from the rest; NaN where no metric is known."""
        values = matrix_of(frame, fitted_columns(self.columns))
        scores = np.full(len(values), np.nan)
        known = np.isfinite(values).any(axis=1)
        if known.any():
            scores[known] = 2.0 ** (-self._grown.sums(self._standardised(values[known])) / self._usual_steps)
        return scores

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """By how many of the saved steps each metric's questions saved."""
        values = matrix_of(frame, fitted_columns(self.columns))
        shares = np.zeros(values.shape)
        known = np.isfinite(values).any(axis=1)
        if known.any():
            rows = self._standardised(values[known])
            saved = self._grown.steps(rows, len(self.columns))
            # A forest of metrics that never moved asks nothing.
            saved = np.where(saved.sum(axis=1, keepdims=True) > 0, saved, np.isfinite(values[known]))
            shares[known] = saved / saved.sum(axis=1, keepdims=True)
        return pd.DataFrame(shares, index=frame.index, columns=list(self.columns))

    def save(self) -> Saved:
        """The metrics, how they are standardised, and the trees."""
        document = {"columns": list(self.columns), "usual_steps": self._usual_steps, "reasons": list(self.reasons)}
        return Saved(document, {"mean": self._mean, "scale": self._scale, **self._grown.arrays()})

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        try:
            columns = tuple(str(name) for name in saved.document["columns"])
            reasons = tuple(str(reason) for reason in saved.document["reasons"])
            usual_steps = float(saved.document["usual_steps"])
            mean = np.asarray(saved.arrays["mean"], dtype=np.float64)
            scale = np.asarray(saved.arrays["scale"], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as wrong:
            raise BadModel(f"This is no saved detector {self.name}.", hint="Train it again.") from wrong
        fits = columns and mean.shape == scale.shape == (len(columns),)
        if not (fits and np.isfinite(mean).all() and (scale > 0).all() and 0 < usual_steps < np.inf):
            raise BadModel(f"The saved detector {self.name} does not fit together.", hint="Train it again.")
        trees = Trees.restore(saved.arrays, features=len(columns))
        self.columns, self.reasons, self._usual_steps = columns, reasons, usual_steps
        self._mean, self._scale, self._trees, self._count = mean, scale, trees, len(trees.roots)

    @property
    def _grown(self) -> Trees:
        if self._trees is None:
            raise NotEnoughData(f"The detector {self.name} is not trained.", hint="Train it first.")
        return self._trees

    def _standardised(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.nan_to_num((values - self._mean) / self._scale)


def _arrays_of(forest: Forest, number: int) -> dict[str, NDArray[Any]]:
    """One of the trees; the value of a node is how many steps a row is expected to need that comes to it."""
    tree = forest.estimators_[number].tree_
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # parents come before their children
        if tree.children_left[node] >= 0:
            depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    return {
        "left": tree.children_left,
        "right": tree.children_right,
        "feature": forest.estimators_features_[number][np.maximum(tree.feature, 0)],
        "limit": np.where(tree.children_left >= 0, tree.threshold, 0.0),
        "left_if_missing": np.zeros(tree.node_count, dtype=bool),
        "value": depth + _usual_depth(tree.n_node_samples),
    }


def _usual_depth(rows: NDArray[np.int_]) -> NDArray[np.float64]:
    """Steps that a random tree needs on average to separate one of so many rows; Liu et al., equation 1."""
    n = np.maximum(rows.astype(np.float64), 3.0)
    many = 2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return np.where(rows > 2, many, np.where(rows == 2, 1.0, 0.0))
