"""Grafana's PromQL rules for anomalies, as baselines: bands around the last hour or day, and the same time before.

What https://github.com/grafana/promql-anomaly-detection records, at every sample in place of every minute or five: the
strategy `adaptive` (mean and deviation of the last hour, 26 hours of the turbulent ones) and `robust` (medians of the
last hour and day). Bands are at least half the level wide, and reach as far as a day or a week ago. The score is the
distance from the middle of the band in units of the way to its border: Grafana alerts above 1. Nothing is learnt but
scales.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.frames import fitted_columns, known_columns, matrix_of, seconds_of, step_of
from mora.detectors.windows import shares_of
from mora.domain.learning import Saved
from mora.errors import BadModel, NotEnoughData

Floats = NDArray[np.float64]

_LEAST_ROWS = 20
_HOUR, _DAY = 3600.0, 86_400.0
# The rules' own constants.
_BAND, _MARGIN, _TURBULENT = 2.0, 0.5, 0.5
_TURBULENT_HOURS = 26
_BEFORE_ROBUST = (167.75 * _HOUR, 23.75 * _HOUR)
_BEFORE_ADAPTIVE = (167.5 * _HOUR, 23.5 * _HOUR)
# The furthest look: a week, and the windows that end there.
_REACH = 170 * _HOUR


@dataclass(frozen=True, slots=True)
class _Band:
    """What a sample is compared with, shape (rows, metrics) each: the level, the band's middle and its borders."""

    level: Floats
    middle: Floats
    lower: Floats
    upper: Floats


