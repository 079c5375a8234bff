"""Netdata's way: eighteen pairs of clusters a metric, each learnt from another part of the history; all must agree.

A sample is described by how its metric changed over the last six steps. It is unusual for one model where it is further
from both clusters than any sample that the model was trained on, and unusual at all where it is so for every model.
Netdata trains such a model every three hours on six of them and keeps eighteen; here they are spread over the history.
Source: the documentation of Netdata's machine learning, https://learn.netdata.cloud/docs/machine-learning-and-assisted-troubleshooting
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.frames import fitted_columns, known_columns, matrix_of, seconds_of, step_of
from mora.detectors.windows import mean_of_known, shares_of
from mora.domain.learning import Saved
from mora.errors import BadModel, NotEnoughData

Floats = NDArray[np.float64]

MODELS = 18
_CLUSTERS = 2
_SMOOTHED, _LAGS = 3, 6
_ROUNDS = 20
_LEAST_ROWS = 60
_WINDOW_SECONDS = 6 * 3600.0
# Fewer samples than this make no two clusters of six dimensions.
_LEAST_WINDOW = 60
# Of how far a sample of a model's own window may be, a metric that never moves there gets so much of its level.
_STILL = 1e-6


class Netdata:
    """The mean over the metrics of how unusual each is, 1 where it is as far off as the worst of every window."""

    name = "netdata"
    context = 1 + (_SMOOTHED - 1) + (_LAGS - 1)

    def __init__(self) -> None:
        self.columns: tuple[str, ...] = ()
        self.reasons: tuple[str, ...] = ()
        # Shapes (models, clusters, lags, metrics), (models, metrics), (models, metrics), (metrics,).
        self._centres = self._least = self._most = self._scale = np.empty(0)

    def fit(self, frame: pd.DataFrame) -> None:
        """Learn the clusters of each window."""
        self.columns, self.reasons = known_columns(frame, _LEAST_ROWS, self.name)
        step = step_of(seconds_of(frame))
        if step <= 0:
            raise NotEnoughData("The samples have no step: all have the same moment.", hint="Give one row a step.")
        values = matrix_of(frame, self.columns)
        scale = np.nanmedian(np.abs(values), axis=0)
        spread = np.nanstd(values, axis=0)
        self._scale = np.where(spread > 0, spread, np.where(scale > 0, scale, 1.0))
        changes = self._changes(values)
        rows = len(values)
        window = int(np.clip(round(_WINDOW_SECONDS / step), min(_LEAST_WINDOW, rows), rows))
        starts = np.linspace(0, rows - window, MODELS).astype(int)
        learnt = [_two_clusters(changes[:, start : start + window]) for start in starts]
        self._centres, self._least, self._most = (np.stack(part) for part in zip(*learnt, strict=True))

    def score(self, frame: pd.DataFrame) -> Floats:
        """The mean over the metrics that are known; NaN where none is."""
        return mean_of_known(self._unusual(frame))

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each metric's share."""
        return shares_of(self._unusual(frame), frame, self.columns)

    def save(self) -> Saved:
        """The metrics and the clusters of each window."""
        arrays = {"centres": self._centres, "least": self._least, "most": self._most, "scale": self._scale}
        return Saved({"columns": list(fitted_columns(self.columns)), "reasons": list(self.reasons)}, arrays)

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        try:
            columns = tuple(str(name) for name in saved.document["columns"])
            reasons = tuple(str(reason) for reason in saved.document["reasons"])
            arrays = [np.asarray(saved.arrays[n], dtype=np.float64) for n in ("centres", "least", "most", "scale")]
        except (KeyError, TypeError, ValueError) as wrong:
            raise BadModel(f"This is no saved detector {self.name}.", hint="Train it again.") from wrong
        of_each = (MODELS, len(columns))
        shapes = [(MODELS, _CLUSTERS, _LAGS, len(columns)), of_each, of_each, (len(columns),)]
        centres, least, most, scale = arrays
        if not (
            columns
            and [one.shape for one in arrays] == shapes
            and all(np.isfinite(one).all() for one in arrays)
            and (most > least).all()
            and (scale > 0).all()
        ):
            raise BadModel(f"The saved detector {self.name} does not fit together.", hint="Train it again.")
        self.columns, self.reasons = columns, reasons
        self._centres, self._least, self._most, self._scale = centres, least, most, scale

    def _unusual(self, frame: pd.DataFrame) -> Floats:
        """How unusual each metric is for the model that finds it most usual, shape (rows, metrics)."""
        values = matrix_of(frame, fitted_columns(self.columns))
        changes = self._changes(values)
        unusual = np.full(values.shape, np.inf)
        for model in range(MODELS):
            distance = _distance(changes, self._centres[model])
            nearest, furthest = self._least[model], self._most[model]
            # As in Netdata: nearer than ever is as odd as further than ever.
            unusual = np.fmin(unusual, np.abs(distance - nearest) / (furthest - nearest))
        known = np.isfinite(changes).all(axis=0) & np.isfinite(values)
        return np.where(known, unusual, np.nan)

    def _changes(self, values: Floats) -> Floats:
        """Smoothed changes of the last steps, shape (lags, rows, metrics); NaN where one of them is not known."""
        rows, metrics = values.shape
        change = np.diff(values / self._scale, axis=0, prepend=np.nan)
        padded = np.vstack([np.full((_SMOOTHED - 1, metrics), np.nan), change])
        smooth = np.mean([padded[n : n + rows] for n in range(_SMOOTHED)], axis=0)
        padded = np.vstack([np.full((_LAGS - 1, metrics), np.nan), smooth])
        return np.stack([padded[_LAGS - 1 - lag : _LAGS - 1 - lag + rows] for lag in range(_LAGS)])


