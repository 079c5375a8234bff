"""How far each metric is from a forecast of it: the same time yesterday, the last quarter of an hour, or 40/60 of both.

Which forecast, each metric's own past decides: the one with the least mean absolute error on the last quarter of the
history. The errors there are also the yardstick: a score of 1 is the border of the split conformal interval that covers
99 % of them. The seasonal part is the naive one: `mora train` learns the mean of an hour or a day, not one sample.
Source: Vovk, Gammerman & Shafer (2005), "Algorithmic Learning in a Random World", for the interval.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.context import DAY_SECONDS, lagged, robust_scale, rolling
from mora.detectors.frames import fitted_columns, known_columns, matrix_of, seconds_of, step_of
from mora.domain.learning import Saved
from mora.errors import BadModel, NotEnoughData

Floats = NDArray[np.float64]

_LEAST_ROWS = 40
_RECENT_SECONDS = 900.0
_CHECKED_SHARE = 0.25
# Share of the same time yesterday in the forecast; the rest is the recent mean.
SHARES = (0.0, 0.4, 1.0)
_COVERED = 0.99
# An interval is no narrower than this share of a metric's spread, however still it was when it was measured.
_LEAST_WIDTH = 0.05


class ForecastResidual:
    """The mean over the metrics of how far each is from its forecast, 1 at the border of its interval."""

    name = "forecast-residual"

    def __init__(self) -> None:
        self.columns: tuple[str, ...] = ()
        self.reasons: tuple[str, ...] = ()
        self.context = 0
        self._step = 0.0
        self._middle = self._spread = self._share = self._width = np.empty(0)

    def fit(self, frame: pd.DataFrame) -> None:
        """Choose each metric's forecast, and measure its errors."""
        self.columns, self.reasons = known_columns(frame, _LEAST_ROWS, self.name)
        seconds = seconds_of(frame)
        self._step = step_of(seconds)
        if self._step <= 0:
            raise NotEnoughData("The samples have no step: all have the same moment.", hint="Give one row a step.")
        values = matrix_of(frame, self.columns)
        self._middle, self._spread = robust_scale(values)
        scaled = (values - self._middle) / self._spread
        recent, yesterday = self._forecasts(seconds, scaled)
        checked = slice(int((1 - _CHECKED_SHARE) * len(scaled)), None)
        errors = np.stack(
            [
                np.abs(scaled - _blended(recent, yesterday, np.full(len(self.columns), share)))[checked]
                for share in SHARES
            ]
        )
        # A history of less than a day and a quarter has no yesterday to be judged by.
        is_known = np.isfinite(yesterday[checked]).mean(axis=0) > 0.5
        mean = np.array([_mean(error) for error in errors])
        best = np.where(is_known, np.where(np.isfinite(mean), mean, np.inf).argmin(axis=0), 0)
        self._share = np.array(SHARES)[best]
        own = errors[best, :, np.arange(len(self.columns))]
        self._width = np.maximum([_covering(error) for error in own], _LEAST_WIDTH)
        self._remember_context()

    def score(self, frame: pd.DataFrame) -> Floats:
        """The mean over the metrics that are known; NaN where none is, or there is no sample before it."""
        distances = self._distances(frame)
        known = np.isfinite(distances)
        count = known.sum(axis=1)
        total = np.where(known, distances, 0.0).sum(axis=1)
        scores: Floats = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        return scores

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each metric's share."""
        distances = np.nan_to_num(self._distances(frame))
        total = distances.sum(axis=1, keepdims=True)
        shares = np.divide(distances, total, out=np.zeros_like(distances), where=total > 0)
        return pd.DataFrame(shares, index=frame.index, columns=list(self.columns))

    def save(self) -> Saved:
        """The metrics, their scales, shares and widths."""
        document = {
            "columns": list(fitted_columns(self.columns)),
            "reasons": list(self.reasons),
            "step_seconds": self._step,
        }
        arrays = {"middle": self._middle, "spread": self._spread, "share": self._share, "width": self._width}
        return Saved(document, arrays)

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        try:
            columns = tuple(str(name) for name in saved.document["columns"])
            reasons = tuple(str(reason) for reason in saved.document["reasons"])
            step = float(saved.document["step_seconds"])
            arrays = [
                np.asarray(saved.arrays[name], dtype=np.float64) for name in ("middle", "spread", "share", "width")
            ]
        except (KeyError, TypeError, ValueError) as wrong:
            raise BadModel(f"This is no saved detector {self.name}.", hint="Train it again.") from wrong
        middle, spread, share, width = arrays
        sound = columns and all(one.shape == (len(columns),) and np.isfinite(one).all() for one in arrays)
        if not (
            sound and 0 < step < np.inf and (spread > 0).all() and (width > 0).all() and np.isin(share, SHARES).all()
        ):
            raise BadModel(f"The saved detector {self.name} does not fit together.", hint="Train it again.")
        self.columns, self.reasons, self._step = columns, reasons, step
        self._middle, self._spread, self._share, self._width = middle, spread, share, width
        self._remember_context()

    def _remember_context(self) -> None:
        days = np.ceil(DAY_SECONDS / self._step) if (self._share > 0).any() else 0
        self.context = int(max(days, self._rows())) + 1

    def _rows(self) -> int:
        """How many rows the recent mean is of."""
        return max(1, round(_RECENT_SECONDS / self._step))

    def _distances(self, frame: pd.DataFrame) -> Floats:
        """The error of each metric in units of its interval, shape (rows, metrics)."""
        scaled = (matrix_of(frame, fitted_columns(self.columns)) - self._middle) / self._spread
        recent, yesterday = self._forecasts(seconds_of(frame), scaled)
        return np.abs(scaled - _blended(recent, yesterday, self._share)) / self._width

    def _forecasts(self, seconds: Floats, scaled: Floats) -> tuple[Floats, Floats]:
        """For each row the mean of the last rows before it, and the sample of a day before; NaN where there is none."""
        if not len(scaled):
            return scaled, scaled
        recent = lagged(rolling(scaled, self._rows())[0][0], 1)
        recent[0] = np.nan
        then = np.searchsorted(seconds, seconds - DAY_SECONDS + self._step / 2, side="right") - 1
        is_there = (then >= 0) & (np.abs(seconds - DAY_SECONDS - seconds[np.maximum(then, 0)]) <= self._step)
        return recent, np.where(is_there[:, None], scaled[np.maximum(then, 0)], np.nan)


def _blended(recent: Floats, yesterday: Floats, share: Floats) -> Floats:
    """The forecasts; the recent mean where yesterday is not known."""
    return np.where(np.isfinite(yesterday), share * yesterday + (1 - share) * recent, recent)


def _mean(errors: Floats) -> Floats:
    """Of the known errors of each metric; NaN where none is."""
    known = np.isfinite(errors)
    count = known.sum(axis=0)
    total = np.where(known, errors, 0.0).sum(axis=0)
    mean: Floats = np.divide(total, count, out=np.full(errors.shape[1], np.nan), where=count > 0)
    return mean


def _covering(errors: Floats) -> float:
    """The error that 99 of 100 new ones stay below, were they like these; 0 where none is known.

    >>> _covering(np.arange(1.0, 100.0))
    99.0
    """
    known = np.sort(errors[np.isfinite(errors)])
    if not len(known):
        return 0.0
    return float(known[min(int(np.ceil((len(known) + 1) * _COVERED)), len(known)) - 1])
