"""The plain rules that MOrA mixes: each names one level of the past as the bound of the coming window."""

from __future__ import annotations

import numpy as np

from mora.bounds.carry import Carry
from mora.bounds.levels import LONGEST_WINDOW_HOURS, Past
from mora.bounds.ticks import Floats

# Bases below this share of the mean use so far are raised to it: an idle time predicts little of the next burst, and
# logarithms of nothing explode.
_IDLE_SHARE = 0.01
DAY_HOURS, WEEK_HOURS = 24.0, LONGEST_WINDOW_HOURS
# Half-life in hours -> quantiles of what has not faded yet. The highest of the last day and of the last hours are for
# series of a few days, whose bursts no week has shown yet; the backtest of young VMs shows it. An hour ahead what lies
# days back only dilutes the mix: without it every kind of trace wasted less.
_LONG_FADING = {6.0: (0.9, 0.95), 24.0: (0.5, 0.9, 0.95, 0.98), 72.0: (0.95,), 168.0: (0.95,)}
_SHORT_FADING = {6.0: (0.9, 0.95)}
# The best single rule for a day, and the one for an hour or so that is right soonest.
_LONG_HORIZON_ANCHOR, _SHORT_HORIZON_ANCHOR = "fading 24 h p95", "fading 6 h p90"
# Horizons up to this long follow the last hour; longer ones the last days.
SHORT_HORIZON_HOURS = 6.0
# What is usual for a time of the day is seen in so many days, and a rise is believed to go on by half.
_USUAL_DAYS, _RISE_SHARE = 6, 0.5
# A fall is not followed below this share of the last peak.
_LEAST_OF_LAST = 0.3


def cpu_rules(past: Past) -> dict[str, Floats]:
    """Rule -> base before each tick, shape (ticks + 1, series), in the unit of the ticks; NaN before a series' first
    sample above 0."""
    horizon_hours = past.ticks.horizon * past.ticks.hours
    is_short = horizon_hours <= SHORT_HORIZON_HOURS
    rules = {
        f"fading {half_life:g} h p{share * 100:g}": level
        for (half_life, share), level in past.decayed_quantiles(_SHORT_FADING if is_short else _LONG_FADING).items()
    }
    day, week = past.window_quantiles((DAY_HOURS, WEEK_HOURS), 0.95)
    rules["day p95"], rules["week p95"] = day, week
    week_mean = past.window_means(WEEK_HOURS)
    rules["blend of means"] = 0.4 * week_mean + 0.6 * past.window_means(1.0)
    if is_short:
        rules.update(_short_horizon_rules(past, horizon_hours, rules[_SHORT_HORIZON_ANCHOR]))
    else:
        rules["week mean"] = week_mean
        rules.update(_long_horizon_rules(past, day, week))
    floor = idle_level(past)
    return {name: np.maximum(base, floor) for name, base in rules.items()}


def anchor(horizon_hours: float) -> str:
    """The rule that a series without much of a past leans on."""
    return _SHORT_HORIZON_ANCHOR if horizon_hours <= SHORT_HORIZON_HOURS else _LONG_HORIZON_ANCHOR


def idle_level(past: Past) -> Floats:
    """A hundredth of the mean use so far, shape (ticks + 1, series); NaN before the first sample above 0."""
    mean = past.mean_so_far
    return np.where(mean > 0, _IDLE_SHARE * mean, np.nan)


def _long_horizon_rules(past: Past, day: Floats, week: Floats) -> dict[str, Floats]:
    """The p95 of days: smoothed, of the last two, and of the coming one a week ago, since services rest at weekends."""
    per_day = past.ticks.of_hours(DAY_HOURS)
    week_ago = past.ticks.of_hours(WEEK_HOURS) - per_day
    days = past.carry.levels_before("day p95", day, week_ago)
    a_week_ago = _or_else(days[: len(day)], day)
    return {
        "mean of day p95 and week p95": 0.5 * (day + week),
        "smoothed day p95": _smoothed_daily(day, per_day, past.carry, share=0.3),
        "two days' p95": np.fmax(day, days[week_ago - per_day : len(days) - per_day]),
        "p95 a week ago": a_week_ago,
        "day p95 or a week ago's": np.maximum(day, a_week_ago),
    }


def _short_horizon_rules(past: Past, horizon_hours: float, level: Floats) -> dict[str, Floats]:
    """The peak of the last window, of the coming one on the days before, and forecasts from both.

    level: what stands where no day before is known.
    """
    last = past.window_peaks(horizon_hours)
    before = _or_else(past.window_peaks(horizon_hours, ending_hours_ago=horizon_hours), last)
    hours_ago = [number * DAY_HOURS for number in range(1, _USUAL_DAYS + 1)]
    coming = np.stack([past.window_peaks(horizon_hours, ending_hours_ago=ago - horizon_hours) for ago in hours_ago])
    current = np.stack([past.window_peaks(horizon_hours, ending_hours_ago=ago) for ago in hours_ago])
    yesterday, usual = _or_else(coming[0], last), _median(coming)
    return {
        "last peak": last,
        "peak of three windows": past.window_peaks(3 * horizon_hours),
        "last peak or three days'": np.fmax(last, np.fmax(np.fmax(coming[0], coming[1]), coming[2])),
        "yesterday's peak": yesterday,
        "between last and yesterday's": np.maximum(last, 0.5 * (last + yesterday)),
        "usual peak": _or_else(usual, level),
        "usual peak of three days": _or_else(_median(coming[:3]), level),
        "last peak or the usual": _or_else(np.maximum(last, usual), level),
        "mean of last and usual": _or_else(0.5 * (last + _mean(coming)), level),
        "last peak and its usual rise": _or_else(np.maximum(last, last + _mean(coming - current)), level),
        "last peak and its rise": np.maximum(last + _RISE_SHARE * (last - before), _LEAST_OF_LAST * last),
    }


def _median(days: Floats) -> Floats:
    """The median of what is known along the first axis; NaN where nothing is."""
    known = (~np.isnan(days)).sum(axis=0)
    # NaN is sorted to the end.
    ordered = np.sort(days, axis=0)
    middle = (
        np.take_along_axis(ordered, which[None], axis=0)[0] for which in (np.maximum(known - 1, 0) // 2, known // 2)
    )
    return 0.5 * sum(middle, np.zeros(known.shape))


def _mean(days: Floats) -> Floats:
    """The mean of what is known along the first axis; NaN where nothing is."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(days, axis=0) / (~np.isnan(days)).sum(axis=0))


def _smoothed_daily(level: Floats, per_day: int, carry: Carry, *, share: float) -> Floats:
    """An exponential moving average that takes one step a day, for every hour of the day by itself."""
    smooth = carry.levels_before("smoothed", level, per_day)
    for first in range(per_day, len(smooth), per_day):
        here = smooth[first : first + per_day]
        before = smooth[first - per_day : first - per_day + len(here)]
        here[:] = np.where(np.isnan(before), here, before + share * (here - before))
    carry.keep_levels("smoothed", smooth, per_day)
    return smooth[per_day:]


def _or_else(level: Floats, other: Floats) -> Floats:
    return np.where(np.isnan(level), other, level)
