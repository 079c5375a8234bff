"""How far a sample with its surroundings is from what is usual: a regularised Mahalanobis distance on context features.

The default. It knows that metrics move together, the time of day, and how a metric changes; it needs numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.context import LEAST_SPREAD, SLOTS, UsualDay, lagged, recency, robust_scale, rolling, usual_day
from mora.detectors.frames import known_columns, matrix_of, seconds_of, step_of
from mora.detectors.windows import by_metric, shares_of
from mora.domain.learning import Saved
from mora.errors import BadInput, BadModel, NotEnoughData

Floats = NDArray[np.float64]

_LEAST_ROWS = 30
_SHORT_SECONDS, _LONG_SECONDS = 900.0, 3600.0
# One metric alone has no others to vary with, but its own past: so many values.
_LAGS_OF_ONE = 48
# Beyond this many spreads a metric is simply far away: how far may not outvote all others.
_CLIP = 20.0
_SHRINK, _FLOOR = 0.5, 0.03
_SEASONAL_WEIGHT = 0.35
_QUANTILE = 0.99
# Of a metric's level: a change of so little makes no service sick, however steady the metric was.
_LEVEL_SHARE = 0.01
# Half of the moment itself, half of about the last five: a single odd sample is no incident, and none is seen late.
_WEIGHTS = np.power(2 / 3, np.arange(12.0)) / np.power(2 / 3, np.arange(12.0)).sum() / 2
_WEIGHTS[0] += 0.5
# Distance from the usual day, change, distance from two means, two deviations.
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


@dataclass(frozen=True, slots=True)
class _Seen:
    """A frame as it looks to what was learnt: features (rows, f), what is known and seasonal z (rows, m)."""

    white: Floats
    known: NDArray[np.bool_]
    seasonal: Floats


class ContextDistance:
    """The default detector. Where it looks: at each metric's distance from its usual day, its change, its distance from
    its means of 15 minutes and an hour, how much it moved in them, and how all of that varies together.
    """

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
        middle, spread = robust_scale(values, _LEVEL_SHARE)
        scaled = np.clip((values - middle) / spread, -_CLIP, _CLIP)
        # A short history must hold several windows.
        most = max(3, len(frame) // 10)
        short, long = (int(np.clip(round(span / step), 3, most)) for span in (_SHORT_SECONDS, _LONG_SECONDS))
        lags = _LAGS_OF_ONE if len(self.columns) == 1 else 0
        blank = np.empty(0)
        learnt = _Learnt(
            step, short, long, lags, middle, spread, usual_day(seconds, scaled), blank, blank, blank, blank
        )
        unusual = scaled - learnt.day.at(seconds)
        known, features = np.isfinite(values), _features(learnt, scaled, unusual)
        offset, scale = robust_scale(features)
        learnt = replace(learnt, offset=offset, scale=np.maximum(scale, LEAST_SPREAD))
        white = _white(learnt, features, known)
        learnt = replace(learnt, precision=_precision(white, known))
        seen = _Seen(white, known, _seasonal(learnt, unusual))
        units = np.nanquantile(_parts(learnt, seen), _QUANTILE, axis=1)
        self._learnt = replace(learnt, units=np.maximum(units, 1e-9))
        self.context = max(long, lags) + len(_WEIGHTS)

    def score(self, frame: pd.DataFrame) -> Floats:
        """The distance plus a third of the seasonal z, each in units of what a healthy row rarely exceeds."""
        learnt, seen = self._seen(frame)
        distance, seasonal = _parts(learnt, seen)
        score = distance / learnt.units[0] + _SEASONAL_WEIGHT * seasonal / learnt.units[1]
        return np.where(np.isfinite(score), recency(score[:, None], _WEIGHTS)[:, 0], np.nan)

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each metric's share: what it adds to the squares of the distance and of the seasonal z."""
        learnt, seen = self._seen(frame)
        carried = np.maximum((seen.white @ learnt.precision) * seen.white, 0.0)
        squares = by_metric(carried, len(self.columns))
        squares /= carried.shape[1] * learnt.units[0] ** 2
        squares += (_SEASONAL_WEIGHT * seen.seasonal / learnt.units[1]) ** 2 / len(self.columns)
        squares = recency(squares, _WEIGHTS)
        squares[~seen.known.any(axis=1)] = 0.0
        return shares_of(squares, frame, self.columns)

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
                "precision": learnt.precision.astype(np.float32),
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
        self.columns, self.reasons, self.context = columns, reasons, max(long, lags) + len(_WEIGHTS)

    def _seen(self, frame: pd.DataFrame) -> tuple[_Learnt, _Seen]:
        """What was learnt, and a frame as it looks to it. Raises BadInput for samples of another step."""
        if self._learnt is None:
            raise BadInput("The detector is not fitted.", hint="Fit it first.")
        learnt, values, seconds = self._learnt, matrix_of(frame, self.columns), seconds_of(frame)
        step = step_of(seconds)
        # A few rows tell no step: after an outage two rows may be an hour apart.
        if len(frame) > 10 and not 2 / 3 < step / learnt.step < 3 / 2:
            raise BadInput(
                f"The samples are {step:g} s apart; the detector was trained on samples {learnt.step:g} s apart.",
                hint="Give samples of that step, or train the detector again on these.",
            )
        scaled = np.clip((values - learnt.middle) / learnt.spread, -_CLIP, _CLIP)
        known, unusual = np.isfinite(values), scaled - learnt.day.at(seconds)
        white = _white(learnt, _features(learnt, scaled, unusual), known)
        return learnt, _Seen(white, known, _seasonal(learnt, unusual))