def _squared(changes: Floats, point: Floats) -> Floats:
    """The squared distance of each row from a point, shape (rows, metrics). point: shape (lags, metrics)."""
    apart: Floats = ((changes - point[:, None]) ** 2).sum(axis=0)
    return apart


def _distance(changes: Floats, centres: Floats) -> Floats:
    """The mean distance from the clusters, shape (rows, metrics). centres: shape (clusters, lags, metrics)."""
    mean: Floats = np.mean([np.sqrt(_squared(changes, centre)) for centre in centres], axis=0)
    return mean


def _two_clusters(changes: Floats) -> tuple[Floats, Floats, Floats]:
    """Two clusters of the rows of each metric, and the least and the most distance of a row from them.

    changes: (lags, rows, metrics). Starts from the row that is furthest from the mean and the one furthest from that.
    """
    known = np.asarray(np.isfinite(changes).all(axis=0))
    points = np.where(known, changes, 0.0)
    metrics = np.arange(points.shape[2])

    def furthest(point: Floats) -> Floats:
        rows = np.where(known, _squared(points, point), -1.0).argmax(axis=0)
        found: Floats = points[:, rows, metrics]
        return found

    first = furthest(points.sum(axis=1) / np.maximum(known.sum(axis=0), 1))
    centres = np.stack([first, furthest(first)])
    for _ in range(_ROUNDS):
        is_second = known & (_squared(points, centres[1]) < _squared(points, centres[0]))
        moved = centres.copy()
        for cluster, member in enumerate((known & ~is_second, is_second)):
            size = member.sum(axis=0)
            mean = np.where(member, points, 0.0).sum(axis=1) / np.maximum(size, 1)
            moved[cluster] = np.where(size > 0, mean, centres[cluster])
        if np.array_equal(moved, centres):
            break
        centres = moved
    distance, is_known = _distance(points, centres), known.any(axis=0)
    least = np.where(is_known, np.where(known, distance, np.inf).min(axis=0), 0.0)
    most = np.where(is_known, np.where(known, distance, -np.inf).max(axis=0), 0.0)
    return centres, least, np.maximum(most, least + _STILL)
