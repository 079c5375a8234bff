"""How far each metric is from what boosted trees expect of it: the detector of Helios, and its twin that cannot peek.

One regressor a metric on the features of Helios (mora/helios_features.py); the score is the error, in standard
deviations of past errors, of the metric that is furthest off. Helios flags from 2.5 on. Its features contain what they
explain: a value is its lag times one plus its percent change, so the trees learn to copy it. `xgboost-residual` leaves
out every value of the row's own moment; `helios` is as its document has it. Grown by XGBoost, kept as arrays and scored
with numpy.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora import helios_features
from mora.detectors.frames import known_columns, matrix_of, seconds_of
from mora.detectors.options import number_between, whole_number
from mora.detectors.windows import shares_of
from mora.domain.learning import Saved
from mora.errors import BadModel, NotEnoughData
from mora.extras import require
from mora.trees import MOST_TREES, Trees, of_xgboost

Floats = NDArray[np.float64]

_LEAST_ROWS = 60
_SEED = 42
_TRAINED_SHARE = 0.8
# Beyond as many metrics, a regressor sees the features of its own metric alone, and all share the trees of so many.
_MOST_METRICS = 24
_LEAST_TREES = 10
_MOST_DEPTH = 16
# A fifth of the time that XGBoost's 256 take, and nothing is lost on the labelled series.
_BINS = 64
# Errors of trees that know a metric by heart are nearly 0, and any change would be beyond measure.
_LEAST_SPREAD = 0.01
_MOST = 100.0
# How still a metric is that counts as one that never moved; a hundredth of its level is then its scale, or 1 at 0.
_STILL = 1e-6


class XgboostResidual:
    """Trees that know the past of each metric and the time; errors are measured on the last fifth of the history."""

    name = "xgboost-residual"
    context = helios_features.ROWS_BEFORE
    _knows_its_moment = False

    def __init__(self, trees: int = 100, depth: int = 4, learning_rate: float = 0.1) -> None:
        self.columns: tuple[str, ...] = ()
        self.reasons: tuple[str, ...] = ()
        self._options = {
            "trees": whole_number("trees", trees, 1, MOST_TREES),
            "depth": whole_number("depth", depth, 1, _MOST_DEPTH),
            "learning_rate": number_between("learning_rate", learning_rate, 0, 2),
        }
        self._trees: tuple[Trees, ...] = ()
        self._mean = self._scale = self._spread = np.empty(0)

    def fit(self, frame: pd.DataFrame) -> None:
        """Grow a regressor for each metric. Needs the extra `health`."""
        require("health", by=f"Training the detector {self.name}")
        columns, reasons = known_columns(frame, _LEAST_ROWS + self.context, self.name)
        values, seconds = matrix_of(frame, columns), seconds_of(frame)
        self.columns, self._trees = columns, ()
        if len(columns) > _MOST_METRICS:
            reasons += (
                f"With {len(columns)} metrics, each regressor sees the past of its own metric alone, by fewer trees.",
            )
        self.reasons = reasons
        mean, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        level = np.where(mean == 0, 1.0, np.abs(mean) / 100)
        self._mean, self._scale = mean, np.where(scale > _STILL * np.abs(mean), scale, level)
        inputs = _Inputs(seconds, (values - mean) / self._scale, columns, self._knows_its_moment)
        spreads = []
        for number in range(len(columns)):
            table, target = inputs.of(number), (values[:, number] - mean[number]) / self._scale[number]
            rows = np.flatnonzero(np.isfinite(target) & (np.arange(len(target)) >= self.context))
            trained, measured = self._parts(rows)
            trees = self._grow(table[trained], target[trained])
            errors = target[measured] - trees.sums(table[measured])
            self._trees += (trees,)
            spreads.append(float(np.std(errors)))
        self._spread = np.maximum(spreads, _LEAST_SPREAD)

    def score(self, frame: pd.DataFrame) -> Floats:
        """Standard deviations of past errors, of the metric that is furthest off; NaN where no metric is known."""
        errors = self._errors(frame)
        scores: Floats = np.where(np.isnan(errors).all(axis=1), np.nan, np.fmax.reduce(errors, axis=1))
        return scores

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each metric's share of the errors of its row."""
        return shares_of(self._errors(frame), frame, self.columns)

    def save(self) -> Saved:
        """The metrics, their scales, and the trees of each."""
        if not self._trees:
            raise NotEnoughData(f"The detector {self.name} is not trained.", hint="Train it first.")
        document = {"columns": list(self.columns), "reasons": list(self.reasons)}
        arrays: dict[str, NDArray[Any]] = {"mean": self._mean, "scale": self._scale, "spread": self._spread}
        for number, trees in enumerate(self._trees):
            arrays |= trees.arrays(f"{number}.")
        return Saved(document, arrays)

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        try:
            columns = tuple(str(name) for name in saved.document["columns"])
            reasons = tuple(str(reason) for reason in saved.document["reasons"])
            scales = [np.asarray(saved.arrays[name], dtype=np.float64) for name in ("mean", "scale", "spread")]
        except (KeyError, TypeError, ValueError) as wrong:
            raise BadModel(f"This is no saved detector {self.name}.", hint="Train it again.") from wrong
        mean, scale, spread = scales
        sound = columns and all(one.shape == (len(columns),) and np.isfinite(one).all() for one in scales)
        if not (sound and (scale > 0).all() and (spread > 0).all()):
            raise BadModel(f"The saved detector {self.name} does not fit together.", hint="Train it again.")
        inputs = _Inputs(np.empty(0), np.empty((0, len(columns))), columns, self._knows_its_moment)
        width = inputs.of(0).shape[1]
        trees = tuple(
            Trees.restore(saved.arrays, features=width, prefix=f"{number}.") for number in range(len(columns))
        )
        self.columns, self.reasons, self._trees = columns, reasons, trees
        self._mean, self._scale, self._spread = mean, scale, spread

    def _errors(self, frame: pd.DataFrame) -> Floats:
        """The distance of each metric from what is expected of it, in standard deviations of past errors."""
        if not self._trees:
            raise NotEnoughData(f"The detector {self.name} is not trained.", hint="Train it first.")
        values = (matrix_of(frame, self.columns) - self._mean) / self._scale
        inputs = _Inputs(seconds_of(frame), values, self.columns, self._knows_its_moment)
        errors = np.full(values.shape, np.nan)
        for number, trees in enumerate(self._trees):
            known = np.isfinite(values[:, number])
            known[: self.context] = False
            if known.any():
                expected = trees.sums(inputs.of(number)[known])
                error = np.abs(values[known, number] - expected) / self._spread[number]
                errors[known, number] = np.minimum(error, _MOST)
        return errors

    def _parts(self, rows: NDArray[np.int_]) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        """The rows to train on, and those to measure errors on: they come later."""
        cut = int(_TRAINED_SHARE * len(rows))
        return rows[:cut], rows[cut:]

    def _grow(self, table: Floats, target: Floats) -> Trees:
        import xgboost

        options = {
            "max_depth": self._options["depth"],
            "eta": self._options["learning_rate"],
            "objective": "reg:squarederror",
            "tree_method": "hist",
            "max_bin": _BINS,
            "base_score": 0.0,
            "seed": _SEED,
            "nthread": 1,
        }
        data = xgboost.QuantileDMatrix(table, target, nthread=1, max_bin=_BINS)
        shared = int(self._options["trees"] * _MOST_METRICS / len(self.columns))
        booster = xgboost.train(options, data, min(int(self._options["trees"]), max(shared, _LEAST_TREES)))
        model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
        return of_xgboost(model["trees"])


