"""How far each metric is from a forecast of it: that of the service's own model, or one that needs no model.

CPU and memory are beside the hour that the service's trained model forecasts of them, where it has one. Else, and for
what it does not forecast, a stand-in: the same time yesterday, the last quarter of an hour, or 40/60 of both. Which of
these, each metric's own past decides: the one with the least mean absolute error on the last quarter of the history.
The errors there are also the yardstick: a score of 1 is the border of the split conformal interval that covers 99 % of
them. Source: Vovk, Gammerman & Shafer (2005), "Algorithmic Learning in a Random World", for the interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora import registry, sealed
from mora.detectors.context import DAY_SECONDS, lagged, robust_scale, rolling
from mora.detectors.frames import fitted_columns, known_columns, matrix_of, seconds_of, step_of
from mora.detectors.windows import mean_of_known, shares_of
from mora.domain.learning import Saved
from mora.errors import BadInput, BadModel, MoraError, NotEnoughData

Floats = NDArray[np.float64]

_LEAST_ROWS = 40
_RECENT_SECONDS = 900.0
_CHECKED_SHARE = 0.25
# Share of the same time yesterday in the forecast; the rest is the recent mean.
SHARES = (0.0, 0.4, 1.0)
_COVERED = 0.99
# An interval is no narrower than this share of a metric's spread, however still it was when it was measured.
_LEAST_WIDTH = 0.05
# Fewer errors of a forecast than this say nothing of its next ones.
_LEAST_ERRORS = 20
_PREFIX = "forecast:"


class HourForecast(Protocol):
    """What a trained model forecasts of the running hour (mora/model/hours.py; `hour_forecasts` in the registry)."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Those that it forecasts."""

    @property
    def until(self) -> float:
        """Epoch seconds of the last sample that it was trained on."""

    @property
    def back_seconds(self) -> float:
        """How long before a sample everything lies that its forecast rests on."""

    def settled(
        self, seconds: Floats, columns: Mapping[str, Floats], *, step: float, first: float
    ) -> tuple[HourForecast, tuple[str, ...]]:
        """The same for samples every `step` seconds, forecasting from the moment `first` on; and what to tell of it."""

    def at(self, seconds: Floats, columns: Mapping[str, Floats]) -> dict[str, Floats]:
        """metric -> the mean of each row's hour, forecast before that hour began; NaN for none."""

    def only(self, metrics: Sequence[str]) -> HourForecast:
        """The forecasts of these metrics alone."""

    def in_words(self, metric: str) -> str:
        """What is forecast of a metric, by whom."""

    def save(self) -> Saved:
        """In plain formats."""


