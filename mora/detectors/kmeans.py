"""k-means: how far a window of the last rows is from the nearest of the shapes that the history is made of."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.context import robust_scale
from mora.detectors.frames import fitted_columns, known_columns, matrix_of
from mora.detectors.options import whole_number
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
_CLUSTERS, _ROUNDS, _SEED = 64, 15, 7
# A cluster of fewer windows than this is noise.
_LEAST_WINDOWS = 8
_MOST_CLUSTERS = 512
# So many windows show the shapes of any history.
_MOST_WINDOWS = 4096
_ARRAYS = ("middle", "spread", "centroids")


class KMeans:
    """Sixty-four shapes, fewer where the history is short; the same history gives the same."""

    name = "kmeans"

    def __init__(self, clusters: int = _CLUSTERS) -> None:
        self.clusters = whole_number("clusters", clusters, 1, _MOST_CLUSTERS)
        self.columns: tuple[str, ...] = ()
        self.reasons: tuple[str, ...] = ()
        self.context = 0
        self._middle = self._spread = np.empty(0)
        self._centroids = np.empty((0, 0))

    def fit(self, frame: pd.DataFrame) -> None:
        """Find the shapes."""
        self.columns, self.reasons = known_columns(frame, _LEAST_ROWS, self.name)
        values = matrix_of(frame, self.columns)
        self._middle, self._spread = robust_scale(values)
        rows = rows_of_window(len(self.columns))
        self.context = rows - 1
        windows = windows_of(values, self._middle, self._spread, rows)
        windows = windows[known_rows(values)]
        windows = windows[:: max(1, -(-len(windows) // _MOST_WINDOWS))]
        self._centroids = _centroids(windows, min(self.clusters, max(2, len(windows) // _LEAST_WINDOWS)))

    def score(self, frame: pd.DataFrame) -> Floats:
        """The root of the mean square difference from the nearest shape, in spreads of the metrics."""
        windows, nearest, known = self._nearest(frame)
        return np.where(known, np.sqrt(((windows - self._centroids[nearest]) ** 2).mean(axis=1)), np.nan)

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each metric's share of the squared difference."""
        windows, nearest, known = self._nearest(frame)
        parts = by_metric((windows - self._centroids[nearest]) ** 2, len(self.columns))
        return shares_of(np.where(known[:, None], parts, 0.0), frame, self.columns)

    def save(self) -> Saved:
        """Scales and shapes."""
        document = {"columns": list(fitted_columns(self.columns)), "reasons": list(self.reasons)}
        arrays = (self._middle, self._spread, self._centroids)
        return Saved(document, dict(zip(_ARRAYS, arrays, strict=True)))

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        columns, reasons, (middle, spread, centroids) = restored(saved, _ARRAYS, self.name)
        m, rows = len(columns), rows_of_window(len(columns))
        if not (
            middle.shape == spread.shape == (m,)
            and (spread > 0).all()
            and centroids.ndim == 2
            and centroids.shape[0] > 0
            and centroids.shape[1] == m * rows
        ):
            raise misfit(self.name)
        self.columns, self.reasons, self.context = columns, reasons, rows - 1
        self._middle, self._spread, self._centroids = middle, spread, centroids

    def _nearest(self, frame: pd.DataFrame) -> tuple[Floats, NDArray[np.intp], NDArray[np.bool_]]:
        values = matrix_of(frame, fitted_columns(self.columns))
        windows = windows_of(values, self._middle, self._spread, self.context + 1)
        return windows, _squares(windows, self._centroids).argmin(axis=1), known_rows(values)


def _squares(windows: Floats, centroids: Floats) -> Floats:
    """Squared distances, shape (windows, centroids)."""
    found: Floats = (windows**2).sum(axis=1)[:, None] - 2 * windows @ centroids.T + (centroids**2).sum(axis=1)
    return np.maximum(found, 0.0)


def _centroids(windows: Floats, clusters: int) -> Floats:
    """Lloyd's rounds from seeds far from each other (Arthur & Vassilvitskii (2007), "k-means++"), shape (n, values)."""
    rng = np.random.default_rng(_SEED)
    chosen = windows[:1]
    away = _squares(windows, chosen)[:, 0]
    while len(chosen) < clusters and away.sum() > 0:
        at = min(int(np.searchsorted(np.cumsum(away), rng.uniform() * away.sum())), len(windows) - 1)
        chosen = np.concatenate([chosen, windows[at : at + 1]])
        away = np.minimum(away, _squares(windows, windows[at : at + 1])[:, 0])
    for _ in range(_ROUNDS):
        nearest = _squares(windows, chosen).argmin(axis=1)
        members = np.zeros((len(chosen), len(windows)))
        members[nearest, np.arange(len(windows))] = 1.0
        counts = members.sum(axis=1, keepdims=True)
        means = members @ windows / np.maximum(counts, 1.0)
        moved = np.where(counts > 0, means, chosen)
        if np.allclose(moved, chosen, rtol=0, atol=1e-6):
            break
        chosen = moved
    return chosen
