"""Prophet, one curve a target: fitted by the library, read with numpy.

What a fit leaves behind is a handful of numbers (trend, seasons, regressors), so the curve is kept as those numbers and
evaluated directly: exact to the library's own `predict`, a hundred times faster, and without importing it. Intervals
are computed, never sampled, so the same curve always gives the same answer.

On observed data the trend is piecewise linear with daily and weekly seasons where the history covers them twice. On
driven data short experiments stand end to end in the order of the plan, so there is no trend or season to find: the
trend is flat, and the load enters as regressors, with a level and two slopes (users, users per replica) of its own for
every scenario.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from mora.domain import Forecast, Load, Reason, Target
from mora.errors import BadInput, NotEnoughData
from mora.extras import require
from mora.features import TARGET_COLUMNS, TARGETS, Floats, Segment, grid_step, segments

if TYPE_CHECKING:
    import pandas as pd

CHANGEPOINT_PRIOR_SCALE = 0.05
SEASONALITY_PRIOR_SCALE = 10.0
INTERVAL_WIDTH = 0.9
_DAY_SECONDS = 86_400.0


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

    def deviation(self, seconds: Floats) -> Floats:
        """Standard deviation of what is expected around the mean, shape (n,), in the target's unit.

        Prophet draws future trend changes from a Poisson process of the rate seen so far, with Laplace(0, b) sizes,
        b the mean size seen, and adds the noise. The variance of that has a closed form, which stands in for its
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
        fields = dict(plain)
        fields["changepoints"], fields["deltas"] = tuple(plain["changepoints"]), tuple(plain["deltas"])
        fields["seasons"] = tuple(Season(s["name"], s["period_days"], tuple(s["betas"])) for s in plain["seasons"])
        fields["regressors"] = tuple(Regressor(**regressor) for regressor in plain["regressors"])
        return cls(**fields)


