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


def covered_windows(bounds: Floats, ticks: Ticks, over_share: float) -> Floats:
    """1 where the window that began with a tick was covered, 0 where not; shape (ticks, series).

    bounds: shape (ticks + 1, series). NaN where no bound was issued, no sample is known, or the window has not
    ended.
    """
    samples, count = ticks.samples, max(len(ticks.samples) - ticks.horizon + 1, 0)
    known, over = np.zeros((2, count, samples.shape[1]))
    known_by_tick = (~np.isnan(samples)).sum(axis=2)
    issued = bounds[:count, :, None]
    for offset in range(ticks.horizon):
        known += known_by_tick[offset : offset + count]
        over += np.count_nonzero(samples[offset : offset + count] > issued, axis=2)
    kept = np.full(samples.shape[:2], np.nan)
    is_known = (known > 0) & ~np.isnan(issued[:, :, 0])
    kept[:count] = np.where(is_known, over <= over_share * known + 1e-9, np.nan)
    return kept


def chances(kept: Floats, ticks: Ticks, prior: Prior) -> Floats:
    """The confidence that the window which begins with each tick is covered: shape (ticks + 1, series), 0..1.

    kept: from covered_windows(); a window counts from the tick after its end on.
    """
    fade = 0.5 ** (ticks.hours / _HALF_LIFE_HOURS)
    found = np.empty((len(kept) + 1, kept.shape[1]))
    lean = np.where(ticks.ages() * ticks.hours < _YOUNG_HOURS, prior.young, prior.older)
    votes = ~np.isnan(kept) / ticks.horizon
    yes = np.nan_to_num(kept) / ticks.horizon
    covered, total = np.zeros((2, kept.shape[1]))
    for tick in range(len(found)):
        ended = tick - ticks.horizon
        covered, total = covered * fade, total * fade
        if ended >= 0:
            covered, total = covered + yes[ended], total + votes[ended]
        found[tick] = (covered + PRIOR_WINDOWS * lean[tick]) / (total + PRIOR_WINDOWS)
    return found
