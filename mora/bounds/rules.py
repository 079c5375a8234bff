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
# series of a few days, whose bursts no week has shown yet; the backtest of young VMs shows it.
_FADING = {6.0: (0.9, 0.95), 24.0: (0.5, 0.9, 0.95, 0.98), 72.0: (0.95,), 168.0: (0.95,)}
# The best single rule for a day, and the one for an hour or so that is right soonest.
_LONG_HORIZON_ANCHOR, _SHORT_HORIZON_ANCHOR = "fading 24 h p95", "fading 6 h p90"
# Horizons up to this long follow the last hour; longer ones the last days.
SHORT_HORIZON_HOURS = 6.0


def cpu_rules(past: Past) -> dict[str, Floats]:
    """Rule -> base before each tick, shape (ticks + 1, series), in the unit of the ticks; NaN before a series' first
    sample above 0."""
    rules = {
        f"fading {half_life:g} h p{share * 100:g}": level
        for (half_life, share), level in past.decayed_quantiles(_FADING).items()
    }
    day, week = past.window_quantiles((DAY_HOURS, WEEK_HOURS), 0.95)
    rules["day p95"], rules["week p95"] = day, week
    rules["week mean"] = past.window_means(WEEK_HOURS)
    rules["blend of means"] = 0.4 * rules["week mean"] + 0.6 * past.window_means(1.0)
    rules["mean of day p95 and week p95"] = 0.5 * (day + week)
    per_day = past.ticks.of_hours(DAY_HOURS)
    rules["smoothed day p95"] = _smoothed_daily(day, per_day, past.carry, share=0.3)
    week_ago = past.ticks.of_hours(WEEK_HOURS) - per_day
    days = past.carry.levels_before("day p95", day, week_ago)
    rules["two days' p95"] = np.fmax(day, days[week_ago - per_day : len(days) - per_day])
    horizon_hours = past.ticks.horizon * past.ticks.hours
    if horizon_hours <= SHORT_HORIZON_HOURS:
        rules.update(_short_horizon_rules(past, horizon_hours))
    else:
        # The p95 of the coming day, a week ago: services rest at weekends.
        rules["p95 a week ago"] = _or_else(days[: len(day)], day)
        rules["day p95 or a week ago's"] = np.maximum(day, rules["p95 a week ago"])
    floor = idle_level(past)
    return {name: np.maximum(base, floor) for name, base in rules.items()}


def anchor(horizon_hours: float) -> str:
    """The rule that a series without much of a past leans on."""
    return _SHORT_HORIZON_ANCHOR if horizon_hours <= SHORT_HORIZON_HOURS else _LONG_HORIZON_ANCHOR


def idle_level(past: Past) -> Floats:
    """A hundredth of the mean use so far, shape (ticks + 1, series); NaN before the first sample above 0."""
    mean = past.mean_so_far
    return np.where(mean > 0, _IDLE_SHARE * mean, np.nan)


def _short_horizon_rules(past: Past, horizon_hours: float) -> dict[str, Floats]:
    """The peak of the last window, and of the same hours of the days before."""
    last = past.window_peaks(horizon_hours)
    days = {
        day: past.window_peaks(horizon_hours, ending_hours_ago=day * DAY_HOURS - horizon_hours) for day in (1, 2, 3, 7)
    }
    yesterday, week_ago = _or_else(days[1], last), _or_else(days[7], last)
    return {
        "last peak": last,
        "peak of three windows": past.window_peaks(3 * horizon_hours),
        "last peak or three days'": np.fmax(last, np.fmax(np.fmax(days[1], days[2]), days[3])),
        "yesterday's peak": yesterday,
        "between last and yesterday's": np.maximum(last, 0.5 * (last + yesterday)),
        "between last and a week ago's": np.maximum(last, 0.5 * (last + week_ago)),
    }


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