def _features(learnt: _Learnt, scaled: Floats, unusual: Floats) -> Floats:
    """The features of every row, kind by kind, each as wide as there are metrics."""
    (mean_short, deviation_short), (mean_long, deviation_long) = rolling(scaled, learnt.short, learnt.long)
    kinds = [
        unusual,
        scaled - lagged(scaled, 1),
        scaled - mean_short,
        scaled - mean_long,
        np.log1p(deviation_short),
        np.log1p(deviation_long),
        *(lagged(scaled, rows) for rows in range(1, learnt.lags)),
    ]
    return np.concatenate(kinds, axis=1)


def _white(learnt: _Learnt, features: Floats, known: NDArray[np.bool_]) -> Floats:
    """The features in their own spreads; 0 where not known."""
    white = (features - learnt.offset) / learnt.scale
    np.clip(white, -_CLIP, _CLIP, out=white)
    if not known.all():
        # A metric that is not known now says nothing, whatever it was before.
        white *= np.tile(known, (1, white.shape[1] // known.shape[1]))
    # One that was not known before has no change.
    white[np.isnan(white)] = 0.0
    return white


def _seasonal(learnt: _Learnt, unusual: Floats) -> Floats:
    """How many spreads each metric is from its usual day, shape (rows, m); 0 where it is not known."""
    z = np.minimum(np.abs(unusual) / learnt.day.spread, _CLIP)
    z[np.isnan(z)] = 0.0
    return z


def _parts(learnt: _Learnt, seen: _Seen) -> tuple[Floats, Floats]:
    """Distance and seasonal z of each row, shape (rows,) each; NaN where no metric is known."""
    known = seen.known.sum(axis=1)
    # As if the known metrics were all.
    share = np.where(known > 0, known, np.nan) / seen.known.shape[1]
    squares = ((seen.white @ learnt.precision) * seen.white).sum(axis=1) / (share * seen.white.shape[1])
    seasonal = (seen.seasonal**2).sum(axis=1) / (share * seen.known.shape[1])
    return np.sqrt(np.maximum(squares, 0.0)), np.sqrt(seasonal)


def _precision(white: Floats, known: NDArray[np.bool_]) -> Floats:
    """The inverse of the covariance, made safe: shrunk towards its diagonal, and no direction too narrow."""
    # What is not known counts 0 in the sums: they are made as large as if all were known.
    share = np.tile(np.sqrt(np.maximum(known.mean(axis=0), 1e-3)), white.shape[1] // known.shape[1])
    white = white / share
    covariance = white.T @ white / len(white)
    covariance = (1 - _SHRINK) * covariance + _SHRINK * np.diag(np.diag(covariance))
    sizes, directions = np.linalg.eigh(covariance)
    sizes = np.maximum(sizes, max(_FLOOR * float(sizes[-1]), 1e-6))
    # Kept in single precision: half of the size, and far more exact than what it was learnt from.
    found: Floats = ((directions / sizes) @ directions.T).astype(np.float32).astype(np.float64)
    return found
