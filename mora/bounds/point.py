"""The plain blend of point forecasts, with a constant factor on top: what MOrA's bounds are measured against.

MOrA's point forecast is 0.4 x Prophet + 0.6 x LSTM. Fitting both at each of thousands of decisions would take days, so
two linear models with the same inputs take their place, refitted daily, and this is *not* Prophet or an LSTM: for
Prophet a regression on daily and weekly harmonics (the seasonal part of its model; no trend, no change points), for the
LSTM a ridge regression of the coming window's mean on the last 30 steps (its window, without its memory). What the
stand-ins show is what any forecast of the *mean* is worth as a request: how far use goes above its own mean is not in
it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mora.bounds.carry import forward_filled
from mora.bounds.rules import DAY_HOURS, WEEK_HOURS
from mora.bounds.ticks import Floats, Indices, Ticks, cut

SEASONAL_WEIGHT, RECENT_WEIGHT = 0.4, 0.6
CPU_FACTOR, MEMORY_FACTOR = 1.2, 1.15
# Both learn from the last four weeks, so that a week's season is seen more than twice.
_FIT_HOURS = 672.0
_WINDOW = 30
_DAILY_HARMONICS, _WEEKLY_HARMONICS = 4, 3
# Share of the inputs' mean square that is added to the diagonal: a hundredth keeps nearly equal neighbours in check.
_RIDGE = 0.01


def point_requests(
    values: Floats, *, step_seconds: float, decisions: Indices, horizon_seconds: float, factor: float
) -> Floats:
    """The blend's mean over each coming window times `factor`, one per decision, in the unit of `values`.

    Arguments as of cpu_bounds(). NaN where nothing is known before a decision.
    """
    requests = np.full(len(decisions), np.nan)
    if not len(decisions):
        return requests
    ticks = cut(values[None], step_seconds=step_seconds, decisions=decisions, horizon_seconds=horizon_seconds)
    samples = ticks.samples[:, 0]
    known = ~np.isnan(samples)
    with np.errstate(invalid="ignore"):
        means = np.where(known, samples, 0.0).sum(axis=1) / known.sum(axis=1)
    means = forward_filled(means)
    fit: _Fit | None = None
    for number, tick in enumerate(ticks.decisions):
        recent = means[max(0, int(tick) - ticks.of_hours(_FIT_HOURS)) : tick]
        recent = recent[~np.isnan(recent)]
        if not len(recent):
            continue
        if fit is None or (tick - fit.tick) * ticks.hours >= DAY_HOURS - 1e-9:
            fit = _Fit.of(recent, int(tick), ticks)
        blend = SEASONAL_WEIGHT * fit.seasonal(int(tick)) + RECENT_WEIGHT * fit.following(recent[-_WINDOW:])
        requests[number] = factor * max(blend, 0.0)
    return requests


@dataclass(frozen=True, slots=True)
class _Fit:
    """Both models as they were fitted at a tick.

    seen: ticks that they were fitted on. unit: their mean, in which both models count. season: weights of the
    harmonics. window: intercept and weights of the last 30 ticks; empty where there were too few to learn from, and
    their mean has to do.
    """

    tick: int
    ticks: Ticks
    seen: int
    unit: float
    season: Floats
    window: Floats

    @classmethod
    def of(cls, recent: Floats, tick: int, ticks: Ticks) -> _Fit:
        seen, unit = len(recent), float(recent.mean()) or 1.0
        recent = recent / unit
        season = _ridge(_harmonics(np.arange(tick - seen, tick), ticks, seen), recent)
        rows = seen - _WINDOW - ticks.horizon + 1
        if rows < 2 * _WINDOW:
            return cls(tick, ticks, seen, unit, season, np.empty(0))
        inputs = np.lib.stride_tricks.sliding_window_view(recent, _WINDOW)[:rows]
        cumulated = np.concatenate([[0.0], np.cumsum(recent)])
        targets = (cumulated[_WINDOW + ticks.horizon :] - cumulated[_WINDOW : -ticks.horizon]) / ticks.horizon
        return cls(tick, ticks, seen, unit, season, _ridge(np.column_stack([np.ones(rows), inputs]), targets))

    def seasonal(self, tick: int) -> float:
        """The mean of the window that begins with `tick`, by the harmonics."""
        ahead = _harmonics(np.arange(tick, tick + self.ticks.horizon), self.ticks, self.seen)
        return self.unit * float((ahead @ self.season).mean())

    def following(self, last: Floats) -> float:
        """The mean of the window that follows `last`, by the autoregression."""
        if not len(self.window):
            return float(last.mean())
        return self.unit * float(self.window[0] + last / self.unit @ self.window[1:])


def _harmonics(numbers: Indices, ticks: Ticks, seen: int) -> Floats:
    """A constant, and those harmonics whose period the `seen` ticks cover twice: shape (numbers, columns)."""
    hours = numbers * ticks.hours
    columns = [np.ones(len(numbers))]
    for period, count in ((DAY_HOURS, _DAILY_HARMONICS), (WEEK_HOURS, _WEEKLY_HARMONICS)):
        if seen * ticks.hours < 2 * period or ticks.hours > period / 2:
            continue
        for harmonic in range(1, count + 1):
            angle = 2 * np.pi * harmonic * hours / period
            columns += [np.sin(angle), np.cos(angle)]
    return np.column_stack(columns)


def _ridge(inputs: Floats, targets: Floats) -> Floats:
    """Ridge regression; the first column, the constant, is not shrunk."""
    square = inputs.T @ inputs
    penalty = _RIDGE * np.diag(square).copy()
    penalty[0] = 0.0
    square[np.diag_indices_from(square)] += penalty + 1e-12 * np.trace(square)
    return np.asarray(np.linalg.solve(square, inputs.T @ targets), dtype=np.float64)
