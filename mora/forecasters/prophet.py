"""Prophet, one curve a target: fitted by the library, read with numpy (curve.py).

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
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from mora.documents import anything, check, fields, flag, items, mapping, pair, text
from mora.domain import Load, Reason, Target
from mora.domain.learning import (
    DAY_SECONDS,
    AfterWindow,
    AtLoad,
    Contributions,
    Experiments,
    Floats,
    HorizonGrid,
    Knob,
    Level,
    Past,
    Place,
    Saved,
    Segment,
)
from mora.errors import BadInput, NotEnoughData
from mora.extras import require
from mora.features import HIGH_QUANTILE, HORIZON_STEPS, TARGET_COLUMNS
from mora.forecasters.curve import LEVEL, Curve, Regressor, Season, curve_at, curve_terms, fit_line
from mora.seams import Reporter
from mora.shapley import last_horizon, of_sum

if TYPE_CHECKING:
    import pandas as pd

INTERVAL_WIDTH = 0.9


@dataclass(frozen=True, slots=True)
class ProphetSettings:
    """How Prophet is fitted.

    changepoint_prior_scale, seasonality_prior_scale: how much the trend may bend, and the seasons weigh; Prophet's own
    defaults. days: of a history it sees the last ones only, hour by hour: four weeks have every weekday four times, and
    a fit takes 0.05 s.
    """

    changepoint_prior_scale: float = 0.05
    seasonality_prior_scale: float = 10.0
    days: int = 28


_USUAL = ProphetSettings()

# How its seasons are called beside other forecasters' inputs.
_SEASONS = {"daily": "time of day", "weekly": "day of the week"}

_DOCUMENT = fields(
    {"curves": mapping(anything), "scenarios": items(text), "is_driven": flag, "reasons": items(pair(text, text))}
)


@dataclass(frozen=True, slots=True)
class FittedProphet:
    """One curve a target. scenarios: those that were driven, in the order of the regressors; empty where observed."""

    curves: Mapping[Target, Curve]
    scenarios: tuple[str, ...] = ()
    is_driven: bool = False
    reasons: tuple[Reason, ...] = ()

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        """Mean and high level at each place; nothing of a scenario that was not driven."""
        return [self._at(place) for place in places]

    def _at(self, place: Place) -> dict[Target, Level]:
        if isinstance(place, AtLoad):
            if place.load.scenario not in self.scenarios:
                return {}
            return {target: self._at_load(target, place.load, place.replicas) for target in self.curves}
        if isinstance(place, AfterWindow):
            return {target: self._after(target, place.segment) for target in self.curves}
        known = [target for target in self.curves if TARGET_COLUMNS[target] in place.grid.means]
        return {t: curve_at(self.curves[t], place.grid, TARGET_COLUMNS[t], place.row) for t in known}

    def contributions(
        self, grid: HorizonGrid, rows: Sequence[int], background: Sequence[int], *, seed: int
    ) -> dict[Target, Contributions]:
        """What the last horizon, the trend and each season add, exactly: the forecast is their sum."""
        found: dict[Target, Contributions] = {}
        for target, curve in self.curves.items():
            column = TARGET_COLUMNS[target]
            if column not in grid.means:
                continue
            names = {LEVEL: last_horizon(grid.horizon_seconds), "trend": "trend", **_SEASONS}
            terms = [[curve_terms(curve, grid, column, row) for row in some] for some in (rows, background)]
            order = list(terms[0][0])
            own, usual = (np.array([[one[name] for name in order] for one in some]) for some in terms)
            found[target] = of_sum([names.get(name, name) for name in order], own, usual)
        return found

    def use_at(self, target: Target, load: Load, replicas: int) -> float:
        """Use at a load, from the regressors alone; driven data only. Never below 0."""
        if load.scenario not in self.scenarios:
            raise BadInput(f"No run drove the scenario {load.scenario!r}; driven were {', '.join(self.scenarios)}.")
        return self._at_load(target, load, replicas)[0]

    def _at_load(self, target: Target, load: Load, replicas: int) -> Level:
        curve = self.curves[target]
        inputs = regressors_of(self.scenarios, load.scenario, float(load.users), float(replicas))
        seconds = np.array([curve.start_seconds])
        mean = max(float(curve.mean(seconds, inputs)[0]), 0.0)
        return mean, mean + NormalDist().inv_cdf(HIGH_QUANTILE) * float(curve.deviation(seconds)[0])

    def _after(self, target: Target, last: Segment) -> Level:
        """Over the steps that follow a segment; on driven data under the load that the segment was driven at."""
        step_seconds = float(last.seconds[-1] - last.seconds[-2]) if len(last) > 1 else 1.0
        seconds = last.seconds[-1] + step_seconds * np.arange(1, HORIZON_STEPS + 1)
        inputs: Mapping[str, float] = {}
        if self.is_driven:
            users, replicas = last.values["load_users"][-1], last.values["replica_count"][-1]
            inputs = regressors_of(self.scenarios, str(last.scenario), float(users), float(replicas))
        curve = self.curves[target]
        mean = float(np.maximum(curve.mean(seconds, inputs), 0.0).mean())
        return mean, mean + NormalDist().inv_cdf(HIGH_QUANTILE) * float(curve.deviation(seconds).mean())

    def save(self) -> Saved:
        """Plain JSON; ProphetForecaster.restore() gives the same numbers to the last bit."""
        return Saved(
            {
                "is_driven": self.is_driven,
                "scenarios": list(self.scenarios),
                "curves": {target.value: curve.to_dict() for target, curve in self.curves.items()},
                "reasons": [[reason.code, reason.text] for reason in self.reasons],
            }
        )


class ProphetForecaster:
    """Prophet for CPU, memory and replicas; a straight line is used for a target that it fails on, with a reason."""

    name = "prophet"
    is_refitted = True
    knobs = MappingProxyType(
        {
            "changepoint_prior_scale": Knob(0.002, 0.5, is_log=True),
            "seasonality_prior_scale": Knob(0.05, 20.0, is_log=True),
            "days": Knob(7, 56, is_log=True, is_whole=True),
        }
    )

    def __init__(self, settings: ProphetSettings | None = None) -> None:
        self.settings = settings if settings is not None else ProphetSettings()

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedProphet:
        """One curve for each target of the data. Raises NotEnoughData with fewer than two samples of one."""
        if isinstance(data, Experiments):
            return _fit_experiments(data, self.settings, seed)
        return _fit_past(data, self.settings, seed)

    def restore(self, saved: Saved) -> FittedProphet:
        """What FittedProphet.save() gave; Misfit where it did not give that."""
        plain = saved.document
        check(plain, _DOCUMENT)
        return FittedProphet(
            {Target(name): Curve.from_dict(curve) for name, curve in plain["curves"].items()},
            tuple(plain["scenarios"]),
            bool(plain["is_driven"]),
            tuple(Reason(code, text) for code, text in plain["reasons"]),
        )


def _fit_experiments(data: Experiments, settings: ProphetSettings, seed: int) -> FittedProphet:
    scenarios = tuple(sorted({piece.scenario for piece in data.training if piece.scenario is not None}))
    reasons = [
        Reason(
            "prophet-driven",
            "Prophet's trend is flat and its seasons are off on driven data; users and users per replica are its "
            f"regressors, with slopes of their own for {', '.join(scenarios)}",
        )
    ]
    curves = {}
    for target in data.targets:
        limit_bound = data.limit_bound.get(target, frozenset())
        kept = [piece for piece in data.training if piece.name not in limit_bound] or list(data.training)
        inputs = regressors_over(scenarios, kept)
        curves[target] = _fit_target(target, kept, inputs, {}, settings, seed, reasons, is_flat=True)
    return FittedProphet(curves, scenarios, True, tuple(reasons))


def _fit_past(data: Past, settings: ProphetSettings, seed: int) -> FittedProphet:
    """On the known steps of the last weeks of a grid.

    The grid should be that of a day (hours): one curve then serves every horizon, since it can be read at any moment.
    """
    grid = data.grid.before(data.fit_until)
    first = max(0, len(grid) - round(settings.days * DAY_SECONDS / grid.step_seconds))
    seconds = grid.seconds(first, len(grid)) + grid.step_seconds / 2
    curves, reasons = {}, []
    for target in data.targets:
        values = grid.means[TARGET_COLUMNS[target]][first:]
        known = ~np.isnan(values)
        piece = Segment("observed", None, seconds[known], {TARGET_COLUMNS[target]: values[known]})
        own: list[Reason] = []
        seasons = _seasons_covered([piece], own) if len(piece) else {}
        curves[target] = _fit_target(target, [piece], {}, seasons, settings, seed, own, is_flat=False)
        reasons += own
    return FittedProphet(curves, reasons=tuple(dict.fromkeys(reasons)))


def _fit_target(
    target: Target,
    pieces: Sequence[Segment],
    inputs: Mapping[str, Floats],
    seasons: Mapping[str, float],
    settings: ProphetSettings,
    seed: int,
    reasons: list[Reason],
    *,
    is_flat: bool,
) -> Curve:
    seconds = np.concatenate([piece.seconds for piece in pieces])
    values = np.concatenate([piece.values[TARGET_COLUMNS[target]] for piece in pieces])
    if len(values) < 2:
        raise NotEnoughData(f"Prophet needs 2 samples of {target.value} or more, there are {len(values)}.")
    try:
        return _fit_prophet(seconds, values, inputs, seasons, settings, is_flat=is_flat, seed=seed)
    except (RuntimeError, ValueError, OSError, ArithmeticError) as failure:
        words = str(failure).strip().splitlines()
        reasons.append(
            Reason(
                "prophet-failed",
                f"Prophet failed on {target.value} ({words[0] if words else type(failure).__name__}): "
                "a linear trend is used instead",
            )
        )
        return fit_line(seconds, values, inputs, is_flat=is_flat)


def regressors_of(scenarios: Sequence[str], scenario: str, users: float, replicas: float) -> dict[str, float]:
    """Regressors of one cell: whether it is each scenario but the first, and the loads under its own scenario."""
    found: dict[str, float] = {}
    for index, name in enumerate(scenarios):
        here = 1.0 if name == scenario else 0.0
        if index:
            found[f"is_{name}"] = here
        found[f"users_{name}"] = here * users
        found[f"users_per_replica_{name}"] = here * users / max(replicas, 1.0)
    return found


def regressors_over(scenarios: Sequence[str], pieces: Sequence[Segment]) -> dict[str, Floats]:
    """Regressors of every sample of the segments, laid end to end."""
    rows: dict[str, list[Floats]] = {}
    for piece in pieces:
        users, replicas = piece.values["load_users"], piece.values["replica_count"]
        cell = regressors_of(scenarios, str(piece.scenario), float(users[0]), float(replicas[0]))
        for name, value in cell.items():
            rows.setdefault(name, []).append(np.full(len(piece), value))
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def _seasons_covered(pieces: Sequence[Segment], reasons: list[Reason]) -> dict[str, float]:
    """The seasons that the history covers twice; a reason for each that is switched off."""
    first, last = min(p.seconds[0] for p in pieces), max(p.seconds[-1] for p in pieces)
    # The last sample stands for a step of its own: fourteen days of samples are two weeks.
    step = min((float(p.seconds[1] - p.seconds[0]) for p in pieces if len(p) > 1), default=0.0)
    days = (float(last - first) + step) / DAY_SECONDS
    covered = {}
    for name, period_days in (("daily", 1.0), ("weekly", 7.0)):
        if days >= 2 * period_days:
            covered[name] = period_days
        else:
            text = f"Prophet's {name} season is off: it needs {2 * period_days:g} days of history, there are {days:.1f}"
            reasons.append(Reason("season-off", text))
    return covered


@contextmanager
def _quiet() -> Iterator[None]:
    """Prophet and its Stan runner neither print nor warn; only what is known to be harmless is silenced."""
    # cmdstanpy sets its own level on import, which undoes setLevel; `disabled` stays, here and in every worker.
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
    settings: ProphetSettings,
    *,
    is_flat: bool,
    seed: int,
) -> Curve:
    """Fit with the library and keep its numbers. Raises what it raises, ArithmeticError where they are not finite."""
    with _quiet():
        fitted, _ = fit_library(seconds, values, inputs, seasons, settings, is_flat=is_flat, seed=seed)
    curve = _curve_of(fitted, tuple(inputs), is_flat=is_flat)
    if not np.isfinite(curve.mean(seconds, inputs)).all() or not math.isfinite(curve.sigma):
        raise ArithmeticError("its parameters are not finite")
    return curve


def fit_library(
    seconds: Floats,
    values: Floats,
    inputs: Mapping[str, Floats],
    seasons: Mapping[str, float],
    settings: ProphetSettings = _USUAL,
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
        changepoint_prior_scale=settings.changepoint_prior_scale,
        seasonality_prior_scale=settings.seasonality_prior_scale,
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
