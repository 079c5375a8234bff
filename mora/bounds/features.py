"""What speaks for and against a bound before its window begins: how the past would have fared under it.

All are shares and ratios, so scaling a series changes none, and each rests on what came before its own tick. Chosen
among eighty on vms.parquet and planetlab.parquet: these few carry over best from one kind to the other.
"""

from __future__ import annotations

import math

import numpy as np

from mora.bounds.carry import Carry
from mora.bounds.ticks import Floats, Ticks

# 1 for every bound; e^-(age / 3 d). Then of the samples of the last hour, three hours and day the share that lies above
# it (of the day its root). The log odds, against the usual ones, that it covers the same hours of the days
# before; whether the last sample lies above it; and the logarithm of what it is beside the bound of a day before.
FEATURES = (
    "always",
    "young",
    "above in an hour",
    "above in three hours",
    "above in a day",
    "days before covered",
    "last sample above",
    "risen in a day",
)
_DAY_HOURS, _YOUNG_HOURS = 24.0, 72.0
_ABOVE_HOURS = (1.0, 3.0, _DAY_HOURS)
# The same hours of so many days before, of which those a week ago count half.
_DAYS, _DAYS_HALF_LIFE = 7, 7.0
# One day more is added, covered as usual, so that a day alone settles nothing; and the share above of unknown samples.
_USUAL_COVERED, _USUAL_ABOVE = 0.89, 0.05
_MOST_RISEN = 1.0


def needed_levels(ticks: Ticks, over_share: float, carry: Carry) -> Floats:
    """The smallest bound that covers the window which ends with each tick: shape (ticks, series).

    over_share: the share of a window's samples that may lie above. NaN where no sample of a window is known;
    of windows that began before the first sample, what is known counts.
    """
    count, lead = len(ticks.samples), ticks.horizon - 1
    samples = carry.ticks_before("samples of windows", ticks.samples, lead, unknown=np.nan)
    found = np.full(ticks.samples.shape[:2], np.nan)
    for row in range(count):
        window = samples[row : row + ticks.horizon].transpose(1, 0, 2).reshape(samples.shape[1], -1)
        # NaN is sorted to the end.
        ranked = np.sort(window, axis=1)
        known = (~np.isnan(ranked)).sum(axis=1)
        rank = np.maximum(known - 1 - (over_share * known + 1e-9).astype(np.int64), 0)
        found[row] = ranked[np.arange(len(ranked)), rank]
    return found


def features(bounds: Floats, needed: Floats, ticks: Ticks, carry: Carry) -> Floats:
    """The features of the bound of the window that begins with each tick: shape (ticks + 1, series, features).

    bounds: shape (ticks + 1, series); where it is NaN, so are they. needed: from needed_levels().
    """
    found = np.ones((*bounds.shape, len(FEATURES)))
    found[:, :, 1] = np.exp(-ticks.ages() * ticks.hours / _YOUNG_HOURS)
    hour, three_hours, day = _shares_above(bounds, ticks, carry)
    found[:, :, 2], found[:, :, 3], found[:, :, 4] = hour, three_hours, np.sqrt(day)
    found[:, :, 5] = _days_before(bounds, needed, ticks, carry)
    found[:, :, 6] = carry.forward_filled("last used", _last_known(ticks.samples, bounds)) > bounds
    found[:, :, 7] = _risen(bounds, ticks, carry)
    found[np.isnan(bounds)] = np.nan
    return found


def _shares_above(bounds: Floats, ticks: Ticks, carry: Carry) -> list[Floats]:
    """The share of the samples of each span of _ABOVE_HOURS that lies above each bound."""
    widths = [ticks.of_hours(hours) for hours in _ABOVE_HOURS]
    lead = widths[-1]
    samples = carry.ticks_before("samples of a day", ticks.samples, lead, unknown=np.nan)
    known_by_tick = (~np.isnan(samples)).sum(axis=2)
    above, known = np.zeros((2, *bounds.shape))
    found = []
    for back in range(1, lead + 1):
        span = slice(lead - back, lead - back + len(bounds))
        above += np.count_nonzero(samples[span] > bounds[:, :, None], axis=2)
        known += known_by_tick[span]
        for _ in range(widths.count(back)):
            found.append(np.where(known > 0, above / np.maximum(known, 1), _USUAL_ABOVE))
    return found


def _days_before(bounds: Floats, needed: Floats, ticks: Ticks, carry: Carry) -> Floats:
    """The log odds, less the usual ones, that each bound covers the same hours of the days before."""
    per_day = ticks.of_hours(_DAY_HOURS)
    # A window of more than a day is compared with those that have ended.
    first = math.ceil(ticks.horizon / per_day)
    lead = (first + _DAYS - 1) * per_day - ticks.horizon + 1
    earlier = carry.ticks_before("needed", needed, lead, unknown=np.nan)
    covered, total = np.zeros((2, *bounds.shape))
    for number in range(_DAYS):
        begin = lead - ((first + number) * per_day - ticks.horizon + 1)
        then, weight = earlier[begin : begin + len(bounds)], 0.5 ** (number / _DAYS_HALF_LIFE)
        covered += weight * (then <= bounds)
        total += weight * ~np.isnan(then)
    odds = (covered + _USUAL_COVERED) / (total - covered + 1 - _USUAL_COVERED)
    return np.asarray(np.log(odds) - math.log(_USUAL_COVERED / (1 - _USUAL_COVERED)))


def _last_known(samples: Floats, bounds: Floats) -> Floats:
    """The last sample that is known of the tick before each bound; NaN where there is none."""
    is_known = ~np.isnan(samples)
    places = samples.shape[2] - 1 - is_known[:, :, ::-1].argmax(axis=2)
    found = np.full(bounds.shape, np.nan)
    found[1:] = np.take_along_axis(samples, places[:, :, None], axis=2)[:, :, 0]
    return found


def _risen(bounds: Floats, ticks: Ticks, carry: Carry) -> Floats:
    before = carry.levels_before("bounds of a day", bounds, ticks.of_hours(_DAY_HOURS))[: len(bounds)]
    with np.errstate(divide="ignore", invalid="ignore"):
        risen = np.log(bounds / before)
    return np.where(np.isnan(risen), 0.0, np.clip(risen, -_MOST_RISEN, _MOST_RISEN))
