"""The confidence of a bound, learnt from how often the same series' earlier bounds covered their windows.

A window is covered where at most a tenth of its CPU samples, and none of its memory samples, lie above the request
(mora/coverage.py). At every tick a bound is issued, and when its window has ended it was covered or exceeded;
overlapping windows share one vote. The confidence leans on what the same rule reached on other series as on 64 windows
more: exceeded windows come in runs, so a few predict little of the next. With the eight windows that a driven model
leans on, the worst bin of at least 200 was off by .05 on vms.parquet and on PlanetLab; with 64 by .01 and .04. Stated
beside covered, bin by bin: experiments/benchmarks/bounds.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mora.bounds.carry import Carry
from mora.bounds.rules import SHORT_HORIZON_HOURS
from mora.bounds.ticks import Floats, Ticks

PRIOR_WINDOWS = 64.0
# Two weeks later, a window counts half: services change.
_HALF_LIFE_HOURS = 336.0
# A series younger than this is still being learnt, and its bounds are exceeded more often.
_YOUNG_HOURS = 192.0


@dataclass(frozen=True, slots=True)
class Prior:
    """The share of windows that were covered on vms.parquet: of young series, and of older ones."""

    young: float
    older: float


def cpu_prior(horizon_hours: float) -> Prior:
    """The prior for CPU: windows of a day, or of an hour."""
    return Prior(0.92, 0.92) if horizon_hours <= SHORT_HORIZON_HOURS else Prior(0.86, 0.91)


def memory_prior(horizon_hours: float) -> Prior:
    """The prior for memory: measured by the day; a shorter window has its share of a day's chances to be exceeded.

    >>> round(memory_prior(1.0).older, 4)
    0.999
    """
    share = min(horizon_hours / 24.0, 1.0)
    return Prior(0.93**share, 0.977**share)


def covered_windows(bounds: Floats, ticks: Ticks, over_share: float, carry: Carry) -> Floats:
    """1 where the window that ends with a tick was covered, 0 where not; shape (ticks, series).

    bounds: of the windows that begin with each tick, shape (ticks + 1, series). NaN where no bound was issued before
    the window, or no sample of it is known.
    """
    samples, lead = ticks.samples, ticks.horizon - 1
    count = len(samples)
    issued = carry.levels_before("bounds", bounds, lead)
    known_by_tick = (~np.isnan(samples)).sum(axis=2)
    # What of each window was seen so far; the open ones are carried.
    known, over = np.zeros((2, lead + count, samples.shape[1]))
    for sums, name in ((known, "known of windows"), (over, "over in windows")):
        sums[:lead] = carry.arrays.get(name, 0.0)
    for offset in range(ticks.horizon):
        began = slice(lead - offset, lead - offset + count)
        known[began] += known_by_tick
        over[began] += np.count_nonzero(samples > issued[began][:, :, None], axis=2)
    carry.arrays["known of windows"], carry.arrays["over in windows"] = known[count:].copy(), over[count:].copy()
    is_known = (known[:count] > 0) & ~np.isnan(issued[:count])
    return np.where(is_known, over[:count] <= over_share * known[:count] + 1e-9, np.nan)


def chances(kept: Floats, ticks: Ticks, prior: Prior, carry: Carry) -> Floats:
    """The confidence that the window which begins with each tick is covered: shape (ticks + 1, series), 0..1.

    kept: from covered_windows(); a window counts from the tick after its end on.
    """
    fade = 0.5 ** (ticks.hours / _HALF_LIFE_HOURS)
    lean = np.where(ticks.ages() * ticks.hours < _YOUNG_HOURS, prior.young, prior.older)
    total = carry.faded("votes", ~np.isnan(kept) / ticks.horizon, fade)
    covered = carry.faded("votes for covered", np.nan_to_num(kept) / ticks.horizon, fade)
    return (covered + PRIOR_WINDOWS * lean) / (total + PRIOR_WINDOWS)
