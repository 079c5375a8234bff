"""Statistical models of a path, by statsforecast: AutoETS, AutoTheta, MSTL, AutoARIMA.

Each is fitted once on the last weeks of what it learns from, and then runs forward over what has come since, up to the
row that is asked of: its parameters are as old as the fit, its state never is. The path of the horizon is summed up as
its mean, and as the level below which 95 % of its steps are expected, from the model's own normal intervals.

A day is the season where the model can take one of so many steps: by the hour (a day ahead) all of them can; by five
minutes (an hour ahead) AutoETS and AutoARIMA do without, and MSTL looks at a quarter of an hour at a time.

What is kept of a fit is what it was fitted on: a series of numbers and the names of the choices. Restored, it is fitted
again, which takes about a second and needs the extra `models`: the library's own objects could only be pickled.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np

from mora.documents import Misfit, check, fields, items, mapping, one_of, pair, text, whole
from mora.domain import Reason, Target
from mora.domain.learning import Experiments, Floats, HorizonGrid, Level, Past, Place, Saved
from mora.errors import NotEnoughData
from mora.extras import require
from mora.features import HIGH_QUANTILE, TARGET_COLUMNS, TARGETS
from mora.forecasters.places import lessons_of, row_of
from mora.seams import Reporter

# Fewer steps tell nothing of how use moves.
_LEAST_STEPS = 24
# The last so many steps: three weeks by the hour, a week by five minutes.
_MOST_HOURS, _MOST_STEPS = 504, 2016
# A season must be there twice.
_SEASONS = 2
# What is taken apart by loess at every row takes long, and the last days say what a day is like.
_LONG_SEASON, _SEASONS_LOOKED_AT = 24, 5
# Intervals of 90 % end at the quantiles of 5 % and 95 %.
_LEVEL = 90
_DEVIATIONS = np.array([NormalDist().inv_cdf((2 * n + 1) / 38) for n in range(19)])
_HIGH_DEVIATION = NormalDist().inv_cdf(HIGH_QUANTILE)
# What a library's arithmetic ends in on a series that a model cannot follow.
_BREAKDOWNS = (ValueError, ArithmeticError, RuntimeError, IndexError, np.linalg.LinAlgError)
_ONE = fields({"season": whole(1, 10_000), "together": whole(1, 1_000), "steps": whole(1)})
_DOCUMENT = fields(
    {
        "kind": text,
        "targets": mapping(_ONE, one_of(*(target.value for target in TARGETS))),
        "reasons": items(pair(text, text)),
    }
)


@dataclass(frozen=True, slots=True)
class Series:
    """What one target's model is fitted on: values in units of `scale`, `together` steps of the grid in each.

    season: values in a day; 1 without. steps: of the horizon, in steps of the grid.
    """

    values: Floats
    season: int
    together: int
    steps: int

    @property
    def scale(self) -> float:
        """The mean, so that bytes and cores are numbers of the same size to an optimiser."""
        return float(np.abs(self.values).mean()) or 1.0

    @property
    def is_constant(self) -> bool:
        """Whether there is nothing to fit."""
        return float(np.ptp(self.values)) <= 1e-9 * self.scale


@dataclass(frozen=True, slots=True)
class FittedStatistical:
    """One model a target. kind: the registered name. models: those that are fitted so far; a restored one has none."""

    kind: str
    series: Mapping[Target, Series]
    reasons: tuple[Reason, ...] = ()
    models: dict[Target, Any] = field(default_factory=dict, compare=False, repr=False)

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        """Mean and high level at each row, and after each window; nothing of a load, nor where a model breaks down."""
        found: list[dict[Target, Level]] = []
        for at in map(row_of, places):
            of_place = {}
            for target, series in self.series.items():
                if at is None or at.grid.steps != series.steps or TARGET_COLUMNS[target] not in at.grid.means:
                    continue
                level = self._at(target, series, at.grid, at.row)
                if level is not None:
                    of_place[target] = level
            found.append(of_place)
        return list(found)

    def _at(self, target: Target, series: Series, grid: HorizonGrid, row: int) -> Level | None:
        use = _together(grid.filled[TARGET_COLUMNS[target]][:row], series.together)[-len(series.values) :]
        if series.is_constant or len(use) < max(_LEAST_STEPS, _SEASONS * series.season):
            # Nothing was learned, or nothing can be looked at: use stays what it is.
            last = use[-max(series.steps // series.together, 1) :]
            return (float(last.mean()), float(np.quantile(last, HIGH_QUANTILE))) if len(use) else None
        if target not in self.models:
            require("models", by=f"Forecasting with {self.kind}")
            self.models[target] = _fit(self.kind, series)
        ahead = math.ceil(series.steps / series.together)
        if series.season > _LONG_SEASON:
            use = use[-_SEASONS_LOOKED_AT * series.season :]
        try:
            with _quiet():
                said = self.models[target].forward(use / series.scale, h=ahead, level=[_LEVEL])
        except _BREAKDOWNS:
            return None
        mean, high = (np.asarray(said[name], dtype=np.float64) * series.scale for name in ("mean", f"hi-{_LEVEL}"))
        if not np.isfinite(mean).all():
            return None
        spread = np.nan_to_num(np.maximum(high - mean, 0.0), nan=0.0, posinf=0.0) / _HIGH_DEVIATION
        path = np.maximum(mean, 0.0)
        level = float(np.quantile(path[:, None] + spread[:, None] * _DEVIATIONS, HIGH_QUANTILE))
        return float(path.mean()), max(level, float(path.mean()))

    def save(self) -> Saved:
        """What each model was fitted on."""
        targets = {
            target.value: {"season": one.season, "together": one.together, "steps": one.steps}
            for target, one in self.series.items()
        }
        reasons = [[reason.code, reason.text] for reason in self.reasons]
        arrays = {target.value: one.values for target, one in self.series.items()}
        return Saved({"kind": self.kind, "targets": targets, "reasons": reasons}, arrays)


class Statistical:
    """A model of statsforecast; see its subclasses. Needs the extra `models`."""

    name: ClassVar[str]
    is_refitted = False
    # The longest season that it can take, in steps, and whether longer ones are looked at several steps at a time.
    longest_season: ClassVar[int] = 24
    takes_together: ClassVar[bool] = False

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedStatistical:
        """Fit a model to every target. Raises NotEnoughData with how many steps are needed, or why none can be fitted.

        Of experiments it learns from the longest: laid end to end they would be one series with jumps.
        """
        require("models", by=f"Training the forecaster {self.name}")
        series: dict[Target, Series] = {}
        models: dict[Target, Any] = {}
        reasons: list[Reason] = []
        for done, target in enumerate(data.targets):
            reporter.advance(self.name, done, len(data.targets), target.value)
            one = self._series(data, target, reasons)
            if one.is_constant:
                series[target] = one
                continue
            try:
                models[target] = _fit(self.name, one)
            except _BREAKDOWNS as failure:
                words = str(failure).strip().splitlines()
                why = words[0] if words else type(failure).__name__
                reasons.append(
                    Reason(f"{self.name}-failed", f"{self.name} has no forecast of {target.value}: it ends in {why}")
                )
                continue
            series[target] = one
        reporter.advance(self.name, len(data.targets), len(data.targets))
        if not series:
            raise NotEnoughData("; ".join(reason.text for reason in reasons) or f"{self.name} has nothing to learn.")
        return FittedStatistical(self.name, series, tuple(dict.fromkeys(reasons)), models)

    def restore(self, saved: Saved) -> FittedStatistical:
        """What save() gave; Misfit where it did not give that."""
        plain = saved.document
        check(plain, _DOCUMENT)
        if plain["kind"] != self.name:
            raise Misfit(f"kind is {plain['kind']!r}, not {self.name!r}")
        series = {}
        for name, one in plain["targets"].items():
            values = np.asarray(saved.arrays.get(name, ()))
            if values.ndim != 1 or values.dtype != np.float64 or not len(values) or not np.isfinite(values).all():
                raise Misfit(f"the series of {name} is no list of finite numbers")
            series[Target(name)] = Series(values, **one)
        return FittedStatistical(self.name, series, tuple(Reason(code, words) for code, words in plain["reasons"]))

    def _series(self, data: Experiments | Past, target: Target, reasons: list[Reason]) -> Series:
        lessons = [lesson for lesson in lessons_of(data, target) if lesson.fit_until]
        longest = max(lessons, key=lambda lesson: lesson.fit_until, default=None)
        have = 0 if longest is None else longest.fit_until
        if longest is None or have < _LEAST_STEPS:
            raise NotEnoughData(f"{self.name} needs {_LEAST_STEPS} steps of {target.value}, there are {have}.")
        grid, column = longest.grid, TARGET_COLUMNS[target]
        day, together, season = grid.steps_of_day, 1, 1
        if self.takes_together and day > self.longest_season:
            together = min(math.ceil(day / self.longest_season), grid.steps)
        if isinstance(data, Past) and day / together <= self.longest_season and have >= _SEASONS * day:
            season = max(round(day / together), 1)
        if isinstance(data, Past) and season == 1:
            why = (
                f"{day} steps are more than it can take"
                if day / together > self.longest_season
                else "less than two days are there"
            )
            reasons.append(Reason("season-off", f"{self.name} does without a daily season: {why}"))
        if season == 1:
            together = 1
        most = _MOST_HOURS if season == day and day <= 24 else _MOST_STEPS
        values = _together(grid.filled[column][:have], together)[-most:]
        return Series(values.copy(), season, together, grid.steps)


class AutoEts(Statistical):
    """Exponential smoothing; error, trend and season chosen by AICc. Source: Hyndman et al. (2008)."""

    name = "autoets"


class AutoTheta(Statistical):
    """The Theta method in four forms, the best chosen. Source: Fiorucci et al. (2016)."""

    name = "autotheta"
    longest_season = 288


class Mstl(Statistical):
    """Seasons and trend by loess; what remains by exponential smoothing. Source: Bandara et al. (2021)."""

    name = "mstl"
    longest_season = 96
    takes_together = True


class AutoArima(Statistical):
    """ARIMA with orders chosen step by step by AICc, sums of squares in place of likelihoods while it searches.

    Source: Hyndman & Khandakar (2008). Orders are bounded so that a fit takes a second or two.
    """

    name = "autoarima"


def _fit(kind: str, series: Series) -> Any:
    """The fitted library object."""
    from statsforecast import models

    season = series.season
    if kind == AutoEts.name:
        made: Any = models.AutoETS(season_length=season)
    elif kind == AutoTheta.name:
        # A day that comes down to nothing cannot be divided by.
        how = "multiplicative" if float(series.values.min()) > 0 else "additive"
        made = models.AutoTheta(season_length=season, decomposition_type=how)
    elif kind == Mstl.name and season > 1:
        made = models.MSTL(season_length=[season], trend_forecaster=models.AutoETS(model="ZZN"))
    elif kind == Mstl.name:
        made = models.AutoETS(model="ZZN")
    else:
        orders = {"max_p": 3, "max_q": 3, "max_P": 1, "max_Q": 1, "max_order": 5}
        made = models.AutoARIMA(season_length=season, approximation=True, **orders)
    with _quiet():
        return made.fit(series.values / series.scale)


def _together(values: Floats, count: int) -> Floats:
    """Means of so many values each, counted back from the end."""
    if count == 1:
        return values
    whole_groups = len(values) // count
    found: Floats = values[len(values) - whole_groups * count :].reshape(whole_groups, count).mean(axis=1)
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """An optimiser that stops at a bound, or a season without noise, is no news: what comes of it is validated."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", module=r"statsforecast\..*")
        warnings.filterwarnings("ignore", message=r".*(convergence|divide by zero|invalid value).*")
        yield
