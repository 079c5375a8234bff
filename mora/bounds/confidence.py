"""The confidence of a bound: the chance that its window is covered, by what is known when it is issued.

A window is covered where at most a tenth of its CPU samples, and none of its memory samples, lie above the request
(mora/coverage.py). The chance is that of a logistic regression on a few features of the past (features.py), the same
for every series, and corrected by the series' own record: at every tick a bound is issued, and when its window has
ended it was covered or exceeded, more or less often than was stated. Overlapping windows share one vote. The
correction is the log odds ratio of what was covered and exceeded to what was stated, with some windows of either added
to both (Haldane 1956; Anscombe 1956), which old windows leave as they fade. A Newton step of the intercept in its place
moves by little more than one however long a series is covered: of steady memory, .95 was stated after 24 days.

The weights are fitted by `python experiments/benchmarks/confidence.py`, which prints them beside these, how well they
tell covered windows from exceeded ones, and what each kind of traces gets from the weights of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mora.bounds.carry import Carry
from mora.bounds.features import features, needed_levels
from mora.bounds.rules import SHORT_HORIZON_HOURS
from mora.bounds.ticks import Floats, Ticks
from mora.coverage import CPU_OVER_SHARE, MEMORY_OVER_SHARE

# Two weeks later, a window counts half: services change.
_HALF_LIFE_HOURS = 336.0
# Windows, as many covered as exceeded, that are added to both sides of the record: with fewer, windows of PlanetLab's
# machines and of pods are ranked less well; with more, the record of a steady series counts for little.
_RECORD_WINDOWS = 9.0


@dataclass(frozen=True, slots=True)
class Model:
    """What the features of a bound weigh, in log odds.

    weights: in the order of features.FEATURES. over_share: the share of a window's samples that may lie above.
    """

    weights: tuple[float, ...]
    over_share: float


CPU_SHORT = Model((2.72, -1.00, -2.15, -1.69, -0.97, 0.16, -0.60, -0.26), CPU_OVER_SHARE)
CPU_LONG = Model((2.16, -0.51, -1.77, 0.0, -2.81, 0.45, -0.41, -0.66), CPU_OVER_SHARE)
MEMORY_SHORT = Model((3.54, -1.16, 0.0, 0.0, 0.0, 1.69, 0.0, 0.0), MEMORY_OVER_SHARE)
MEMORY_LONG = Model((3.67, -3.15, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), MEMORY_OVER_SHARE)


def cpu_model(horizon_hours: float) -> Model:
    """The model for CPU: windows of a day or more, or of an hour or so."""
    return CPU_SHORT if horizon_hours <= SHORT_HORIZON_HOURS else CPU_LONG


def memory_model(horizon_hours: float) -> Model:
    """The model for memory."""
    return MEMORY_SHORT if horizon_hours <= SHORT_HORIZON_HOURS else MEMORY_LONG


def chances(bounds: Floats, ticks: Ticks, model: Model, carry: Carry) -> Floats:
    """The confidence that the window which begins with each tick is covered: shape (ticks + 1, series), 0..1.

    bounds: of those windows, shape (ticks + 1, series); NaN where there is none, and no confidence then.
    """
    needed = needed_levels(ticks, model.over_share, carry)
    odds = features(bounds, needed, ticks, carry) @ np.array(model.weights)
    return corrected(odds, covered_windows(bounds, needed, ticks, carry), ticks, carry)


def covered_windows(bounds: Floats, needed: Floats, ticks: Ticks, carry: Carry) -> Floats:
    """1 where the window that ends with a tick was covered, 0 where not; shape (ticks, series).

    bounds: of the windows that begin with each tick, shape (ticks + 1, series). needed: from needed_levels(). NaN where
    no bound was issued before the window, or no sample of it is known.
    """
    issued = carry.levels_before("bounds", bounds, ticks.horizon - 1)[: len(needed)]
    return np.where(np.isnan(issued) | np.isnan(needed), np.nan, needed <= issued)


def corrected(odds: Floats, kept: Floats, ticks: Ticks, carry: Carry) -> Floats:
    """The chances that log odds come to once the series' own record has had its say: shape (ticks + 1, series).

    odds: of the windows that begin with each tick. kept: from covered_windows(); a window counts from its end on.
    """
    plain = 1 / (1 + np.exp(-odds))
    stated = carry.levels_before("plain chances", plain, ticks.horizon - 1)[: len(kept)]
    is_known = ~np.isnan(kept) & ~np.isnan(stated)
    fade = 0.5 ** (ticks.hours / _HALF_LIFE_HOURS)

    def windows(name: str, chances: Floats) -> Floats:
        return carry.faded(name, np.where(is_known, chances, 0.0) / ticks.horizon, fade) + _RECORD_WINDOWS

    # What was, over what was stated: the odds of being covered.
    ratio = windows("covered", kept) / windows("stated covered", stated)
    ratio /= windows("exceeded", 1 - kept) / windows("stated exceeded", 1 - stated)
    return np.asarray(1 / (1 + np.exp(-odds) / ratio))
