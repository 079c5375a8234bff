"""The setting of an autoscaler that a past demand calls for: the fewest pod-hours at no more minutes over.

What is tried: higher targets and longer stabilisation of a plain HPA; and, where KEDA may ask Prometheus, the mean of
the last minutes plus some standard deviations of them, which follows the noise of a demand and not its level alone. To
each, floors of the hour. Chosen on the first two thirds of the history; the last third, which took no part, is what the
figures are of. Where it does not save there, or falls short of pods more often than chance explains, the plain HPA
stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import Floor
from mora.replicas.schedule import always, at_samples, floors_of, levels
from mora.replicas.simulate import PLAIN, Run, Scaler, Setting, simulate

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_MINUTES = tuple(timedelta(minutes=minutes) for minutes in (5, 10, 20, 30))
_SPREADS = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
PLAIN_ONES: tuple[Scaler, ...] = tuple(
    Scaler(target, stabilisation=timedelta(minutes=stabilisation))
    for target in (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
    for stabilisation in (5, 10, 20, 40)
)
"""What an HPA alone can be set to; the first is PLAIN."""
SMOOTHED: tuple[Scaler, ...] = tuple(
    Scaler(target, over, spreads, timedelta(minutes=stabilisation))
    for over in _MINUTES
    for spreads in _SPREADS
    for target in (0.8, 0.9, 1.0, 1.1, 1.2)
    for stabilisation in (0, 5)
)
"""What takes a query of Prometheus."""
QUANTILES = (0.5, 0.8, 0.95)
"""Of the demand of an hour, as a floor."""
_FOR_SCHEDULES = timedelta(days=7)
# To how many scalers each schedule is added: the cheapest of those that it may bring within the budget.
_WITH_SCHEDULES, _MOST_OVER = 24, 3.0
_CHOSEN_ON = 2 / 3


@dataclass(frozen=True, slots=True)
class Part:
    """A setting beside the plain HPA, on samples that took no part in its choice.

    pod_hours: over those of the plain HPA. over, plain_over: minutes with more demand than the pods could carry. span:
    how much demand was known in it.
    """

    pod_hours: float
    over: float
    plain_over: float
    span: timedelta


@dataclass(frozen=True, slots=True)
class Choice:
    """What to set. quantile: of the demand of each hour, that the floors are; None without floors.

    least, usual, most: the pods that it ran on the whole history: fewest, nine tenths of the time at most,
    ever. rejected: what was chosen and did not hold on the last third, where the plain HPA stands in its place.
    """

    scaler: Scaler
    quantile: float | None
    floors: tuple[Floor, ...]
    least: int
    usual: int
    most: int
    held_out: Part
    rejected: Part | None = None


def choose(demand: Floats, start: datetime, setting: Setting, *, may_smooth: bool = True) -> Choice:
    """The setting for a demand, in pods, shape (n,), NaN where not known; start: of its first sample, UTC.

    may_smooth: whether KEDA may ask Prometheus; without it, the plain HPA is tried alone, and no schedule.
    """
    known = ~np.isnan(demand)
    count = int(len(demand) * _CHOSEN_ON)
    first, last = known.copy(), known.copy()
    first[count:], last[:count] = False, False
    scalers = [one for one in (*PLAIN_ONES, *(SMOOTHED if may_smooth else ())) if one == PLAIN or setting.sees(one)]
    ways: list[tuple[Scaler, float | None]] = [(one, None) for one in scalers]
    runs = simulate(demand[:count], scalers, setting)
    if may_smooth and count * setting.step >= _FOR_SCHEDULES:
        more = _hopeful(runs, demand[:count], first[:count], setting)
        also: list[tuple[Scaler, float | None]] = [(scalers[at], share) for at in more for share in QUANTILES]
        schedules = {share: _floor(demand[:count], start, setting, share) for share in QUANTILES}
        ways += also
        runs += simulate(
            demand[:count], [one for one, _ in also], setting, [schedules[share] for _, share in also if share]
        )
    best = _cheapest(runs, demand[:count], first[:count], setting)
    scaler, quantile = ways[best]
    # The schedule of the part that was known then, on what came after it.
    floors = [None, None if quantile is None else _floor(demand, start, setting, quantile, known_until=count)]
    plain, chosen = simulate(demand, [PLAIN, scaler], setting, floors)
    part = _part(chosen, plain, demand, last, setting)
    if _is_worse(part, setting.step):
        alike = _part(plain, plain, demand, last, setting)
        return _told(PLAIN, None, (), plain, alike, part)
    if quantile is None:
        return _told(scaler, None, (), chosen, part, None)
    level = levels(demand, start, setting.step, quantile)
    # Below the minimum, a trigger would do nothing.
    least = max(int(chosen.pods.min()), int(min(always(level), setting.most or math.inf)))
    told = _told(scaler, quantile, floors_of(level, setting.start_up, least), chosen, part, None)
    return replace(told, least=least, most=max(told.most, least))


def _is_worse(part: Part, step: timedelta) -> bool:
    """Whether a choice saves nothing on the last part, or is over more often than chance explains.

    Counts of samples: two standard deviations of a difference of two Poisson counts.
    """
    per_sample = step / timedelta(minutes=1)
    chosen, plain = part.over / per_sample, part.plain_over / per_sample
    return part.pod_hours >= 1.0 or chosen - plain > 2 * (chosen + plain) ** 0.5


def _told(
    scaler: Scaler,
    quantile: float | None,
    floors: tuple[Floor, ...],
    run: Run,
    held_out: Part,
    rejected: Part | None,
) -> Choice:
    return Choice(
        scaler,
        quantile,
        floors,
        least=int(run.pods.min()),
        usual=int(np.quantile(run.pods, 0.9, method="higher")),
        most=int(run.pods.max()),
        held_out=held_out,
        rejected=rejected,
    )


def _hopeful(runs: Sequence[Run], demand: Floats, counted: Bools, setting: Setting) -> list[int]:
    budget = _MOST_OVER * max(runs[0].over(demand, counted), 1)
    near = [at for at, run in enumerate(runs) if run.over(demand, counted) <= budget]
    return sorted(near, key=lambda at: runs[at].pod_hours(setting.step, counted))[:_WITH_SCHEDULES]


def _cheapest(runs: Sequence[Run], demand: Floats, counted: Bools, setting: Setting) -> int:
    """The run with the fewest pod-hours of those that are over no more often than the first, which is the plain one."""
    budget = runs[0].over(demand, counted)
    good = [at for at, run in enumerate(runs) if run.over(demand, counted) <= budget]
    return min(good, key=lambda at: runs[at].pod_hours(setting.step, counted))


def _floor(
    demand: Floats, start: datetime, setting: Setting, quantile: float, *, known_until: int | None = None
) -> Floats:
    level = levels(demand[:known_until], start, setting.step, quantile)
    return at_samples(level, len(demand), start, setting.step, setting.start_up)


def _part(run: Run, plain: Run, demand: Floats, counted: Bools, setting: Setting) -> Part:
    minutes = setting.step / timedelta(minutes=1)
    hours = plain.pod_hours(setting.step, counted)
    return Part(
        pod_hours=run.pod_hours(setting.step, counted) / hours if hours else 1.0,
        over=run.over(demand, counted) * minutes,
        plain_over=plain.over(demand, counted) * minutes,
        span=int(counted.sum()) * setting.step,
    )
