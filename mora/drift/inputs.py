"""Whether what a model looks at is still distributed as it was when the model was trained.

The last day is one block; the days that the model was trained on are the others. Of each block six statistics are
taken, against the blocks that it is not one of: so the days of the training show how much a day differs from the rest
by itself, with whatever autocorrelation its samples have (block permutation with one block left out at a time). A
statistic of the last day is then a draw from theirs, or it is not: Student's t of its distance, with the effective
number of days, and Holm's correction over every feature and statistic.

KS and PSI are of the samples' distribution. Level (of the day, and of its latest hours), spread and season say in what
way it moved; and KS and PSI cannot see a season that moved, since the same samples come in another order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mora.domain.learning import DAY_SECONDS, Floats

Statistic = Literal["level", "latest", "spread", "season", "ks", "psi", "errors", "coverage"]
# Of the inputs; the other two are of the model (residuals.py, coverage.py).
STATISTICS: tuple[Statistic, ...] = ("level", "latest", "spread", "season", "ks", "psi")

MIN_DAYS, MOST_DAYS = 7, 28
"""Days of the training that are compared with: fewer say too little of how days differ, more are of another time."""
ALPHA = 0.003
"""The chance that a check of a service whose days are alike finds a drift, over all its features and statistics."""
LITTLE = 0.02
"""Added to KS and PSI before their logarithm."""
_HOURS = 24
_BINS, _PSI_BINS = 50, 10
# A day's figure is no number where fewer than half of its samples are known.
_MIN_KNOWN = 0.5
# Added to both sides of a ratio, as a share of the mean use: what is next to nothing may double without being a drift.
_NEXT_TO_NOTHING = 0.05
# A standard deviation of days that are alike to the last digit: smaller changes than some of these are no drift that
# would need another model. Levels are logarithms of a ratio, spread of a mean distance; season is a
# difference of correlations (Fisher's z); KS and PSI are logarithms, errors are of log(1 + error / validation error).
_FLOORS: Mapping[Statistic, float] = {
    "level": 0.05,
    "latest": 0.06,
    "spread": 0.1,
    "season": 0.15,
    "ks": 0.25,
    "psi": 0.5,
    "errors": 0.1,
}
# More KS, PSI or error than other days have is a drift; less is not.
_ONE_SIDED: tuple[Statistic, ...] = ("season", "ks", "psi", "errors")
# Those of the samples whatever their order; the others are of a day's hours, and weekdays have such in common.
_OF_SAMPLES: tuple[Statistic, ...] = ("ks", "psi")
# A drift is further off than any day of the training, by this factor; what is not, is worth so many deviations at most.
_BEYOND, _NOT_BEYOND = 1.1, 1.0
_LATEST, _OUTER = 12, 3
_ALIKE = 0.6
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Comparison:
    """One statistic of one feature.

    value: of the last day. usual: its mean over the days of the training. score: how many standard deviations of a
    normal distribution the distance is worth. p: its chance where nothing changed; adjusted: the same by Holm.
    """

    feature: str
    statistic: Statistic
    value: float
    usual: float
    score: float
    p: float
    adjusted: float = 1.0

    @property
    def has_drifted(self) -> bool:
        """Whether this is no chance."""
        return self.adjusted <= ALPHA

    def to_dict(self) -> dict[str, str | float]:
        """Plain JSON."""
        return {
            "feature": self.feature,
            "statistic": self.statistic,
            "value": self.value,
            "usual": self.usual,
            "score": self.score,
            "p": self.p,
            "adjusted_p": self.adjusted,
        }


@dataclass(frozen=True, slots=True)
class Blocks:
    """A feature by day, counted back from the last sample.

    last: shape (samples of a day,). days: of the training, shape (n, samples of a day), oldest first; NaN where
    missing. ago: how many days before the last one each of them is, shape (n,).
    """

    last: Floats
    days: Floats
    ago: np.ndarray


def samples_of_day(step_seconds: float) -> int:
    """How many samples a day has."""
    return max(1, round(DAY_SECONDS / step_seconds))


def blocks_of(values: Floats, *, trained: int, step_seconds: float, end: int | None = None) -> Blocks | None:
    """The last day before sample `end`, and the days before sample `trained`; None where these are too few.

    values: one feature, shape (n,), NaN where missing. Days with fewer than half of their samples are left out.
    """
    size, end = samples_of_day(step_seconds), len(values) if end is None else end
    if size < _HOURS or end - size < trained - size // _HOURS:
        return None
    last = values[end - size : end]
    # Whole days apart from the last one, so that the same row is the same time of day.
    away = max(math.ceil((end - trained) / size - 1 / _HOURS), 1)
    stop = end - away * size
    count = min(stop // size, MOST_DAYS)
    if count < MIN_DAYS or not _is_known(last[None, :])[0]:
        return None
    days = values[stop - count * size : stop].reshape(count, size)
    known = _is_known(days)
    ago = away + np.arange(count)[::-1]
    return Blocks(last, days[known], ago[known]) if int(known.sum()) >= MIN_DAYS else None


def compare(feature: str, blocks: Blocks) -> list[Comparison]:
    """Every statistic of a feature, not yet corrected for their number."""
    own, usual = _statistics(blocks)
    return [
        compare_days(feature, statistic, float(own[number]), usual[:, number], blocks.ago)
        for number, statistic in enumerate(STATISTICS)
    ]


def compare_days(feature: str, statistic: Statistic, own: float, usual: Floats, ago: np.ndarray) -> Comparison:
    """A statistic of the last day against that of each day of the training, shape (n,). ago: as Blocks has it."""
    value, values = own, usual
    if statistic not in _OF_SAMPLES:
        value, values = _without_weekdays(value, values, ago % 7)
    middle, score = _score(value, values, _FLOORS[statistic])
    # Some services have days unlike any other now and then: what is no further off than those is one more of them.
    if abs(value - middle) <= _BEYOND * float(np.abs(values - middle).max()):
        score = math.copysign(min(abs(score), _NOT_BEYOND), score)
    is_one_sided = statistic in _ONE_SIDED
    p = 0.5 * math.erfc(score / math.sqrt(2)) if is_one_sided else math.erfc(abs(score) / math.sqrt(2))
    return Comparison(feature, statistic, own, middle, score, p)


def corrected(tests: Sequence[Comparison]) -> list[Comparison]:
    """The same tests with Holm's adjusted chances, in their order.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".

    >>> two = [Comparison("cpu", "level", 0, 0, 3, 0.003), Comparison("cpu", "ks", 0, 0, 2, 0.04)]
    >>> [test.adjusted for test in corrected(two)]
    [0.006, 0.04]
    """
    order = sorted(range(len(tests)), key=lambda number: tests[number].p)
    found, most = list(tests), 0.0
    for rank, number in enumerate(order):
        one = tests[number]
        most = max(most, min(1.0, one.p * (len(tests) - rank)))
        found[number] = Comparison(one.feature, one.statistic, one.value, one.usual, one.score, one.p, most)
    return found


def effective_days(values: Floats) -> float:
    """How many independent days these are worth: n (1 - r) / (1 + r), r their correlation from day to day, >= 0.

    >>> effective_days(np.array([1.0, -1.0] * 5)), round(effective_days(np.arange(20.0)), 1) < 5
    (10.0, True)
    """
    count, apart = len(values), values - values.mean()
    total = float(np.dot(apart, apart))
    if count < 3 or total <= _TINY:
        return float(count)
    following = min(max(float(np.dot(apart[1:], apart[:-1])) / total, 0.0), 0.9)
    return max(count * (1 - following) / (1 + following), 2.0)


def _score(value: float, usual: Floats, floor: float) -> tuple[float, float]:
    """Mean of the usual values, and the distance from it as a normal deviate.

    Student's t to a normal deviate: Wallace (1959), "Bounds on normal approximations to Student's and the chi-square
    distributions".
    """
    count, effective = len(usual), effective_days(usual)
    middle = float(usual.mean())
    # Days that follow each other are more alike than days far apart: their variance is that of fewer days.
    variance = float(np.square(usual - middle).sum()) / max(count - count / effective, 1.0)
    whole = variance + floor**2
    t = (value - middle) / math.sqrt(whole * (1 + 1 / effective))
    # Of the whole variance, the floor is known and the rest is estimated from few days (Satterthwaite, 1946).
    freedom = min(max(effective - 1, 1.0) * (whole / max(variance, _TINY)) ** 2, 1e6)
    normal = (8 * freedom + 1) / (8 * freedom + 3) * math.sqrt(freedom * math.log1p(t * t / freedom))
    return middle, math.copysign(normal, t)


def _without_weekdays(value: float, usual: Floats, weekday: np.ndarray) -> tuple[float, Floats]:
    """The same without what days of one weekday have in common, as far as they differ more from others than within.

    weekday: of each of `usual`, 0 for that of `value`. Shrunk towards nothing where that is noise (empirical Bayes);
    each day's own value does not count for its weekday.
    """
    count = len(usual)
    groups = [usual[weekday == number] for number in range(7)]
    if min(len(group) for group in groups) < 2:
        return value, usual
    within = float(np.mean([group.var(ddof=1) for group in groups]))
    size = count / 7
    between = float(np.var([group.mean() for group in groups], ddof=1)) - within / size
    if between <= 0:
        return value, usual
    shrink, middle = within / between, float(usual.mean())

    def common(rows: np.ndarray) -> float:
        return len(rows) / (len(rows) + shrink) * (float(usual[rows].mean()) - middle)

    rest = [common(np.flatnonzero((weekday == weekday[row]) & (np.arange(count) != row))) for row in range(count)]
    found: Floats = usual - np.array(rest)
    return value - common(np.flatnonzero(weekday == 0)), found


def _statistics(blocks: Blocks) -> tuple[Floats, Floats]:
    """The statistics of the last day, shape (6,), and of each day of the training against the others, (n, 6)."""
    count = len(blocks.days)
    # In units of the mean use, so that no square of an amount is out of range.
    every = np.vstack([blocks.days, blocks.last[None, :]])
    every, base = every / max(float(np.nanmean(np.abs(blocks.days))), _TINY), 1.0
    hours = by_hour(every)
    others = np.array([[row for row in range(count) if row != own] for own in range(count)])
    profiles = np.vstack([np.median(hours[others], axis=1), np.median(hours[:count], axis=0)[None, :]])
    ratio = log_ratio(hours, profiles, base)
    found = np.column_stack(
        [
            np.median(ratio, axis=1),
            np.median(ratio[:, -_LATEST:], axis=1),
            _spread(every, others, base),
            _moved(hours, profiles),
            *_distribution(every),
        ]
    )
    return found[-1], found[:-1]


def by_hour(days: Floats) -> Floats:
    """Means of the hours of each day, shape (n, 24); an hour without a sample has the mean of its day."""
    size = days.shape[1]
    edges = -(-np.arange(_HOURS) * size // _HOURS)
    known = ~np.isnan(days)
    sums = np.add.reduceat(np.where(known, days, 0.0), edges, axis=1)
    counts = np.add.reduceat(known, edges, axis=1).astype(np.float64)
    middle = (sums.sum(axis=1) / np.maximum(counts.sum(axis=1), 1.0))[:, None]
    found: Floats = np.where(counts > 0, sums / np.maximum(counts, 1.0), middle)
    return found


def log_ratio(hours: Floats, profile: Floats, base: float) -> Floats:
    """How many times the usual each hour is, as a logarithm. base: the mean use."""
    little = _NEXT_TO_NOTHING * base
    found: Floats = np.log(np.maximum(hours + little, _TINY) / np.maximum(profile + little, _TINY))
    return found


def _spread(every: Floats, others: np.ndarray, base: float) -> Floats:
    """How many times the usual the samples of an hour swing, mean of the middle hours; as a logarithm, shape (n,)."""
    away, count = swing(every), len(others)
    usual = np.vstack([np.median(away[others], axis=1), np.median(away[:count], axis=0)[None, :]])
    little = 0.002 * base
    times = np.sort(np.log(away + little) - np.log(usual + little), axis=1)
    found: Floats = times[:, _OUTER:-_OUTER].mean(axis=1)
    return found


def swing(days: Floats) -> Floats:
    """Mean distance of an hour's samples from their mean, shape (n, 24); of fewer than three, from the hour before."""
    hours, size = by_hour(days), days.shape[1]
    if size >= 3 * _HOURS:
        return by_hour(np.abs(days - hours[:, np.arange(size) * _HOURS // size]))
    found: Floats = np.abs(np.diff(hours, axis=1, prepend=hours[:, :1]))
    return found


def _moved(hours: Floats, profiles: Floats) -> Floats:
    """How much better each day fits its usual day when that is turned by some hours; Fisher's z, shape (n,)."""
    alike = turned(hours, profiles)
    fitted = np.arctanh(np.clip(alike, -0.99, 0.99))
    # A service whose days are not alike has no daily pattern, and a day that is like the usual one at no hour has none
    # that moved.
    has_pattern = float(np.median(alike[:-1, 0])) >= _ALIKE
    found: Floats = np.where(has_pattern & (alike.max(axis=1) >= _ALIKE), fitted.max(axis=1) - fitted[:, 0], 0.0)
    return found


def turned(hours: Floats, profiles: Floats) -> Floats:
    """Correlation of each day with its usual day, that turned by 0..23 hours, shape (n, 24); 0 where one is flat."""
    days, usual = hours - hours.mean(axis=1)[:, None], profiles - profiles.mean(axis=1)[:, None]
    size = np.linalg.norm(days, axis=1) * np.linalg.norm(usual, axis=1)
    rolled = usual[:, (np.arange(_HOURS)[None, :] - np.arange(_HOURS)[:, None]) % _HOURS]
    # A daily pattern of less than a hundredth of the use is none.
    little = np.square(0.01 * np.abs(profiles).mean(axis=1)) * _HOURS
    found: Floats = np.einsum("nh,nkh->nk", days, rolled) / np.maximum(size + little, _TINY)[:, None]
    return found


def _distribution(every: Floats) -> tuple[Floats, Floats]:
    """Logarithms of KS and PSI of each day against the others, and of the last against all but itself."""
    count = len(every) - 1
    pooled = every[:count][~np.isnan(every[:count])]
    edges = np.unique(np.quantile(pooled, np.linspace(0, 1, _BINS + 1)[1:-1]))
    slot = np.searchsorted(edges, np.nan_to_num(every))
    bins = len(edges) + 1
    rows = np.broadcast_to(np.arange(count + 1)[:, None] * bins, every.shape)[~np.isnan(every)]
    counts = np.bincount(rows + slot[~np.isnan(every)], minlength=(count + 1) * bins).reshape(count + 1, bins)
    coarse = np.add.reduceat(counts, np.unique(np.linspace(0, counts.shape[1], _PSI_BINS + 1).astype(int)[:-1]), axis=1)
    last = np.arange(count + 1) < count
    rest = counts[:count].sum(axis=0) - counts * last[:, None]
    rest_coarse = coarse[:count].sum(axis=0) - coarse * last[:, None]
    ks = np.abs(np.cumsum(_shares(counts, 0.0), axis=1) - np.cumsum(_shares(rest, 0.0), axis=1)).max(axis=1)
    here, there = _shares(coarse, 0.5), _shares(rest_coarse, 0.5)
    psi = ((here - there) * np.log(here / there)).sum(axis=1)
    return np.log(ks + LITTLE), np.log(psi + LITTLE)


def _shares(counts: np.ndarray, more: float) -> Floats:
    found: Floats = (counts + more) / np.maximum((counts + more).sum(axis=1), _TINY)[:, None]
    return found


def _is_known(days: Floats) -> np.ndarray:
    found: np.ndarray = (~np.isnan(days)).mean(axis=1) >= _MIN_KNOWN
    return found