class GrafanaAdaptive:
    """Each sample against the mean of its hour, give or take two standard deviations."""

    name = "grafana-adaptive"

    def __init__(self) -> None:
        self.columns: tuple[str, ...] = ()
        self.reasons: tuple[str, ...] = ()
        self.context = 0
        self._step = 0.0
        self._scale = np.empty(0)

    def fit(self, frame: pd.DataFrame) -> None:
        """Take note of the metrics, their step and their scales."""
        self.columns, self.reasons = known_columns(frame, _LEAST_ROWS, self.name)
        self._step = step_of(seconds_of(frame))
        if self._step <= 0:
            raise NotEnoughData("The samples have no step: all have the same moment.", hint="Give one row a step.")
        scale = np.nanmean(np.abs(matrix_of(frame, self.columns)), axis=0)
        self._scale = np.where(scale > 0, scale, 1.0)
        self.context = int(np.ceil(_REACH / self._step)) + 1

    def score(self, frame: pd.DataFrame) -> Floats:
        """How far out of its band the furthest metric is, 1 at the border; NaN where no metric is known."""
        distances = self._distances(frame)
        scores: Floats = np.where(np.isnan(distances).all(axis=1), np.nan, np.fmax.reduce(distances, axis=1))
        return scores

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each metric's share of the distances of its row."""
        return shares_of(self._distances(frame), frame, self.columns)

    def save(self) -> Saved:
        """The metrics, their step and their scales."""
        document = {
            "columns": list(fitted_columns(self.columns)),
            "reasons": list(self.reasons),
            "step_seconds": self._step,
        }
        return Saved(document, {"scale": self._scale})

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        try:
            columns = tuple(str(name) for name in saved.document["columns"])
            reasons = tuple(str(reason) for reason in saved.document["reasons"])
            step = float(saved.document["step_seconds"])
            scale = np.asarray(saved.arrays["scale"], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as wrong:
            raise BadModel(f"This is no saved detector {self.name}.", hint="Train it again.") from wrong
        sound = columns and scale.shape == (len(columns),) and np.isfinite(scale).all() and (scale > 0).all()
        if not (sound and 0 < step < np.inf):
            raise BadModel(f"The saved detector {self.name} does not fit together.", hint="Train it again.")
        self.columns, self.reasons, self._step, self._scale = columns, reasons, step, scale
        self.context = int(np.ceil(_REACH / step)) + 1

    def _distances(self, frame: pd.DataFrame) -> Floats:
        values = matrix_of(frame, fitted_columns(self.columns)) / self._scale
        # The rules select what is above 0: an idle metric has no level, and no alert.
        selected = np.where(values > 0, values, np.nan)
        band = self._band(seconds_of(frame), selected)
        with np.errstate(invalid="ignore", divide="ignore"):
            above = (band.level - band.middle) / (band.upper - band.middle)
            below = (band.middle - band.level) / (band.middle - band.lower)
        distances = np.nan_to_num(np.fmax(above, below), posinf=0.0, neginf=0.0)
        return np.where(np.isfinite(values), np.maximum(distances, 0.0), np.nan)

    def _band(self, seconds: Floats, values: Floats) -> _Band:
        mean, deviation = _mean_and_deviation(seconds, values, _HOUR)
        turbulent = np.where(deviation > _TURBULENT * mean, deviation, np.nan)
        width = _BAND * _mean_and_deviation(seconds, turbulent, _TURBULENT_HOURS * _HOUR)[0]
        lower, upper = np.fmin(mean - width, (1 - _MARGIN) * mean), np.fmax(mean + width, (1 + _MARGIN) * mean)
        for offset in _BEFORE_ADAPTIVE:
            then, spread = _earlier(seconds, mean, offset), _BAND * _earlier(seconds, deviation, offset)
            lower, upper = np.fmin(lower, then - spread), np.fmax(upper, then + spread)
        return _Band(values, mean, np.maximum(lower, 0.0), upper)


class GrafanaRobust(GrafanaAdaptive):
    """The median of each hour against the median of its day, give or take two median deviations."""

    name = "grafana-robust"

    def _band(self, seconds: Floats, values: Floats) -> _Band:
        hourly = _median(seconds, values, _HOUR)
        middle = _median(seconds, values, _DAY)
        width = _BAND * _median(seconds, np.abs(values - middle), _DAY)
        lower, upper = np.fmin(middle - width, (1 - _MARGIN) * middle), np.fmax(middle + width, (1 + _MARGIN) * middle)
        deviation = _BAND * _median(seconds, np.abs(values - hourly), _HOUR)
        for offset in _BEFORE_ROBUST:
            then, spread = _earlier(seconds, hourly, offset), _earlier(seconds, deviation, offset)
            lower, upper = np.fmin(lower, then - spread), np.fmax(upper, then + spread)
        return _Band(hourly, middle, np.maximum(lower, 0.0), upper)


def _mean_and_deviation(seconds: Floats, values: Floats, window: float) -> tuple[Floats, Floats]:
    """Of the known samples of the window that ends with each row; NaN where there is none."""
    first = np.searchsorted(seconds, seconds - window, side="right")
    known = np.isfinite(values)
    # Around 1, where the scale puts them: squares of what is left lose no digits.
    around = np.where(known, values - 1.0, 0.0)
    sums = [
        np.vstack([np.zeros(values.shape[1]), np.cumsum(part, axis=0)]) for part in (known, around, around * around)
    ]
    count, total, squares = (part[1:] - part[first] for part in sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean * mean, 0.0))
    has = count > 0
    return np.where(has, mean + 1.0, np.nan), np.where(has, deviation, np.nan)


def _median(seconds: Floats, values: Floats, window: float) -> Floats:
    """Of the known samples of the window that ends with each row; NaN where there is none."""
    index = pd.DatetimeIndex(pd.to_datetime((seconds * 1e6).astype(np.int64), unit="us"))
    medians = pd.DataFrame(values, index=index).rolling(pd.Timedelta(seconds=window)).median()
    return medians.to_numpy(dtype=np.float64)


def _earlier(seconds: Floats, values: Floats, offset: float) -> Floats:
    """The values of so many seconds ago: of the last row until then, where that is less than an hour older."""
    then = np.searchsorted(seconds, seconds - offset, side="right") - 1
    is_there = (then >= 0) & (seconds - offset - seconds[np.maximum(then, 0)] < _HOUR)
    return np.where(is_there[:, None], values[np.maximum(then, 0)], np.nan)
