"""The memory request: never below the peak of the last seven days, and above it by what peaks like these were outgrown.

Memory that is not there kills, so the aim is not cost but how often use goes above: no more often than above KRR's
rule (14-day maximum x1.15), for less. The margin over the 7-day peak is log-linear in two figures of the past,

    log(request / peak7) = min(0.30 + 0.085 a, 0.11 - 0.8 a) + 0.41 log(peak14 / peak7),   a = log(p95 of 7 d / peak7)

so memory that is nearly always at its peak (a near 0) is given 12 %, memory that swings 25 to 30 %, and memory that
towers above its week in rare peaks (a far below 0) less again, since a rarer peak is less likely to come back higher
tomorrow. Of the second week's peak two fifths of the way are believed. The five numbers were chosen so that the share
of exceeded windows stays a seventh below KRR's on vms.parquet, for 0.957 of what KRR's rule reserves (0.944 where its
minimum of 100 MiB counts). The three that matter most, fitted on some groups of sibling VMs and used on the others,
come to the same: experiments/benchmarks/bounds.py.

A young series has no seven days to peak in, and what its memory swings like is not known yet: it leans on KRR's rule,
altogether at first and by half when it is three days old. On pods of a few hours that takes 6 % less than the margin
above, and no rule's memory was exceeded there; on VMs of one to five days 4 % less, with fewer windows exceeded than
KRR's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mora.bounds.carry import Carry, forward_filled
from mora.bounds.confidence import chances, memory_model
from mora.bounds.levels import sliding_max
from mora.bounds.ticks import HOUR_SECONDS, Bounds, Floats, Indices, Ticks, cut

WEEK_SECONDS = 7 * 86_400.0
_LEVEL = 0.95
# A young series gets KRR's 15 % over its 14-day peak, by half when it is as old as this.
_YOUNG_MARGIN, _LEANING_HALF_LIFE_HOURS = math.log(1.15), 72.0
# A week's p95, or its peak beside the second week's, counts as at least this share: logarithms need a floor.
_LEAST_SHARE, _LEAST_PEAK_SHARE = math.exp(-6.0), 1e-3


@dataclass(frozen=True, slots=True)
class Margin:
    """The five numbers of the margin over the 7-day peak, all of them logarithms or factors of such."""

    swinging: float = 0.30
    per_rarity: float = 0.085
    steady: float = 0.11
    per_unsteadiness: float = 0.8
    second_week: float = 0.41

    def over(self, figures: Figures) -> Floats:
        """Request over 7-day peak, at least 1."""
        swinging = self.swinging + self.per_rarity * figures.rarity
        steady = self.steady - self.per_unsteadiness * figures.rarity
        own = np.maximum(np.minimum(swinging, steady) + self.second_week * figures.outgrown, 0.0)
        leaning = 0.5 ** (figures.age_hours / _LEANING_HALF_LIFE_HOURS)
        return np.exp((1 - leaning) * own + leaning * (_YOUNG_MARGIN + figures.outgrown))


@dataclass(frozen=True, slots=True)
class Figures:
    """What the margin rests on, one of each per decision; NaN where nothing was known before it.

    peak: the largest sample of the last seven days. rarity: log(p95 of seven days / peak), at most 0. outgrown:
    log(peak of fourteen days / peak), at least 0. age_hours: from the first sample to the last.
    """

    peak: Floats
    rarity: Floats
    outgrown: Floats
    age_hours: Floats


def memory_bounds(values: Floats, *, step_seconds: float, decisions: Indices, horizon_seconds: float) -> Bounds:
    """One request per decision for the window that begins there, as memory_requests() gives it, and its confidence."""
    return memory_bounds_many(
        values[None], step_seconds=step_seconds, decisions=decisions, horizon_seconds=horizon_seconds
    ).of(0)


def memory_bounds_many(values: Floats, *, step_seconds: float, decisions: Indices, horizon_seconds: float) -> Bounds:
    """memory_bounds() of many series on one grid, each by itself: requests and confidence of shape (s, d).

    values: shape (s, n); a series that begins later than others has NaN in front, which changes none of its numbers.
    """
    requests, confidence = np.full((2, len(values), len(decisions)), np.nan)
    if requests.size:
        ticks = cut(values, step_seconds=step_seconds, decisions=decisions, horizon_seconds=horizon_seconds)
        found = memory_by_tick(ticks, Carry(), ticks.decisions)
        requests, confidence = found.requests[ticks.decisions].T, found.confidence[ticks.decisions].T
    return Bounds(requests, confidence)


def memory_by_tick(ticks: Ticks, carry: Carry, asked: Indices) -> Bounds:
    """The bound of the window that begins with each tick, and its confidence: shapes (ticks + 1, series).

    carry: of the ticks before these. asked: the rows whose bounds are wanted. Bounds of other rows are there to learn
    the confidence from: the week's level, which changes little in an hour, is in these that of the last of every eighth
    of a window, and at first that of the first tick.
    """
    week = ticks.of_hours(WEEK_SECONDS / HOUR_SECONDS)
    samples = carry.ticks_before("samples", ticks.samples, week, unknown=np.nan)
    filled = np.where(np.isnan(ticks.samples), -np.inf, ticks.samples).max(axis=2)
    peaks = carry.ticks_before("highest", filled, 2 * week, unknown=-np.inf)
    peak, two_weeks_peak = sliding_max(peaks[week:], week)[week:], sliding_max(peaks, 2 * week)[2 * week :]
    is_seen = np.isfinite(peak)
    # In place of a week without any sample, the last that had some counts: the one that begins with the last sample.
    is_last = is_seen & ~np.isfinite(sliding_max(peaks[week + 1 :], week - 1)[week - 1 :])
    peak, two_weeks_peak = np.where(is_seen, [peak, two_weeks_peak], np.nan)
    peak = carry.forward_filled("peak", peak)
    two_weeks_peak = carry.forward_filled("two weeks' peak", two_weeks_peak)
    ages_hours = _ages_hours(ticks, carry)
    level = np.full(peak.shape, np.nan)
    ages = ticks.ages()
    is_due = is_seen & ((ages % max(1, ticks.horizon // 8) == 0) | (ages == 1)) | is_last
    for row in np.flatnonzero(is_due.any(axis=1)):
        level[row, is_due[row]] = _levels(samples[row : row + week, is_due[row]])
    level = carry.forward_filled("level", level)
    by_tick = _requests(level, peak, two_weeks_peak, ages_hours)
    stated = chances(by_tick, ticks, memory_model(ticks.horizon * ticks.hours), carry)
    requests = by_tick.copy()
    for row in asked:
        exact = np.where(is_seen[row], _levels(samples[row : row + week]), level[row])
        requests[row] = _requests(exact, peak[row], two_weeks_peak[row], ages_hours[row])
    return Bounds(requests, np.where(np.isnan(requests), np.nan, stated))


def _requests(level: Floats, peak: Floats, two_weeks_peak: Floats, ages_hours: Floats) -> Floats:
    peak = np.fmax(peak, _LEAST_PEAK_SHARE * two_weeks_peak)
    with np.errstate(divide="ignore", invalid="ignore"):
        rarity = np.log(np.clip(level / peak, _LEAST_SHARE, 1.0))
        figures = Figures(peak, rarity, np.log(two_weeks_peak / peak), ages_hours)
        return np.where(peak > 0, peak * Margin().over(figures), peak)


def _ages_hours(ticks: Ticks, carry: Carry) -> Floats:
    """From the first sample to the last one before each tick: shape (ticks + 1, series); NaN where there is none."""
    is_known = ~np.isnan(ticks.samples)
    is_seen = is_known.any(axis=2)
    begins, width = (ticks.edges - ticks.edges[0])[:-1, None], ticks.samples.shape[2]
    # In samples since these ticks began.
    firsts = np.where(is_seen, begins + is_known.argmax(axis=2), np.inf).min(axis=0, initial=np.inf)
    lasts = np.where(is_seen, begins + width - 1 - is_known[:, :, ::-1].argmax(axis=2), np.nan)
    first = np.fmin(carry.first("first sample", firsts, unknown=np.inf), firsts)
    last = forward_filled(np.concatenate([carry.first("last sample", firsts, unknown=np.nan)[None], lasts]))
    stop = ticks.edges[-1] - ticks.edges[0]
    carry.leave("first sample", first - stop)
    carry.leave("last sample", last[-1] - stop)
    hours = ticks.hours / ticks.expected
    return np.where(np.isnan(last), np.nan, (last - first + 1) * hours)


def _levels(week: Floats) -> Floats:
    """The level of a week of ticks, per series; NaN where no sample is known."""
    series = week.transpose(1, 0, 2).reshape(week.shape[1], -1)
    known = (~np.isnan(series)).sum(axis=1)
    found = np.full(len(series), np.nan)
    for count in np.unique(known[known > 0]):
        some = known == count
        rank = math.ceil(_LEVEL * count) - 1
        # NaN is sorted to the end.
        found[some] = np.partition(series[some], rank, axis=1)[:, rank]
    return found


def memory_requests(values: Floats, *, step_seconds: float, decisions: Indices) -> Floats:
    """One request per decision, in the unit of `values`; the same for every horizon (1 h and 24 h were measured).

    values: use on a constant grid, shape (n,), NaN where missing. decisions: rising indices of the windows' first
    samples. NaN where nothing is known before a decision. In place of a week without any sample, the last one that
    had some counts. Scaling the values scales the answer.

    >>> memory_requests(np.full(4000, 100.0), step_seconds=300, decisions=np.array([3000])).round(1)
    array([111.9])
    """
    figures = past_figures(values, step_seconds=step_seconds, decisions=decisions)
    return figures.peak * Margin().over(figures)


def past_figures(values: Floats, *, step_seconds: float, decisions: Indices) -> Figures:
    """The figures of the past before each decision; arguments as of memory_requests()."""
    known = np.flatnonzero(~np.isnan(values))
    seen = np.maximum(values[known], 0.0)
    week = math.ceil(WEEK_SECONDS / step_seconds)
    found = np.full((4, len(decisions)), np.nan)
    for number, end in enumerate(decisions):
        stop = int(np.searchsorted(known, end))
        if not stop:
            continue
        # Where the week is all gap, it is moved back to where it ends with a sample.
        last = min(int(end), int(known[stop - 1]) + week)
        begin, before = (int(np.searchsorted(known, last - weeks * week)) for weeks in (1, 2))
        age_hours = (known[stop - 1] + 1 - known[0]) * step_seconds / HOUR_SECONDS
        found[:, number] = *_figures(seen[begin:stop], float(seen[before:stop].max())), age_hours
    return Figures(*found)


def _figures(week: Floats, two_weeks_peak: float) -> tuple[float, float, float]:
    if two_weeks_peak <= 0:
        return 0.0, 0.0, 0.0
    peak = max(float(week.max()), _LEAST_PEAK_SHARE * two_weeks_peak)
    rank = math.ceil(_LEVEL * len(week)) - 1
    level = max(float(np.partition(week, rank)[rank]) / peak, _LEAST_SHARE)
    return peak, math.log(level), math.log(two_weeks_peak / peak)