class ProphetForecaster:
    """Prophet for CPU, memory and replicas; a straight line stands in for a target that it fails on, and says so."""

    name = "prophet"

    def __init__(self, targets: Sequence[Target] = TARGETS) -> None:
        self.targets = tuple(targets)
        self.curves: dict[Target, Curve] = {}
        self.scenarios: tuple[str, ...] = ()
        self.is_driven = False
        self.reasons: tuple[Reason, ...] = ()

    @property
    def is_fitted(self) -> bool:
        return bool(self.curves)

    def fit(self, history: Sequence[pd.DataFrame], *, driven: bool, seed: int) -> None:
        self.fit_segments([piece for frame in history for piece in segments(frame)], driven=driven, seed=seed)

    def fit_segments(
        self,
        pieces: Sequence[Segment],
        *,
        driven: bool,
        seed: int,
        left_out: Mapping[Target, frozenset[str]] | None = None,
    ) -> None:
        """As fit(), from segments. left_out: names of segments that say nothing true of a target (held at a limit)."""
        self.is_driven = driven
        self.scenarios = tuple(sorted({piece.scenario for piece in pieces if piece.scenario is not None}))
        reasons: list[Reason] = []
        if driven:
            reasons.append(
                Reason(
                    "prophet-driven",
                    "Prophet's trend is flat and its seasons are off on driven data; users and users per replica are "
                    f"its regressors, with slopes of their own for {', '.join(self.scenarios)}",
                )
            )
        seasons = {} if driven else _seasons_covered(pieces, reasons)
        for target in self.targets:
            out = (left_out or {}).get(target, frozenset())
            kept = [piece for piece in pieces if piece.name not in out] or list(pieces)
            self.curves[target] = self._fit_target(target, kept, seasons, seed, reasons)
        self.reasons = tuple(reasons)

    def _fit_target(
        self, target: Target, pieces: Sequence[Segment], seasons: Mapping[str, float], seed: int, reasons: list[Reason]
    ) -> Curve:
        seconds = np.concatenate([piece.seconds for piece in pieces])
        values = np.concatenate([piece.values[TARGET_COLUMNS[target]] for piece in pieces])
        if len(values) < 2:
            raise NotEnoughData(f"Prophet needs 2 samples of {target.value} or more, there are {len(values)}.")
        inputs = self._regressors_of(pieces) if self.is_driven else {}
        try:
            return _fit_prophet(seconds, values, inputs, seasons, is_flat=self.is_driven, seed=seed)
        except (RuntimeError, ValueError, OSError, ArithmeticError) as failure:
            words = str(failure).strip().splitlines()
            reasons.append(
                Reason(
                    "prophet-failed",
                    f"Prophet failed on {target.value} ({words[0] if words else type(failure).__name__}): "
                    "a linear trend stands in",
                )
            )
            return fit_line(seconds, values, inputs, is_flat=self.is_driven)

    def at(self, target: Target, load: Load, replicas: int) -> float:
        """Use at a load, from the regressors alone; driven data only. Never below 0."""
        if load.scenario not in self.scenarios:
            raise BadInput(f"No run drove the scenario {load.scenario!r}; driven were {', '.join(self.scenarios)}.")
        curve = self.curves[target]
        inputs = self._inputs(load.scenario, float(load.users), float(replicas))
        return max(float(curve.mean(np.array([curve.start_seconds]), inputs)[0]), 0.0)

    def forecast(
        self, recent: pd.DataFrame, horizon: int, *, level: float = INTERVAL_WIDTH
    ) -> Mapping[Target, Forecast]:
        return self.forecast_segment(segments(recent)[-1], horizon, level=level, step=grid_step(recent))

    def forecast_segment(
        self, last: Segment, horizon: int, *, step: timedelta, level: float = INTERVAL_WIDTH
    ) -> dict[Target, Forecast]:
        """The next `horizon` steps after a segment; on driven data under the load that the segment was driven at."""
        seconds = last.seconds[-1] + step.total_seconds() * np.arange(1, horizon + 1)
        inputs: Mapping[str, float] = {}
        if self.is_driven:
            users, replicas = last.values["load_users"][-1], last.values["replica_count"][-1]
            inputs = self._inputs(str(last.scenario), float(users), float(replicas))
        reach = NormalDist().inv_cdf((1 + level) / 2)
        found = {}
        for target in self.targets:
            curve = self.curves[target]
            mean = np.maximum(curve.mean(seconds, inputs), 0.0)
            spread = reach * curve.deviation(seconds)
            found[target] = Forecast(
                target, self.name, mean, np.maximum(mean - spread, 0.0), mean + spread, level, step, self.reasons
            )
        return found

    def level_and_high(self, target: Target, last: Segment, horizon: int, *, quantile: float) -> tuple[float, float]:
        """Mean of the next `horizon` steps after a segment, and the level that `quantile` of them stay below."""
        step_seconds = float(last.seconds[-1] - last.seconds[-2]) if len(last) > 1 else 1.0
        forecast = self.forecast_segment(last, horizon, step=timedelta(seconds=step_seconds))[target]
        reach = NormalDist().inv_cdf(quantile) / NormalDist().inv_cdf((1 + forecast.level) / 2)
        mean = float(forecast.mean.mean())
        return mean, mean + reach * float((forecast.upper - forecast.mean).mean())

    def _inputs(self, scenario: str, users: float, replicas: float) -> dict[str, float]:
        """Regressors of one cell: whether it is each scenario but the first, and the loads under its own scenario."""
        found: dict[str, float] = {}
        for index, name in enumerate(self.scenarios):
            here = 1.0 if name == scenario else 0.0
            if index:
                found[f"is_{name}"] = here
            found[f"users_{name}"] = here * users
            found[f"users_per_replica_{name}"] = here * users / max(replicas, 1.0)
        return found

    def _regressors_of(self, pieces: Sequence[Segment]) -> dict[str, Floats]:
        rows: dict[str, list[Floats]] = {}
        for piece in pieces:
            users, replicas = piece.values["load_users"], piece.values["replica_count"]
            cell = self._inputs(str(piece.scenario), float(users[0]), float(replicas[0]))
            for name, value in cell.items():
                rows.setdefault(name, []).append(np.full(len(piece), value))
        return {name: np.concatenate(parts) for name, parts in rows.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; from_dict() gives the same numbers to the last bit."""
        return {
            "is_driven": self.is_driven,
            "scenarios": list(self.scenarios),
            "curves": {target.value: curve.to_dict() for target, curve in self.curves.items()},
            "reasons": [[reason.code, reason.text] for reason in self.reasons],
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ProphetForecaster:
        made = cls([Target(name) for name in plain["curves"]])
        made.is_driven = plain["is_driven"]
        made.scenarios = tuple(plain["scenarios"])
        made.curves = {Target(name): Curve.from_dict(curve) for name, curve in plain["curves"].items()}
        made.reasons = tuple(Reason(code, text) for code, text in plain["reasons"])
        return made


def _seasons_covered(pieces: Sequence[Segment], reasons: list[Reason]) -> dict[str, float]:
    """The seasons that the history covers twice; what is switched off is said."""
    first, last = min(p.seconds[0] for p in pieces), max(p.seconds[-1] for p in pieces)
    # The last sample stands for a step of its own: fourteen days of samples are two weeks.
    step = min((float(p.seconds[1] - p.seconds[0]) for p in pieces if len(p) > 1), default=0.0)
    days = (float(last - first) + step) / _DAY_SECONDS
    covered = {}
    for name, period_days in (("daily", 1.0), ("weekly", 7.0)):
        if days >= 2 * period_days:
            covered[name] = period_days
        else:
            text = f"Prophet's {name} season is off: it wants {2 * period_days:g} days of history, there are {days:.1f}"
            reasons.append(Reason("season-off", text))
    return covered


def _fourier(seconds: Floats, period_days: float, order: int) -> Floats:
    """sin and cos of rising order, shape (n, 2 * order), counted from 1970 as Prophet does."""
    turns = 2 * math.pi * (seconds / _DAY_SECONDS)
    columns = []
    for i in range(1, order + 1):
        angle = i / period_days * turns
        columns += [np.sin(angle), np.cos(angle)]
    return np.column_stack(columns)


@contextmanager
def _quiet() -> Iterator[None]:
    """Prophet and its Stan runner neither print nor warn; only what is known to be harmless is silenced."""
    # setLevel does not hold, since cmdstanpy sets its own level on import; `disabled` does, here and in every worker.
    logging.getLogger("cmdstanpy").disabled = True
    # Says at import that plotly is missing; MOrA draws nothing with it.
    logging.getLogger("prophet.plot").disabled = True
    logging.getLogger("prophet").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # pandas 3 announces pandas 4 to prophet 1.5; the versions are pinned.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"prophet\..*")
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"prophet\..*")
        yield


def _fit_prophet(
    seconds: Floats,
    values: Floats,
    inputs: Mapping[str, Floats],
    seasons: Mapping[str, float],
    *,
    is_flat: bool,
    seed: int,
) -> Curve:
    """Fit with the library and keep its numbers. Raises what it raises, ArithmeticError where they are not finite."""
    with _quiet():
        fitted, _ = fit_library(seconds, values, inputs, seasons, is_flat=is_flat, seed=seed)
    curve = _curve_of(fitted, tuple(inputs), is_flat=is_flat)
    if not np.isfinite(curve.mean(seconds, inputs)).all() or not math.isfinite(curve.sigma):
        raise ArithmeticError("its parameters are not finite")
    return curve


def fit_library(
    seconds: Floats,
    values: Floats,
    inputs: Mapping[str, Floats],
    seasons: Mapping[str, float],
    *,
    is_flat: bool,
    seed: int,
) -> tuple[Any, pd.DataFrame]:
    """A fitted `prophet.Prophet` and the frame it was fitted on; apart, so that a test can ask it to predict."""
    require("train", by="Fitting Prophet")
    import pandas as pd
    from prophet import Prophet

    frame = pd.DataFrame({"ds": pd.to_datetime((seconds * 1e6).astype("int64"), unit="us"), "y": values, **inputs})
    library = Prophet(
        growth="flat" if is_flat else "linear",
        n_changepoints=0 if is_flat else 25,
        changepoint_prior_scale=CHANGEPOINT_PRIOR_SCALE,
        seasonality_prior_scale=SEASONALITY_PRIOR_SCALE,
        yearly_seasonality=False,
        weekly_seasonality="weekly" in seasons,
        daily_seasonality="daily" in seasons,
        interval_width=INTERVAL_WIDTH,
        uncertainty_samples=0,
    )
    for name in inputs:
        library.add_regressor(name)
    library.fit(frame, seed=seed)
    return library, frame


def _curve_of(library: Any, names: Sequence[str], *, is_flat: bool) -> Curve:
    """The library's numbers, regrouped: each beta with the season or the regressor that it belongs to."""
    betas = np.asarray(library.params["beta"], dtype=np.float64).reshape(-1)
    columns = library.train_component_cols
    seasons, regressors = [], []
    for name, season in library.seasonalities.items():
        own = betas[np.flatnonzero(columns[name].to_numpy())]
        seasons.append(Season(str(name), float(season["period"]), tuple(own.tolist())))
    for name in names:
        props = library.extra_regressors[name]
        beta = float(betas[np.flatnonzero(columns[name].to_numpy())][0])
        regressors.append(Regressor(name, float(props["mu"]), float(props["std"]), beta))
    return Curve(
        start_seconds=library.start.timestamp()
        if library.start.tzinfo
        else library.start.tz_localize("UTC").timestamp(),
        span_seconds=max(library.t_scale.total_seconds(), 1e-9),
        scale=float(library.y_scale),
        rate=float(np.ravel(library.params["k"])[0]),
        offset=float(np.ravel(library.params["m"])[0]),
        changepoints=() if is_flat else tuple(np.asarray(library.changepoints_t, dtype=np.float64).tolist()),
        deltas=() if is_flat else tuple(np.ravel(library.params["delta"]).tolist()),
        sigma=float(np.ravel(library.params["sigma_obs"])[0]),
        seasons=tuple(seasons),
        regressors=tuple(regressors),
        is_flat=is_flat,
    )


def fit_line(seconds: Floats, values: Floats, inputs: Mapping[str, Floats], *, is_flat: bool) -> Curve:
    """What stands in where Prophet fails: least squares, on time or (driven) on the same regressors."""
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