class ForecastResidual:
    """The mean over the metrics of how far each is from its forecast, 1 at the border of its interval.

    train: forecasters with "+" between them, of which a model is trained on the first three quarters of what it is
    fitted on, in place of the service's own: to compare forecasts with the stand-in where no service has a model.
    Then fit() raises what such a training raises.
    forecast: the service's own, to be set before fit(); None for the stand-in alone.
    """

    name = "forecast-residual"

    def __init__(self, train: str = "") -> None:
        names = tuple(name.strip() for name in str(train).split("+")) if train else ()
        for name in names:
            try:
                registry.load("forecasters", name)
            except BadInput as wrong:
                raise ValueError(wrong.message) from wrong
        self.columns: tuple[str, ...] = ()
        self.reasons: tuple[str, ...] = ()
        self.context = 0
        self.forecast: HourForecast | None = None
        self._train = names
        self._fitted: HourForecast | None = None
        self._step = 0.0
        self._middle = self._spread = self._share = self._width = self._own_width = np.empty(0)

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
        self._fit_forecast(seconds, values, checked)
        self._remember_context()

    def score(self, frame: pd.DataFrame) -> Floats:
        """The mean over the metrics that are known; NaN where none is, or there is no sample before it."""
        return mean_of_known(self._distances(frame))

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each metric's share."""
        return shares_of(self._distances(frame), frame, self.columns)

    def save(self) -> Saved:
        """The metrics, their scales, shares and widths."""
        document = {
            "columns": list(fitted_columns(self.columns)),
            "reasons": list(self.reasons),
            "step_seconds": self._step,
        }
        arrays = {"middle": self._middle, "spread": self._spread, "share": self._share, "width": self._width}
        if self._fitted is not None:
            saved = self._fitted.save()
            document["forecast"] = dict(saved.document)
            arrays |= {f"{_PREFIX}{name}": array for name, array in saved.arrays.items()}
            arrays["own_width"] = self._own_width
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
        self._fitted, self._own_width = self._restored(saved, columns)
        self.columns, self.reasons, self._step = columns, reasons, step
        self._middle, self._spread, self._share, self._width = middle, spread, share, width
        self._remember_context()

    def _restored(self, saved: Saved, columns: Sequence[str]) -> tuple[HourForecast | None, Floats]:
        """The forecasts of a model that were saved, and how wide their intervals are."""
        none = np.zeros(len(columns))
        if saved.document.get("forecast") is None:
            return None, none
        arrays = {name.removeprefix(_PREFIX): one for name, one in saved.arrays.items() if name.startswith(_PREFIX)}
        try:
            found: HourForecast = _trained().restore(Saved(saved.document["forecast"], arrays))
            width = np.asarray(saved.arrays["own_width"], dtype=np.float64)
        except sealed.UNREADABLE as wrong:
            raise BadModel(
                f"The forecasts in the saved detector {self.name} cannot be read: {sealed.in_words(wrong)}.",
                hint="Train it again.",
            ) from wrong
        there = np.array([name in found.metrics for name in columns])
        if width.shape != none.shape or not ((width > 0) == there).all() or not np.isfinite(width).all():
            raise BadModel(f"The saved detector {self.name} does not fit together.", hint="Train it again.")
        return found, width

    def _fit_forecast(self, seconds: Floats, values: Floats, checked: slice) -> None:
        """Take the model's forecasts where there are some, and measure their errors; tell whose they are."""
        self._fitted, self._own_width = None, np.zeros(len(self.columns))
        if self.forecast is None and not self._train:
            return
        samples = dict(zip(self.columns, values.T, strict=True))
        first = float(seconds[checked][0])
        try:
            made = self._learnt(seconds, samples, checked.start) if self._train else self.forecast
            found, told = made.settled(seconds, samples, step=self._step, first=first)  # type: ignore[union-attr]
        except MoraError as failure:
            if self._train:  # what was asked for is not replaced
                raise
            self.reasons += (f"{failure.message} {_stand_in(self.columns)}",)
            return
        forecasts = found.at(seconds, samples)
        reasons = list(told)
        for number, name in enumerate(self.columns):
            if name not in forecasts:
                continue
            error = (np.abs(values[:, number] - forecasts[name]) / self._spread[number])[checked]
            if np.isfinite(error).sum() < _LEAST_ERRORS:
                reasons.append(f"{name} has fewer than {_LEAST_ERRORS} forecasts to measure the errors of.")
                continue
            self._own_width[number] = max(_covering(error), _LEAST_WIDTH)
            reasons.append(f"{name} is compared with {found.in_words(name)}.")
        own = [name for name, width in zip(self.columns, self._own_width, strict=True) if width > 0]
        if own:
            self._fitted = found.only(own)
            known = int((seconds[checked] <= found.until).sum())
            if known:
                share = known / len(seconds[checked])
                reasons.append(
                    f"The model knew {share:.0%} of the samples that measure its errors: those to come will be further "
                    "off."
                )
        if left := [name for name in self.columns if name not in own]:
            reasons.append(_stand_in(left))
        self.reasons += tuple(reasons)

    def _learnt(self, seconds: Floats, samples: Mapping[str, Floats], count: int) -> HourForecast:
        """A model of the rows before those that measure its errors."""
        known = {name: column[:count] for name, column in samples.items()}
        found: HourForecast = _trained().learnt(seconds[:count], known, names=self._train, step=self._step)
        return found

    def _remember_context(self) -> None:
        days = np.ceil(DAY_SECONDS / self._step) if (self._share > 0).any() else 0
        back = 0 if self._fitted is None else np.ceil(self._fitted.back_seconds / self._step)
        self.context = int(max(days, back, self._rows())) + 1

    def _rows(self) -> int:
        """How many rows the recent mean is of."""
        return max(1, round(_RECENT_SECONDS / self._step))

    def _distances(self, frame: pd.DataFrame) -> Floats:
        """The error of each metric in units of its interval, shape (rows, metrics)."""
        values, seconds = matrix_of(frame, fitted_columns(self.columns)), seconds_of(frame)
        scaled = (values - self._middle) / self._spread
        recent, yesterday = self._forecasts(seconds, scaled)
        distances: Floats = np.abs(scaled - _blended(recent, yesterday, self._share)) / self._width
        if self._fitted is not None and len(seconds):
            samples = dict(zip(self.columns, values.T, strict=True))
            for name, forecast in self._fitted.at(seconds, samples).items():
                number = self.columns.index(name)
                own = np.abs(values[:, number] - forecast) / (self._spread[number] * self._own_width[number])
                distances[:, number] = np.where(np.isfinite(forecast), own, distances[:, number])
        return distances

    def _forecasts(self, seconds: Floats, scaled: Floats) -> tuple[Floats, Floats]:
        """For each row the mean of the last rows before it, and the sample of a day before; NaN where there is none."""
        if not len(scaled):
            return scaled, scaled
        recent = lagged(rolling(scaled, self._rows())[0][0], 1)
        recent[0] = np.nan
        then = np.searchsorted(seconds, seconds - DAY_SECONDS + self._step / 2, side="right") - 1
        is_there = (then >= 0) & (np.abs(seconds - DAY_SECONDS - seconds[np.maximum(then, 0)]) <= self._step)
        return recent, np.where(is_there[:, None], scaled[np.maximum(then, 0)], np.nan)


def _trained() -> Any:
    return registry.load("hour_forecasts", "trained")


def _stand_in(names: Sequence[str]) -> str:
    return f"{', '.join(names)}: compared with the same time yesterday, the last 15 minutes, or both."


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
