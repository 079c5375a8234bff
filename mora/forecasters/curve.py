"""One target's fitted curve, as numbers: trend, seasons and regressors, evaluated with numpy alone.

What a fit of Prophet leaves behind is a handful of numbers. Kept as those and evaluated directly, the curve is exact to
the library's own `predict`, a hundred times faster, and needs no import of it. Intervals are computed, never sampled,
so the same curve always gives the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from mora.documents import Misfit, check, fields, flag, items, number, text
from mora.domain.learning import DAY_SECONDS, Floats, HorizonGrid, Level
from mora.features import HIGH_QUANTILE

# The term that is the last horizon's own mean.
LEVEL = "level"

_DOCUMENT = fields(
    {
        "start_seconds": number(),
        # It divides.
        "span_seconds": number(1e-9, 1e11),
        "scale": number(0),
        "rate": number(),
        "offset": number(),
        "changepoints": items(number()),
        "deltas": items(number()),
        "sigma": number(0),
        "seasons": items(fields({"name": text, "period_days": number(1e-3), "betas": items(number())})),
        "regressors": items(fields({"name": text, "mean": number(), "deviation": number(1e-12), "beta": number()})),
        "is_flat": flag,
    }
)


@dataclass(frozen=True, slots=True)
class Season:
    """A Fourier series of a period: betas of sin, cos, sin, cos, ... of rising order, in units of the scale."""

    name: str
    period_days: float
    betas: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Regressor:
    """One column that is known ahead, standardised as it was when the curve was fitted."""

    name: str
    mean: float
    deviation: float
    beta: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One target's fitted curve, all in units of `scale` (the largest value of the history).

    Time runs from 0 at `start_seconds` to 1 after `span_seconds`; the trend has rate `rate` and offset `offset`, and
    its rate changes by `deltas` at `changepoints`. sigma: the noise around the curve.
    """

    start_seconds: float
    span_seconds: float
    scale: float
    rate: float
    offset: float
    changepoints: tuple[float, ...]
    deltas: tuple[float, ...]
    sigma: float
    seasons: tuple[Season, ...] = ()
    regressors: tuple[Regressor, ...] = ()
    is_flat: bool = False

    def mean(self, seconds: Floats, inputs: Mapping[str, Floats | float] | None = None) -> Floats:
        """The curve at epoch seconds, shape (n,), in the target's unit. inputs: regressor -> its value(s)."""
        total = self._trend(self._time(seconds))
        for season in self.seasons:
            total = total + _fourier(seconds, season.period_days, len(season.betas) // 2) @ np.array(season.betas)
        for regressor in self.regressors:
            value = np.asarray((inputs or {})[regressor.name], dtype=np.float64)
            total = total + (value - regressor.mean) / regressor.deviation * regressor.beta
        scaled: Floats = total * self.scale
        return scaled

    def terms(self, seconds: Floats) -> dict[str, Floats]:
        """What mean() adds up at epoch seconds, name -> shape (n,), in the target's unit; of a curve without inputs."""
        found = {"trend": self._trend(self._time(seconds)) * self.scale}
        for season in self.seasons:
            waves = _fourier(seconds, season.period_days, len(season.betas) // 2)
            found[season.name] = waves @ np.array(season.betas) * self.scale
        return found

    def deviation(self, seconds: Floats) -> Floats:
        """Standard deviation of what is expected around the mean, shape (n,), in the target's unit.

        Prophet draws future trend changes from a Poisson process of the rate seen so far, with Laplace(0, b) sizes,
        b the mean size seen, and adds the noise. The variance of that has a closed form, used in place of its
        samples: beyond the history (t > 1) it is S * 2b^2 * (t - 1)^3 / 3 with S changepoints a history length.
        """
        variance = np.full(len(seconds), self.sigma**2)
        if not self.is_flat and self.deltas:
            size = float(np.mean(np.abs(self.deltas))) + 1e-8
            beyond = np.maximum(self._time(seconds) - 1.0, 0.0)
            variance += len(self.changepoints) * 2 * size**2 * beyond**3 / 3
        deviation: Floats = np.sqrt(variance) * self.scale
        return deviation

    def _time(self, seconds: Floats) -> Floats:
        t: Floats = (seconds - self.start_seconds) / self.span_seconds
        return t

    def _trend(self, t: Floats) -> Floats:
        if self.is_flat:
            return np.full(len(t), self.offset)
        points, deltas = np.array(self.changepoints), np.array(self.deltas)
        passed = t[:, None] >= points[None, :]
        trend: Floats = (self.rate + passed @ deltas) * t + self.offset - passed @ (deltas * points)
        return trend

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; from_dict() gives the same numbers to the last bit."""
        return {
            "start_seconds": self.start_seconds,
            "span_seconds": self.span_seconds,
            "scale": self.scale,
            "rate": self.rate,
            "offset": self.offset,
            "changepoints": list(self.changepoints),
            "deltas": list(self.deltas),
            "sigma": self.sigma,
            "seasons": [{"name": s.name, "period_days": s.period_days, "betas": list(s.betas)} for s in self.seasons],
            "regressors": [
                {"name": r.name, "mean": r.mean, "deviation": r.deviation, "beta": r.beta} for r in self.regressors
            ],
            "is_flat": self.is_flat,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Curve:
        """The curve that to_dict() gave; Misfit where it did not give that."""
        check(plain, _DOCUMENT)
        if len(plain["changepoints"]) != len(plain["deltas"]):
            raise Misfit("there are other changepoints than deltas")
        own = dict(plain)
        own["changepoints"], own["deltas"] = tuple(plain["changepoints"]), tuple(plain["deltas"])
        own["seasons"] = tuple(Season(s["name"], s["period_days"], tuple(s["betas"])) for s in plain["seasons"])
        own["regressors"] = tuple(Regressor(**regressor) for regressor in plain["regressors"])
        return cls(**own)


def _fourier(seconds: Floats, period_days: float, order: int) -> Floats:
    """sin and cos of rising order, shape (n, 2 * order), counted from 1970 as Prophet does."""
    turns = 2 * math.pi * (seconds / DAY_SECONDS)
    columns = []
    for i in range(1, order + 1):
        angle = i / period_days * turns
        columns += [np.sin(angle), np.cos(angle)]
    return np.column_stack(columns)


def fit_line(seconds: Floats, values: Floats, inputs: Mapping[str, Floats], *, is_flat: bool) -> Curve:
    """The straight line that is used where Prophet fails: least squares, on time or (driven) on the same regressors."""
    start, span = float(seconds.min()), max(float(seconds.max() - seconds.min()), 1e-9)
    scale = float(np.abs(values).max()) or 1.0
    means = {name: float(column.mean()) for name, column in inputs.items()}
    deviations = {name: float(column.std()) or 1.0 for name, column in inputs.items()}
    slopes = [np.zeros(len(values)) if is_flat else (seconds - start) / span]
    slopes += [(column - means[name]) / deviations[name] for name, column in inputs.items()]
    design = np.column_stack([np.ones(len(values)), *slopes])
    found, *_ = np.linalg.lstsq(design, values / scale, rcond=None)
    sigma = float(np.std(values / scale - design @ found))
    plain = Curve(start, span, scale, float(found[1]), float(found[0]), (), (), max(sigma, 1e-9), is_flat=is_flat)
    regressors = [
        Regressor(name, means[name], deviations[name], float(beta))
        for name, beta in zip(inputs, found[2:], strict=True)
    ]
    return replace(plain, regressors=tuple(regressors))


def curve_path(curve: Curve, grid: HorizonGrid, column: str, row: int, *, moved: bool = True) -> Floats:
    """The curve over the horizon that begins with a row, shape (steps,), never below 0.

    moved: to the level of the last horizon, by the mean difference of its known steps. That is what makes a weekly fit
    enough: of the mean use of 24 VMs a day ahead, a fresh fit errs 0.43, one up to a week old 0.61, and that one moved
    0.42; an hour ahead 0.57, 0.85 and 0.26 (experiments/benchmarks/forecast.py).
    """
    half = grid.step_seconds / 2
    ahead = curve.mean(grid.seconds(row, row + grid.steps) + half)
    if moved:
        first = max(row - grid.steps, 0)
        behind = grid.means[column][first:row]
        known = ~np.isnan(behind)
        if known.any():
            was = curve.mean(grid.seconds(first, row)[known] + half)
            ahead = ahead + float((behind[known] - was).mean())
    found: Floats = np.maximum(ahead, 0.0)
    return found


def curve_terms(curve: Curve, grid: HorizonGrid, column: str, row: int) -> dict[str, float]:
    """What the moved curve's mean over the horizon that begins with a row is the sum of.

    LEVEL is the mean of the last horizon, with what the floor of 0 adds; the others are how much the trend and each
    season of the coming horizon lie above those of the last.
    """
    half, first = grid.step_seconds / 2, max(row - grid.steps, 0)
    behind = grid.means[column][first:row]
    known = ~np.isnan(behind)
    ahead = curve.terms(grid.seconds(row, row + grid.steps) + half)
    was = curve.terms(grid.seconds(first, row)[known] + half) if known.any() else {}
    found = {name: float(values.mean()) - float(was[name].mean() if was else 0.0) for name, values in ahead.items()}
    return {LEVEL: float(curve_path(curve, grid, column, row).mean()) - sum(found.values()), **found}


def curve_at(curve: Curve, grid: HorizonGrid, column: str, row: int) -> Level:
    """Mean and p95 of the horizon that begins with a row, by the moved curve."""
    mean = float(curve_path(curve, grid, column, row).mean())
    half = grid.step_seconds / 2
    spread = float(curve.deviation(grid.seconds(row, row + grid.steps) + half).mean())
    return mean, mean + NormalDist().inv_cdf(HIGH_QUANTILE) * spread
