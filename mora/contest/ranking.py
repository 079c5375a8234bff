"""From the contests of single series to a row an entrant: skill and win rate, with their intervals.

Skill is 1 - the geometric mean over series of an entrant's MAE over the naive forecast's on the same windows; the win
rate is how often it errs less than another entrant in a window (a tie counts half), over all others and all series
(both as in fev, Shchur et al. 2025, "fev-bench: A Realistic Benchmark for Time Series Forecasting"). Windows that
follow each other, and series that are siblings, are alike, so the intervals resample neither alone: whole groups of
sibling series where there are five or more of them, and else the days (or two horizons, where those are longer) of
each group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mora.contest import requests
from mora.contest.scores import Score, score
from mora.contest.windows import Contest
from mora.domain import Target
from mora.domain.learning import DAY_SECONDS, Floats
from mora.fusion import NAIVE

_DRAWS = 1000
_SEED = 7
# Resampling fewer groups than this says little of others.
_LEAST_GROUPS = 5
# An entrant that errs a hundred times as much, or as little, on one series does not decide alone.
_MOST_RATIO = 100.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its 95 % bootstrap interval; NaN where not known."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """One entrant at one horizon and target, over series: means over them but for skill (see above) and `bytes` (most).

    series: those it answered for. answered: the share of windows that it answered, of all series. mape: the median over
    series. cost, raised, own: of requests (requests.Cost), geometric means over series. failures: each once.
    """

    entrant: str
    horizon_seconds: float
    target: Target
    series: int
    answered: float
    skill: Interval
    wins: Interval
    mae: float
    rmse: float
    mape: float
    relative: float
    covered: float
    width: float
    pinball: float
    steps_covered: float
    cost: float
    raised: float
    own: float
    fit_seconds: float
    ask_seconds: float
    bytes: float
    failures: tuple[str, ...]

    @property
    def is_surely_apart(self) -> bool:
        """Whether the interval of its skill leaves out 0: it is better, or worse, than the naive forecast."""
        return self.skill.low > 0 or self.skill.high < 0


@dataclass(frozen=True, slots=True)
class Table:
    """One horizon and target: the entrants, the most skilled first; whether smaller errors made cheaper requests."""

    horizon_seconds: float
    target: Target
    contests: tuple[Contest, ...]
    rows: tuple[Ranked, ...]
    around: requests.Agreement
    raised: requests.Agreement

    @property
    def windows(self) -> int:
        """Of all series together."""
        return sum(len(contest.windows) for contest in self.contests)


def tables(contests: Sequence[Contest]) -> list[Table]:
    """A table for each target and horizon, CPU first and short horizons first."""
    keys = {(one.windows.target, one.windows.horizon_seconds) for one in contests}
    order = sorted(keys, key=lambda key: (list(Target).index(key[0]), key[1]))
    return [_table([one for one in contests if (one.windows.target, one.windows.horizon_seconds) == k]) for k in order]


def _table(contests: list[Contest]) -> Table:
    windows = contests[0].windows
    names = list(dict.fromkeys(name for contest in contests for name in contest.answers))
    scored = {name: [score(contest, name) for contest in contests if name in contest.answers] for name in names}
    costs = [{name: requests.cost(contest, name) for name in contest.answers} for contest in contests]
    skills, wins = _intervals(contests, names)
    rows = []
    for number, name in enumerate(names):
        own = [one[name] for one in costs if name in one]
        rows.append(_row(name, contests, scored[name], own, skills[number], wins[number]))
    rows.sort(key=lambda row: -np.nan_to_num(row.skill.value, nan=-1e9))
    around, raised = (
        requests.agreed(contests, [{name: getattr(one, which) for name, one in cost.items()} for cost in costs], names)
        for which in ("around", "raised")
    )
    return Table(windows.horizon_seconds, windows.target, tuple(contests), tuple(rows), around, raised)


def _row(
    name: str,
    contests: Sequence[Contest],
    scored: Sequence[Score],
    costs: Sequence[requests.Cost],
    skill: Interval,
    wins: Interval,
) -> Ranked:
    told = [one for one in scored if one.answered]

    def mean(figure: Callable[[Score], float]) -> float:
        return _mean([figure(one) for one in told])

    total = sum(one.windows for one in scored)
    return Ranked(
        entrant=name,
        horizon_seconds=contests[0].windows.horizon_seconds,
        target=contests[0].windows.target,
        series=len(told),
        answered=sum(one.answered for one in scored) / total if total else math.nan,
        skill=skill,
        wins=wins,
        mae=mean(lambda one: one.mae),
        rmse=mean(lambda one: one.rmse),
        mape=float(np.median(known)) if (known := _known([one.mape for one in told])) else math.nan,
        relative=mean(lambda one: one.relative),
        covered=mean(lambda one: one.covered),
        width=mean(lambda one: one.width),
        pinball=mean(lambda one: one.pinball),
        steps_covered=mean(lambda one: one.steps_covered),
        cost=_geometric([one.around for one in costs]),
        raised=_geometric([one.raised for one in costs]),
        own=_geometric([one.own for one in costs]),
        fit_seconds=_mean([one.fit_seconds for one in scored]),
        ask_seconds=_mean([one.ask_seconds for one in scored]),
        bytes=max((one.bytes for one in scored), default=0.0),
        failures=tuple(dict.fromkeys(why for one in scored for why in one.failures)),
    )


# --- intervals -------------------------------------------------------------------------------------------------------


def _intervals(contests: Sequence[Contest], names: Sequence[str]) -> tuple[list[Interval], list[Interval]]:
    """Skill and win rate of every name with their intervals."""
    groups = list(dict.fromkeys(contest.windows.group for contest in contests))
    rng = np.random.default_rng(_SEED)
    whole = len(groups) >= _LEAST_GROUPS
    logs = np.full((len(contests), _DRAWS + 1, len(names)), np.nan)
    wins = np.full_like(logs, np.nan)
    share = np.ones((len(contests), _DRAWS + 1))
    for group in groups:
        own = [number for number, contest in enumerate(contests) if contest.windows.group == group]
        days = {number: _days(contests[number]) for number in own}
        known = np.unique(np.concatenate(list(days.values())))
        # The first draw is of every day once: the figures themselves.
        drawn = np.ones((_DRAWS + 1, len(known)))
        if not whole:
            drawn[1:] = rng.multinomial(len(known), np.full(len(known), 1 / len(known)), size=_DRAWS)
        for number in own:
            logs[number], wins[number] = _of_series(
                contests[number], names, np.searchsorted(known, days[number]), drawn
            )
    if whole:
        picked = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=_DRAWS)
        at = np.array([groups.index(contest.windows.group) for contest in contests])
        share[:, 1:] = picked.T[at]
    skills = 1.0 - np.exp(_weighted(logs, share))
    return [_interval(skills[:, n]) for n in range(len(names))], [
        _interval(_weighted(wins, share)[:, n]) for n in range(len(names))
    ]


def _days(contest: Contest) -> np.ndarray:
    length = max(DAY_SECONDS, 2 * contest.windows.horizon_seconds)
    found: np.ndarray = np.floor(contest.windows.seconds / length).astype(np.int64)
    return found


def _of_series(contest: Contest, names: Sequence[str], day: np.ndarray, drawn: Floats) -> tuple[Floats, Floats]:
    """log(MAE / naive's) and win rate of each draw and name, shape (draws, names); NaN where it did not answer."""
    silent = np.full(len(contest.windows), np.nan)
    errors = np.column_stack([contest.errors(name) if name in contest.answers else silent for name in names])
    by_day = np.zeros((drawn.shape[1], len(day)))
    by_day[day, np.arange(len(day))] = 1.0
    weights = drawn @ by_day  # shape (draws, windows)
    naive = errors[:, list(names).index(NAIVE)][:, None]
    both = ~np.isnan(errors) & ~np.isnan(naive)
    own = weights @ np.where(both, errors, 0.0)
    reference = weights @ np.where(both, naive, 0.0)
    counted = weights @ both.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(reference > 0, own / reference, np.where(own > 0, np.inf, 1.0))
        logs = np.where(counted > 0, np.log(np.clip(ratio, 1 / _MOST_RATIO, _MOST_RATIO)), np.nan)
    wins = np.full_like(logs, np.nan)
    for number in range(len(names)):
        mine = errors[:, [number]]
        known = ~np.isnan(mine) & ~np.isnan(errors)
        known[:, number] = False
        won = np.where(known, (mine < errors) + 0.5 * (mine == errors), 0.0).sum(axis=1)
        pairs = weights @ known.sum(axis=1)
        wins[:, number] = np.divide(weights @ won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return logs, wins


def _weighted(values: Floats, share: Floats) -> Floats:
    """The mean over series of each draw, shape (draws, names); series without a value left out."""
    known = ~np.isnan(values)
    weight = share[:, :, None] * known
    total = weight.sum(axis=0)
    found: Floats = np.divide(
        (weight * np.where(known, values, 0.0)).sum(axis=0), total, out=np.full(total.shape, np.nan), where=total > 0
    )
    return found


def _interval(draws: Floats) -> Interval:
    """The first draw is the figure, the others say how sure it is."""
    others = draws[1:][~np.isnan(draws[1:])]
    if np.isnan(draws[0]) or not len(others):
        return Interval(float(draws[0]), math.nan, math.nan)
    low, high = np.quantile(others, [0.025, 0.975])
    return Interval(float(draws[0]), float(low), float(high))


def _known(values: Sequence[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _mean(values: Sequence[float]) -> float:
    known = _known(values)
    return float(np.mean(known)) if known else math.nan


def _geometric(values: Sequence[float]) -> float:
    known = [value for value in _known(values) if value > 0]
    return float(np.exp(np.mean(np.log(known)))) if known else math.nan
