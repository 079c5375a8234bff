"""How far a sample with its surroundings is from what is usual: a regularised Mahalanobis distance on context features.

The default. It knows that metrics move together, the time of day, and how a metric changes; it needs numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.context import SLOTS, UsualDay, lagged, robust_scale, rolling, usual_day
from mora.detectors.frames import known_columns, matrix_of, seconds_of, step_of
from mora.domain.learning import Saved
from mora.errors import BadInput, BadModel, NotEnoughData

Floats = NDArray[np.float64]

_LEAST_ROWS = 30
_SHORT_SECONDS, _LONG_SECONDS = 900.0, 3600.0
# For one metric alone its last values tell more than for many, and cost nothing.
_LAGS_OF_ONE = 24
# Beyond this many spreads a metric is simply far away: how far may not outvote all others.
_CLIP = 20.0
_SHRINK, _FLOOR = 0.2, 0.03
_SEASONAL_WEIGHT = 0.5
_QUANTILE = 0.99
_SMOOTHED_ROWS = 3
# Value, distance from the usual day, change, two means, deviation.
_KINDS = 6
_ARRAYS = ("middle", "spread", "day", "day_spread", "offset", "scale", "precision", "units")


@dataclass(frozen=True, slots=True)
class _Learnt:
    """Everything that scoring needs; shapes by metrics (m) and features (f = m times kinds of feature)."""

    step: float
    short: int
    long: int
    lags: int
    middle: Floats  # (m,)
    spread: Floats  # (m,)
    day: UsualDay
    offset: Floats  # (f,)
    scale: Floats  # (f,)
    precision: Floats  # (f, f)
    units: Floats  # (2,): the distance and the seasonal z that a healthy row rarely exceeds


class ContextDistance:
    """Fit and score; `smooth` is over how many rows scores are averaged."""

    name = "context-distance"

    def __init__(self) -> None:
        self.columns: tuple[str, ...] = ()
        self.reasons: tuple[str, ...] = ()
        self.context = 0
        self._learnt: _Learnt | None = None

    def fit(self, frame: pd.DataFrame) -> None:
        """Learn scales, the usual day, and how the features vary together, from a history that is mostly healthy."""
        self.columns, self.reasons = known_columns(frame, _LEAST_ROWS, self.name)
        seconds = seconds_of(frame)
        step = step_of(seconds)
        if step <= 0:
            raise NotEnoughData("The samples have no step: all have the same moment.", hint="Give one row a step.")
        values = matrix_of(frame, self.columns)
        middle, spread = robust_scale(values)
        scaled = np.clip((values - middle) / spread, -_CLIP, _CLIP)
        # A short history must hold several windows.
        most = max(3, len(frame) // 10)
        short, long = (int(np.clip(round(span / step), 3, most)) for span in (_SHORT_SECONDS, _LONG_SECONDS))
        lags = _LAGS_OF_ONE if len(self.columns) == 1 else 0
        blank = np.empty(0)
        learnt = _Learnt(
            step, short, long, lags, middle, spread, usual_day(seconds, scaled), blank, blank, blank, blank
        )
        features = self._features(learnt, seconds, scaled)
        offset, scale = robust_scale(features)
        offset, scale = np.nan_to_num(offset), np.where(np.isfinite(scale), scale, 1.0)
        white = np.nan_to_num(np.clip((features - offset) / scale, -_CLIP, _CLIP))
        learnt = replace(learnt, offset=offset, scale=scale, precision=_precision(white))
        distance, seasonal = self._parts(learnt, seconds, values)
        units = np.array([np.nanquantile(distance, _QUANTILE), np.nanquantile(seasonal, _QUANTILE)])
        self._learnt = replace(learnt, units=np.maximum(units, 1e-9))
        self.context = max(long, lags) + _SMOOTHED_ROWS

    def score(self, frame: pd.DataFrame) -> Floats:
        """The distance plus half of the seasonal z, each in units of what a healthy row rarely exceeds."""
        learnt, seconds, values = self._known(frame)
        distance, seasonal = self._parts(learnt, seconds, values)
        score = distance / learnt.units[0] + _SEASONAL_WEIGHT * seasonal / learnt.units[1]
        smooth = rolling(score[:, None], _SMOOTHED_ROWS)[0][:, 0]
        return np.where(np.isfinite(score), smooth, np.nan)

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each metric's share: what its features add to the squared distance."""
        learnt, seconds, values = self._known(frame)
        white, known = self._white(learnt, seconds, values)
        carried = np.maximum((white @ learnt.precision) * white, 0.0)
        by_metric = carried.reshape(len(frame), -1, len(self.columns)).sum(axis=1)
        by_metric[~known.any(axis=1)] = 0.0
        total = by_metric.sum(axis=1, keepdims=True)
        shares = np.divide(by_metric, total, out=np.zeros_like(by_metric), where=total > 0)
        return pd.DataFrame(shares, index=frame.index, columns=list(self.columns))

    def save(self) -> Saved:
        """Numbers alone."""
        if self._learnt is None:
            raise BadInput("The detector is not fitted.", hint="Fit it first.")
        learnt = self._learnt
        return Saved(
            {
                "columns": list(self.columns),
                "step_seconds": learnt.step,
                "windows": [learnt.short, learnt.long, learnt.lags],
                "reasons": list(self.reasons),
            },
            {
                "middle": learnt.middle,
                "spread": learnt.spread,
                "day": learnt.day.levels,
                "day_spread": learnt.day.spread,
                "offset": learnt.offset,
                "scale": learnt.scale,
                "precision": learnt.precision,
                "units": learnt.units,
            },
        )

    def restore(self, saved: Saved) -> None:
        """Take them back, where they fit together."""
        try:
            columns = tuple(str(name) for name in saved.document["columns"])
            step = float(saved.document["step_seconds"])
            short, long, lags = (int(number) for number in saved.document["windows"])
            reasons = tuple(str(reason) for reason in saved.document["reasons"])
            arrays = {name: np.asarray(saved.arrays[name], dtype=np.float64) for name in _ARRAYS}
        except (KeyError, TypeError, ValueError) as wrong:
            raise BadModel(f"This is no saved detector {self.name}.", hint="Train it again.") from wrong
        m, f = len(columns), arrays["offset"].size
        shapes = ((m,), (m,), (SLOTS, m), (m,), (f,), (f,), (f, f), (2,))
        positive = all((arrays[name] > 0).all() for name in ("spread", "day_spread", "scale", "units"))
        if not (
            m > 0
            and all(arrays[name].shape == shape for name, shape in zip(_ARRAYS, shapes, strict=True))
            and all(np.isfinite(array).all() for array in arrays.values())
            and f == m * (_KINDS + max(lags - 1, 0))
            and positive
            and step > 0
            and min(short, long) >= 1
            and lags in (0, _LAGS_OF_ONE)
        ):
            raise BadModel(f"The saved detector {self.name} does not fit together.", hint="Train it again.")
        middle, spread, day, day_spread, offset, scale, precision, units = arrays.values()
        self._learnt = _Learnt(
            step, short, long, lags, middle, spread, UsualDay(day, day_spread), offset, scale, precision, units
        )
        self.columns, self.reasons, self.context = columns, reasons, max(long, lags) + _SMOOTHED_ROWS

    def _known(self, frame: pd.DataFrame) -> tuple[_Learnt, Floats, Floats]:
        """What was learnt, and the moments and metrics of a frame of the same step."""
        if self._learnt is None:
            raise BadInput("The detector is not fitted.", hint="Fit it first.")
        values, seconds = matrix_of(frame, self.columns), seconds_of(frame)
        step = step_of(seconds)
        # A few rows tell no step: after an outage two rows may be an hour apart.
        if len(frame) > 10 and not 2 / 3 < step / self._learnt.step < 3 / 2:
            raise BadInput(
                f"The samples are {step:g} s apart; the detector was trained on samples {self._learnt.step:g} s apart.",
                hint="Give samples of that step, or train the detector again on these.",
            )
        return self._learnt, seconds, values

    def _parts(self, learnt: _Learnt, seconds: Floats, values: Floats) -> tuple[Floats, Floats]:
        """Distance and seasonal z of each row, shape (rows,) each; NaN where no metric is known."""
        white, known = self._white(learnt, seconds, values)
        has = known.any(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            squares = ((white @ learnt.precision) * white).sum(axis=1) / (known.mean(axis=1) * white.shape[1])
        distance = np.where(has, np.sqrt(np.maximum(squares, 0.0)), np.nan)
        scaled = np.clip((values - learnt.middle) / learnt.spread, -_CLIP, _CLIP)
        z = np.minimum(np.abs(scaled - learnt.day.at(seconds)) / learnt.day.spread, _CLIP)
        return distance, np.where(has, np.fmax.reduce(np.nan_to_num(z), axis=1), np.nan)

    def _white(self, learnt: _Learnt, seconds: Floats, values: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Scaled features, shape (rows, features), 0 where unknown; and which metrics are known, shape (rows, m)."""
        scaled = np.clip((values - learnt.middle) / learnt.spread, -_CLIP, _CLIP)
        features = self._features(learnt, seconds, scaled)
        known = np.isfinite(values)
        white = np.clip((features - learnt.offset) / learnt.scale, -_CLIP, _CLIP)
        # A metric that is not known now says nothing, whatever it was before.
        white *= np.tile(known, (1, white.shape[1] // known.shape[1]))
        return np.nan_to_num(white), known

    def _features(self, learnt: _Learnt, seconds: Floats, scaled: Floats) -> Floats:
        """The features of every row, kind by kind, each as wide as there are metrics."""
        mean_short = rolling(scaled, learnt.short)[0]
        mean_long, deviation = rolling(scaled, learnt.long)
        kinds = [
            scaled,
            scaled - learnt.day.at(seconds),
            scaled - lagged(scaled, 1),
            mean_short,
            mean_long,
            np.log1p(deviation),
            *(lagged(scaled, rows) for rows in range(1, learnt.lags)),
        ]
        return np.concatenate(kinds, axis=1)


def _precision(white: Floats) -> Floats:
    """The inverse of the covariance, made safe: shrunk towards its diagonal, and no direction too narrow."""
    covariance = white.T @ white / len(white)
    covariance = (1 - _SHRINK) * covariance + _SHRINK * np.diag(np.diag(covariance))
    sizes, directions = np.linalg.eigh(covariance)
    sizes = np.maximum(sizes, max(_FLOOR * float(sizes[-1]), 1e-6))
    found: Floats = (directions / sizes) @ directions.T
    return found
