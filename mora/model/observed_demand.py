"""From an observed history to a Demand: the number for the horizon that begins now.

The point forecast is the blend's of the horizon's mean use. The bound is mora/bounds': learned from the same samples as
they came, it needs no training, so any horizon can be asked for; and it is what `mora backtest` replays and scores
under the name `mora`. The policy's buffers are not added to it: they were never scored.

The two meet in one place: the bound is never below the mean that is forecast. A bound around the blend itself (split
conformal prediction on its validation windows) is replayed beside the other in training, and both costs are reported.
It does not decide: on 24 VMs at random moments it costs 4.67 where mora/bounds' costs 2.67 (a day; an hour: 6.97 and
2.15), and taking whichever was cheaper on a series' own validation windows costs 2.79 and 2.40; the raise to the mean
costs and saves next to nothing (2.67 and 2.15 with it; experiments/benchmarks/forecast.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from mora.backtest.history import History, history_of
from mora.backtest.policy import Series
from mora.bounds.cpu import cpu_bounds
from mora.bounds.memory import memory_bounds
from mora.domain import Demand, Question, Reason, Target, TargetDemand, Workload
from mora.domain.learning import Floats, HorizonGrid
from mora.errors import BadInput, NotEnoughData
from mora.features import TARGET_COLUMNS, epoch_seconds, six_digits
from mora.forecasters.horizon import plain_at
from mora.fusion import NAIVE
from mora.model import online
from mora.model.calibration import Calibration
from mora.model.driven_demand import point_forecast_reason, readable
from mora.model.learners import TITLES, Fitted
from mora.model.observed import HorizonModel
from mora.quantities import format_duration
from mora.saturation import KILLS_COUNT_FOR, LimitBound, limit_bound

if TYPE_CHECKING:
    import pandas as pd

PEAK_DAYS = 7


@dataclass(frozen=True, slots=True)
class ObservedAnswer:
    """Answers from a history: the next horizon, from what came before."""

    workload: Workload
    card: Mapping[str, Any]
    forecasters: Fitted
    horizons: Mapping[int, HorizonModel]

    def demand(self, recent: pd.DataFrame, question: Question) -> Demand:
        """What the pod needs over the horizon (that of the training, a day, by default) from the last sample on."""
        if question.has_load:
            raise BadInput(
                f"The model of {self.workload.name!r} was trained on observed data, which knows no other load.",
                hint="Drive experiments (mora collect --plan quick) and train again, or ask for today's load.",
            )
        horizon = question.horizon or timedelta(seconds=self.card["settings"]["horizon_seconds"])
        history = history_of(recent, self.workload.name)
        _check_horizon(history, horizon)
        grid = history.grid(horizon.total_seconds())
        learned = self.horizons.get(round(horizon.total_seconds()))
        now = {} if learned is None else online.as_of_now(learned, self.forecasters, grid, self.card)
        sized = {
            target: self._target(
                target,
                self._point_forecast(target, history.series, grid, learned, now.get(target)),
                history.series,
                recent,
                horizon,
            )
            for target in (Target.CPU, Target.MEMORY)
        }
        kills, killed_at = _oom_kills(recent)
        as_of: datetime = recent["timestamp"].max().to_pydatetime()
        return Demand(
            workload=self.workload,
            load=None,
            as_of=as_of.astimezone(UTC),
            cpu=sized[Target.CPU],
            memory=sized[Target.MEMORY],
            replicas=None,
            oom_kills=kills,
            oom_peak_bytes=max(sized[Target.MEMORY].peak, killed_at or 0.0) if kills else None,
            reasons=(
                Reason(
                    "no-load-response",
                    "observed data has no load response, so no replica count is recommended; drive experiments "
                    "(mora collect --plan quick) to learn one",
                ),
            ),
        )

    def _point_forecast(
        self,
        target: Target,
        series: Series,
        grid: HorizonGrid,
        learned: HorizonModel | None,
        now: tuple[Calibration, tuple[Reason, ...]] | None,
    ) -> tuple[float, tuple[Reason, ...]]:
        """The mean use that is forecast for the grid's horizon, and its arithmetic. now: online.as_of_now()'s."""
        _use(series, target)
        ahead = format_duration(grid.horizon_seconds)
        if learned is not None and now is not None:
            calibration, since = now
            parts = learned.parts(grid, target, self.forecasters, len(grid))
            point_forecast = calibration.point_forecast(parts)
            why = point_forecast_reason(target, point_forecast, parts, calibration, f"the next {ahead}")
            near = _kept_near(target, parts, calibration, ahead)
            return point_forecast, (why, *near, *calibration.reasons, *since, *_costs(target, learned))
        point_forecast = plain_at(grid, TARGET_COLUMNS[target], len(grid))[NAIVE][0]
        text = (
            f"the model has no forecast of {ahead} (its history was too short for one, or it was trained for other "
            f"horizons): the mean of the last {ahead} is used, {readable(target, point_forecast)}"
        )
        return point_forecast, (Reason("point-forecast", text),)

    def _target(
        self,
        target: Target,
        middle: tuple[float, tuple[Reason, ...]],
        series: Series,
        recent: pd.DataFrame,
        horizon: timedelta,
    ) -> TargetDemand:
        point_forecast, why = middle
        found = bound_of(series, target, horizon)
        peak = float(_column(_last_week(recent), TARGET_COLUMNS[target]).max())
        bounded = _limit_bound(series, recent, target)
        reasons = [*why, found.reason]
        if point_forecast > found.amount:
            text = f"raised from {readable(target, found.amount)} to the mean that is forecast"
            reasons.append(Reason("raised-to-point-forecast", text))
        bound = max(found.amount, point_forecast)
        if bounded is not None:
            reasons.append(bounded.reason)
            bound = max(bound, bounded.level)
            # Not the peak: one spike of an hour is not what the busy hours needed.
            peak = bound if target is Target.CPU else peak
        return TargetDemand(
            point_forecast=six_digits(point_forecast),
            bound=six_digits(bound),
            peak=six_digits(peak),
            confidence=found.confidence,
            windows=found.windows,
            is_limit_bound=bounded is not None,
            reasons=tuple(reasons),
            takes_buffer=False,
        )


@dataclass(frozen=True, slots=True)
class Bound:
    """The upper bound of mora/bounds for the coming horizon.

    amount: cores or bytes. confidence: the stated chance, 0..1, that it covers the use (CPU: at most a tenth of the
    samples above; memory: none). windows: how many whole horizons of the series' past it was learned from.
    """

    amount: float
    confidence: float
    windows: int
    reason: Reason


def bound_of(series: Series, target: Target, horizon: timedelta) -> Bound:
    """The bound for the horizon that begins where the series ends; NotEnoughData without a sample of the target."""
    use = _use(series, target)
    first = int(np.flatnonzero(~np.isnan(use))[0])
    rule = cpu_bounds if target is Target.CPU else memory_bounds
    seconds = horizon.total_seconds()
    found = rule(use, step_seconds=float(series.step_seconds), decisions=np.array([len(use)]), horizon_seconds=seconds)
    amount = float(found.requests[0])
    windows = int((len(use) - first) * series.step_seconds // seconds)
    covered = "at most a tenth of the samples above" if target is Target.CPU else "no sample above"
    past = (
        f"{windows} such window{'' if windows == 1 else 's'} of its own past"
        if windows
        else "a past shorter than one horizon"
    )
    text = f"bound {readable(target, amount)} for the next {format_duration(horizon)} ({covered}), learned from {past}"
    return Bound(amount, float(found.confidence[0]), windows, Reason("bound", text))


def _kept_near(target: Target, parts: Mapping[str, float], calibration: Calibration, span: str) -> tuple[Reason, ...]:
    """Which of the forecasts that count lie as far from the naive one as they may."""
    reach = calibration.reach
    if reach is None:
        return ()
    edge = reach * (1 - 1e-9)
    names = [n for n, share in calibration.shares.items() if n != NAIVE and share > 0 and n in parts]
    found = [TITLES.get(name, name) for name in names if abs(parts[name] - parts[NAIVE]) >= edge]
    if not found:
        return ()
    text = (
        f"{target.value}: {' and '.join(found)} kept within {readable(target, reach)} of the mean of the last {span}; "
        "in no validation window did use move farther from it"
    )
    return (Reason("kept-near", text),)


def _check_horizon(history: History, horizon: timedelta) -> None:
    step, known = history.series.step_seconds, history.series.step_seconds * history.series.sample_count
    if horizon < timedelta(seconds=step):
        raise BadInput(
            f"A horizon of {format_duration(horizon)} is shorter than the {format_duration(step)} between samples.",
            hint="Ask for a longer one, like --horizon 1h.",
        )
    if known < horizon.total_seconds():
        raise NotEnoughData(
            f"The history is {format_duration(known, about=True)} long, shorter than one horizon of "
            f"{format_duration(horizon)}.",
            hint="Give a longer history (mora collect --history 14d), or ask for less: --horizon 1h.",
        )


def _costs(target: Target, learned: HorizonModel) -> tuple[Reason, ...]:
    """What both kinds of bound cost on the validation windows of CPU."""
    costs = learned.bound_costs
    if target is not Target.CPU or not costs:
        return ()
    text = (
        f"over {costs['windows']:.0f} validation windows such bounds cost {costs['mora']:.2f} times the use (reserved "
        f"+ 20 x unmet), split conformal ones around the forecast {costs['fused']:.2f}"
    )
    return (Reason("bound-costs", text),)


def _use(series: Series, target: Target) -> Floats:
    """The samples of a target, NaN where missing; NotEnoughData where none is known."""
    use = series.use("cpu" if target is Target.CPU else "mem")
    if use is None or bool(np.isnan(use).all()):
        raise NotEnoughData(f"The history of {series.id!r} has no sample of {target.value}.")
    return use


def _last_week(rows: pd.DataFrame) -> pd.DataFrame:
    is_recent = rows["timestamp"] > rows["timestamp"].max() - timedelta(days=PEAK_DAYS)
    week: pd.DataFrame = rows[is_recent]
    return week


def _oom_kills(rows: pd.DataFrame) -> tuple[int, float | None]:
    """How many OOM kills count, and the highest memory limit that they happened at; None where it is not known.

    Each row has the kills of the hour before it, so those of the last row of each hour are added up.
    """
    if "oom_kills" not in rows:
        return 0, None
    recent = rows[rows["timestamp"] > rows["timestamp"].max() - KILLS_COUNT_FOR].sort_values("timestamp")
    in_hour = recent["oom_kills"].fillna(0.0)
    rose = in_hour > in_hour.shift(fill_value=0.0)
    by_hour = in_hour.groupby(recent["timestamp"].dt.floor("h")).last()
    kills = math.ceil(max(float(by_hour.sum()), float(in_hour.max()))) if len(in_hour) else 0
    limits = _column(recent[rose], "mem_limit_bytes")
    return kills, float(limits.max()) if len(limits) else None


def _column(rows: pd.DataFrame, name: str) -> Floats:
    """The known values of a column that may not be there."""
    if name not in rows:
        return np.empty(0)
    values: Floats = rows[name].to_numpy(dtype=np.float64)
    return values[~np.isnan(values)]


def _limit_bound(series: Series, recent: pd.DataFrame, target: Target) -> LimitBound | None:
    """Whether use is limit-bound (mora/saturation.py). recent: the rows that the series was made of."""
    is_cpu = target is Target.CPU
    slots = np.rint((epoch_seconds(recent) - series.start) / series.step_seconds).astype(np.int64)

    def laid(name: str) -> Floats | None:
        if name not in recent:
            return None
        values = np.full(series.sample_count, np.nan)
        np.fmax.at(values, slots, recent[name].to_numpy(dtype=np.float64))
        return values

    kills, killed_at = _oom_kills(recent)
    return limit_bound(
        target,
        _use(series, target),
        step=timedelta(seconds=series.step_seconds),
        limit=laid("cpu_limit_cores" if is_cpu else "mem_limit_bytes"),
        throttled=laid("throttled_ratio"),
        oom_kills=kills,
        oom_limit_bytes=killed_at,
    )