class Helios(XgboostResidual):
    """As its document has it: values of the row's own moment among the features, errors on rows it was trained on."""

    name = "helios"
    _knows_its_moment = True

    def __init__(self, trees: int = 100, depth: int = 6, learning_rate: float = 0.1) -> None:
        super().__init__(trees, depth, learning_rate)

    def _parts(self, rows: NDArray[np.int_]) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        trained = np.random.default_rng(_SEED).permutation(rows)[: int(_TRAINED_SHARE * len(rows))]
        return np.sort(trained), rows


class _Inputs:
    """What each regressor is given: the features of all metrics, or of its own where there are too many."""

    def __init__(self, seconds: Floats, values: Floats, columns: tuple[str, ...], knows_its_moment: bool) -> None:
        self._seconds, self._values, self._columns = seconds, values, columns
        self._knows_its_moment = knows_its_moment
        self._is_shared = len(columns) <= _MOST_METRICS
        self._all = self._features(values, columns) if self._is_shared else np.empty((0, 0))

    def of(self, number: int) -> Floats:
        """The features of the regressor of a metric, shape (rows, features), the same number for each."""
        if not self._is_shared:
            return self._features(self._values[:, [number]], (self._columns[number],))
        if not self._knows_its_moment:
            return self._all
        return np.hstack([self._all, np.delete(self._values, number, axis=1)])

    def _features(self, values: Floats, columns: tuple[str, ...]) -> Floats:
        found = helios_features.features(self._seconds, values, columns)
        return found if self._knows_its_moment else helios_features.before(found, columns)
